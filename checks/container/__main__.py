"""``scripts/check-container``: the container image, built and run: size, user, health, a prediction, SIGTERM."""

import argparse
import contextlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from benchmarks.harness.client import Answer, Request, ask
from benchmarks.harness.process import ROOT, free_port
from checks.container.buildah import Buildah
from checks.container.docker import Docker
from checks.container.engine import Container, Engine, run

MOST_ADDED_BYTES = 450e6
READY_S = 10.0
LIMIT_S = 60.0
CALLERS = 8
IN_APP = {"LICENSE", "matcaps", "model_repository"}
COMPILERS = ("gcc", "g++", "cc", "c++", "clang", "clang++", "nvcc", "tcc", "rustc", "go")


class Checks:
    """A table of what was checked."""

    def __init__(self) -> None:
        self.failed = 0

    def see(self, what: str, seen: str, right: bool) -> None:
        """Print one line."""
        self.failed += not right
        print(f"{'ok    ' if right else 'BROKEN'}  {what}: {seen}", flush=True)


def main(arguments: list[str]) -> int:
    """Build the image, run it and print a table; the exit status is 1 if a line of it is broken."""
    parser = argparse.ArgumentParser(prog="scripts/check-container", description=__doc__)
    parser.add_argument("accelerator", nargs="?", choices=["cpu", "gpu"], default="cpu", help="which image (cpu)")
    accelerator = parser.parse_args(arguments).accelerator
    checks = Checks()
    try:
        engine = choose_engine()
        tag = f"localhost/matcaps:{accelerator}"
        print(f"building {tag} with {engine.name}", flush=True)
        engine.build(ROOT, tag, {"ACCELERATOR": accelerator})
        check_image(checks, engine, tag, most_added=MOST_ADDED_BYTES if accelerator == "cpu" else None)
        if accelerator == "cpu":
            check_run(checks, engine, tag)
        else:
            check_refusal(checks, engine, tag)
    except (RuntimeError, OSError) as error:
        print(f"scripts/check-container: {error}", file=sys.stderr)
        return 1
    return 1 if checks.failed else 0


def choose_engine() -> Engine:
    """Docker if its engine answers, else buildah.

    Raises:
        RuntimeError: There is neither.
    """
    if shutil.which("docker") and run(["docker", "info"]).returncode == 0:
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise RuntimeError("neither a Docker engine nor buildah is here; on Debian: apt-get install buildah debootstrap")


def check_image(checks: Checks, engine: Engine, tag: str, most_added: float | None) -> None:
    """Check the image's files and configuration."""
    config = engine.config(tag)
    checks.see("user", str(config.get("User")), config.get("User", "").split(":")[0] not in ("", "0", "root"))
    checks.see("health check", "present" if config.get("Healthcheck") else "none", bool(config.get("Healthcheck")))
    added = engine.added_bytes(tag)
    checks.see("size above its base", f"{added / 1e6:.0f} MB", most_added is None or added <= most_added)
    files = engine.files(tag)
    in_app = {path.split("/")[2] for path in files if path.startswith("/app/")}
    checks.see("in /app", ", ".join(sorted(in_app)), in_app == IN_APP)
    found = [path for path in files if unwanted(path)]
    checks.see("torch, compilers, tests", ", ".join(found[:5]) or "none", not found)


def unwanted(path: str) -> bool:
    """Whether a file does not belong into the image.

    >>> unwanted("/opt/matcaps/lib/python3.13/site-packages/torch"), unwanted("/usr/bin/x86_64-linux-gnu-gcc-14")
    (True, True)
    >>> unwanted("/opt/matcaps/lib/python3.13/site-packages/numpy/tests"), unwanted("/app/matcaps/service/app.py")
    (False, False)
    """
    folder, _, name = path.rpartition("/")
    if folder.endswith("/site-packages"):
        return name in ("torch", "triton", "pytest", "onnx", "pip")
    if folder.endswith("/bin"):
        program = name.rpartition("-gnu-")[2]
        return program.rstrip("0123456789.").rstrip("-") in COMPILERS
    return path.startswith("/app/") and "/tests" in path


def check_run(checks: Checks, engine: Engine, tag: str) -> None:
    """Check a run: it becomes healthy, answers rightly, is not root, changes no file, and drains at its end."""
    with running(engine, tag) as (container, port):
        health = engine.config(tag)["Healthcheck"]["Test"][1:]
        began = time.monotonic()
        while (unhealthy := container.execute(health).returncode) and time.monotonic() < began + LIMIT_S:
            pass  # each try takes a second
        taken_s = time.monotonic() - began
        checks.see("healthy", f"after {taken_s:.1f} s", not unhealthy and taken_s <= READY_S)
        if unhealthy:
            print(container.log())
            return
        user = container.execute(["id", "-u"]).stdout.strip()
        checks.see("runs as", user, user not in ("", "0"))
        for name in ("airplane", "truck"):
            label = predict(port, name).json["predictions"][0]["label"]
            checks.see(f"a picture of {name}", label, label == name)
        check_drain(checks, container, port)
        changes = container.changes()
        checks.see("changes to its files", ", ".join(changes[:5]) or "none", not changes)


def check_drain(checks: Checks, container: Container, port: int) -> None:
    """Check SIGTERM under load: every accepted request is answered, and the exit status is 0."""
    ended, answered = Event(), Event()

    def call() -> Counter[str]:
        seen = Counter[str]()
        while not ended.is_set():
            try:
                seen[str(predict(port, "airplane").status)] += 1
                answered.set()
            except ConnectionRefusedError:
                break  # not accepted: the listening socket is closed
            except OSError as error:
                seen[repr(error)] += 1
        return seen

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        answered.wait(LIMIT_S)
        container.terminate()
        status = container.wait(LIMIT_S)
        ended.set()
        seen = sum((future.result() for future in calls), Counter[str]())
    checks.see("SIGTERM under load", f"status {status}", status == 0)
    counts = ", ".join(f"{count} × {kind}" for kind, count in sorted(seen.items()))
    checks.see("answers until then", counts, seen["200"] > 0 and not seen.keys() - {"200", "503"})


def check_refusal(checks: Checks, engine: Engine, tag: str) -> None:
    """Check the GPU image without a GPU: it ends at once and gives the reason."""
    with running(engine, tag) as (container, _):
        status = container.wait(LIMIT_S)
        lines = container.log().splitlines()
        # onnxruntime may write lines before it, and the engine one after it.
        reason = next((line for line in lines if line.startswith("matcaps serve:")), "no reason")
        checks.see("without a GPU", f"status {status}: {reason[:160]}", status != 0 and "GPU" in reason)


@contextlib.contextmanager
def running(engine: Engine, tag: str) -> Iterator[tuple[Container, int]]:
    """Run the image's command at a free port of the loopback interface while the context lasts."""
    port = free_port()
    container = engine.run(tag, port, {"MATCAPS_ALLOW_ANONYMOUS": "1"})
    try:
        yield container, port
    finally:
        container.remove()


def predict(port: int, name: str) -> Answer:
    """The answer to an example image."""
    image = (ROOT / "examples" / f"{name}.png").read_bytes()
    return ask(port, Request("/predict", image, {"content-type": "image/png"}), LIMIT_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
