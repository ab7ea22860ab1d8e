"""How each server over the trivial network is started, and how it takes an image."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.harness.client import Request
from benchmarks.harness.process import Process, free_port
from benchmarks.harness.trivial import png

BOUNDARY = "picture"
# Since 1.29 onnxruntime reports each session to its makers unless told not to; BentoML does as much.
QUIET = {"ORT_DISABLE_TELEMETRY": "1", "BENTOML_DO_NOT_TRACK": "true"}


@dataclass(frozen=True)
class Server:
    """A server that can be started over a folder of models.

    Attributes:
        name: In the tables.
        python: Of the virtual environment that holds the server.
        arguments: Of Python; ``{model}``, ``{models}`` and ``{port}`` are filled in.
        path: The route that takes an image.
        form: Whether the image is sent as a field of a form instead of as the body.
        environment: Added to this process's; filled in likewise.
    """

    name: str
    python: Path
    arguments: Sequence[str]
    path: str = "/predict"
    form: bool = False
    environment: Mapping[str, str] | None = None

    @property
    def installed(self) -> bool:
        """Whether its virtual environment exists."""
        return self.python.exists()

    @property
    def request(self) -> Request:
        """A request with one image."""
        if not self.form:
            return Request(self.path, png(), {"content-type": "image/png"})
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="images"; filename="a.png"\r\n'
        body = (head + "content-type: image/png\r\n\r\n").encode() + png() + f"\r\n--{BOUNDARY}--\r\n".encode()
        return Request(self.path, body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})

    def with_options(self, *options: str) -> "Server":
        """The same server with more options on its command line."""
        return replace(self, arguments=[*self.arguments, *options])

    def launch(self, models: Path, port: int = 0) -> Process:
        """Start it over a folder of models without waiting for it, on a free port unless one is given."""
        port = port or free_port()
        filled = {"models": models, "model": models / "smallnorb" / "1" / "model.onnx", "port": port}
        command = [str(self.python), *(part.format(**filled) for part in self.arguments)]
        added = {name: value.format(**filled) for name, value in (self.environment or {}).items()}
        return Process(command, port, QUIET | added)

    @contextlib.contextmanager
    def running(self, models: Path) -> Iterator[Process]:
        """Start it, wait until it answers an image, and end it with the context.

        Raises:
            StartError: It ended, or did not answer in time.
        """
        with self.launch(models) as process:
            process.wait_until_ready(self.request)
            yield process


def matcaps(*options: str) -> Server:
    """This service."""
    arguments = ["-m", "matcaps", "serve", "--port={port}", "--models={models}", *options]
    return Server("matcaps", Path(sys.executable), arguments)


def stand_in(*options: str, image_ms: float, max_batch: int, fixed_ms: float = 0.0) -> Server:
    """This service over a device that sleeps."""
    arguments = ["-m", "benchmarks.harness.stand_in", "{port}", "{models}", f"--fixed-ms={fixed_ms}"]
    arguments += [f"--image-ms={image_ms}", f"--max-batch={max_batch}", *options]
    return Server("stand-in", Path(sys.executable), arguments)
