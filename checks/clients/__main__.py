"""``scripts/check-clients``: real clients predict over one running service, each as its users do."""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tyro

from benchmarks.harness.client import Answer
from benchmarks.harness.servers import BOUNDARY, matcaps
from benchmarks.harness.trivial import CLASSES, write_model
from checks.clients import perf_analyzer, python_clients
from checks.known_answers import grey_png, is_right

HERE = Path(__file__).parent
LIMIT_S = 120.0
LEVEL = 70  # of the grey image
CURL = ("curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*", "--write-out", "\\n")


def check(program: str = perf_analyzer.PROGRAM) -> None:
    """Predict with each client, and exit with 1 if one is missing or gets a wrong answer.

    Args:
        program: The command of Triton's perf_analyzer, which is passed over where it is not installed.
    """
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "models")
        bodies = _bodies()
        files = []
        for number, (kind, body) in enumerate(bodies):
            (folder / str(number)).write_bytes(body)
            files += [(kind, str(folder / str(number)))]
        flat = [text for pair in files for text in pair]
        with matcaps("--log-level=warning").running(folder / "models") as process:
            address = process.url("")
            images: dict[str, Callable[[], list[str]]] = {
                "Java HttpClient": lambda: _run("java", str(HERE / "JavaClient.java"), address, *flat),
                "Node fetch": lambda: _run("node", str(HERE / "node_client.mjs"), address, *flat),
                "curl": lambda: _run(*CURL, *_curl_options(address, files)),
                "curl --http2": lambda: _run(*CURL, "--http2", *_curl_options(address, files, "--http2")),
                "httpx": lambda: python_clients.httpx_sync(address, bodies),
                "httpx, async": lambda: python_clients.httpx_async(address, bodies),
            }
            tensors: dict[str, Callable[[], list[float]]] = {
                "matcaps.client": lambda: python_clients.matcaps_client(address, LEVEL),
                "Triton's client": lambda: python_clients.triton_client(address, LEVEL),
                "KServe's client": lambda: python_clients.kserve_client(address, LEVEL),
            }
            if perf_analyzer.installed(program):
                failures += _try("perf_analyzer", lambda: _measure(address, program))
            else:
                print(f"{program}: passed over, because it is not installed (its package needs glibc 2.38)")
            for client, predict in images.items():
                failures += _try(client, lambda predict=predict: _check_answers(predict(), len(bodies)))  # type: ignore[misc]
            for client, infer in tensors.items():
                failures += _try(client, lambda infer=infer: _check_activations(infer()))  # type: ignore[misc]
    print("\n".join(failures) or "all clients got right answers")
    sys.exit(bool(failures))


def _bodies() -> list[tuple[str, bytes]]:
    """The same image as a raw body, as a form and as JSON, and raw once more over the connection."""
    png = grey_png(LEVEL)
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="images"; filename="a.png"\r\n\r\n'.encode()
    form = head + png + f"\r\n--{BOUNDARY}--\r\n".encode()
    text = json.dumps({"images": [base64.b64encode(png).decode()]}).encode()
    kinds = ["image/png", f"multipart/form-data; boundary={BOUNDARY}", "application/json", "image/png"]
    return list(zip(kinds, [png, form, text, png], strict=True))


def _measure(address: str, program: str) -> None:
    perf_analyzer.measure(address, "smallnorb", program, callers=[4], requests=100)


def _curl_options(address: str, files: list[tuple[str, str]], *more: str) -> list[str]:
    options: list[str] = []
    for kind, file in files:
        options += ["--next", *CURL[1:], *more] if options else []
        options += ["--header", f"content-type: {kind}", "--data-binary", f"@{file}", f"{address}/predict"]
    return options


def _run(*command: str) -> list[str]:
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"{command[0]} is not installed")
    found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if found.returncode:
        raise ValueError(f"status {found.returncode}: {(found.stderr + found.stdout)[-300:]}")
    return found.stdout.splitlines()


def _check_answers(answers: list[str], number: int) -> None:
    if len(answers) != number:
        raise ValueError(f"expected {number} answers, got {len(answers)}")
    for answer in answers:
        if not is_right(Answer(200, answer.encode()), LEVEL):
            raise ValueError(f"a wrong answer: {answer[:200]}")


def _check_activations(found: list[float]) -> None:
    np.testing.assert_allclose(found, [(LEVEL + place) / 1000 for place in range(len(CLASSES))], atol=1e-5)


def _try(client: str, run: Callable[[], None]) -> list[str]:
    try:
        run()
    except Exception as error:  # a client may raise anything; each is reported
        return [f"BROKEN: {client}: {type(error).__name__} {error}"]
    print(f"{client}: right", flush=True)
    return []


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-clients")
