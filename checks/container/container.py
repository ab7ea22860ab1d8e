"""The container image, built and run as it ships: ``python -m checks.container.container [--help]``."""

import argparse
import contextlib
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from checks.container.engines import Container, Engine, choose

ROOT = Path(__file__).parents[2]
MOST_ADDED = 450e6
READY_S = 10.0
LIMIT_S = 60.0
CALLERS = 8
IN_APP = {"LICENSE", "matcaps", "model_repository"}
COMPILERS = ("gcc", "g++", "cc", "c++", "clang", "clang++", "nvcc", "tcc", "rustc", "go")


class Checks:
    """A table of what was asked and seen."""

    def __init__(self) -> None:
        self.failed = 0

    def see(self, what: str, seen: str, right: bool) -> None:
        """One line."""
        self.failed += not right
        print(f"{'ok    ' if right else 'BROKEN'}  {what}: {seen}", flush=True)


def main(arguments: list[str]) -> int:
    """Build the image, run it, and say what was seen; 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="scripts/check-container", description=__doc__)
    parser.add_argument("accelerator", nargs="?", choices=["cpu", "gpu"], default="cpu", help="which image")
    accelerator = parser.parse_args(arguments).accelerator
    checks = Checks()
    try:
        engine = choose()
        tag = f"localhost/matcaps:{accelerator}"
        print(f"building {tag} with {engine.name}", flush=True)
        engine.build(ROOT, tag, {"ACCELERATOR": accelerator})
        check_image(checks, engine, tag, most_added=MOST_ADDED if accelerator == "cpu" else None)
        if accelerator == "cpu":
            check_run(checks, engine, tag)
        else:
            check_refusal(checks, engine, tag)
    except (RuntimeError, OSError) as error:
        print(f"scripts/check-container: {error}", file=sys.stderr)
        return 1
    return 1 if checks.failed else 0


def check_image(checks: Checks, engine: Engine, tag: str, most_added: float | None) -> None:
    """What lies in the image, and what it says of itself."""
    config = engine.config(tag)
    checks.see("user", str(config.get("User")), config.get("User", "").split(":")[0] not in ("", "0", "root"))
    checks.see("health check", "kept" if config.get("Healthcheck") else "none", bool(config.get("Healthcheck")))
    added = engine.added_bytes(tag)
    checks.see("above its base", f"{added / 1e6:.0f} MB", most_added is None or added <= most_added)
    files = engine.files(tag)
    in_app = {path.split("/")[2] for path in files if path.startswith("/app/")}
    checks.see("in /app", ", ".join(sorted(in_app)), in_app == IN_APP)
    unwanted = [path for path in files if unwelcome(path)]
    checks.see("torch, compilers, tests", ", ".join(unwanted[:5]) or "none", not unwanted)


def unwelcome(path: str) -> bool:
    """Whether a file has no business in the image.

    >>> unwelcome("/opt/matcaps/lib/python3.13/site-packages/torch"), unwelcome("/usr/bin/x86_64-linux-gnu-gcc-14")
    (True, True)
    >>> unwelcome("/opt/matcaps/lib/python3.13/site-packages/numpy/tests"), unwelcome("/app/matcaps/service/app.py")
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
    """What a run does: ready, right, unprivileged, without a trace, and drained at its end."""
    with running(engine, tag) as (container, port):
        health = engine.config(tag)["Healthcheck"]["Test"][1:]
        began = time.monotonic()
        while (unhealthy := container.execute(health).returncode) and time.monotonic() < began + LIMIT_S:
            pass  # each try takes its second
        taken_s = time.monotonic() - began
        checks.see("healthy", f"after {taken_s:.1f} s", not unhealthy and taken_s <= READY_S)
        if unhealthy:
            print(container.log())
            return
        user = container.execute(["id", "-u"]).stdout.strip()
        checks.see("runs as", user, user not in ("", "0"))
        for name in ("airplane", "truck"):
            label = json.loads(ask(port, picture(name))[1])["predictions"][0]["label"]
            checks.see(f"a picture of {name}", label, label == name)
        drained(checks, container, port)
        changes = container.changes()
        checks.see("changes to its files", ", ".join(changes[:5]) or "none", not changes)


def drained(checks: Checks, container: Container, port: int) -> None:
    """SIGTERM under load: whoever was let in is answered, and the command ends with status 0."""
    ended, asked = Event(), Event()

    def call() -> Counter[str]:
        seen = Counter[str]()
        while not ended.is_set():
            try:
                seen[str(ask(port, picture("airplane"))[0])] += 1
                asked.set()
            except urllib.error.HTTPError as error:
                seen[str(error.code)] += 1
            except urllib.error.URLError as error:
                if isinstance(error.reason, ConnectionRefusedError):
                    break  # not let in: the listener is closed
                seen[repr(error.reason)] += 1
            except (OSError, ValueError) as error:
                seen[repr(error)] += 1
        return seen

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        asked.wait(LIMIT_S)
        container.terminate()
        status = container.wait(LIMIT_S)
        ended.set()
        seen = sum((future.result() for future in calls), Counter[str]())
    checks.see("SIGTERM under load", f"status {status}", status == 0)
    told = ", ".join(f"{count} × {what}" for what, count in sorted(seen.items()))
    checks.see("answers until then", told, seen["200"] > 0 and not seen.keys() - {"200", "503"})


def check_refusal(checks: Checks, engine: Engine, tag: str) -> None:
    """Without a GPU the image for GPUs ends at once, with a line that says why."""
    with running(engine, tag) as (container, _):
        status = container.wait(LIMIT_S)
        lines = container.log().splitlines()
        # onnxruntime has lines of its own before it, and the engine may have one after it.
        reason = next((line for line in lines if line.startswith("matcaps serve:")), "no reason")
        checks.see("without a GPU", f"status {status}: {reason[:160]}", status != 0 and "GPU" in reason)


@contextlib.contextmanager
def running(engine: Engine, tag: str) -> Iterator[tuple[Container, int]]:
    """The image's command at a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    container = engine.run(tag, port, {"MATCAPS_ALLOW_ANONYMOUS": "1"})
    try:
        yield container, port
    finally:
        container.remove()


def picture(name: str) -> bytes:
    """An example."""
    return (ROOT / "examples" / f"{name}.png").read_bytes()


def ask(port: int, image: bytes) -> tuple[int, bytes]:
    """Status and body of a prediction."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", data=image, headers={"Content-Type": "image/png"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=LIMIT_S) as answer:
        return answer.status, answer.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
