"""Who is compared: how each server is started, and how it wants to be asked."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving.process import Running, free_port, serving
from benchmarks.serving.trivial import png

HERE = Path(__file__).parent / "peers"
OURS, BARE = "matcaps", "bare FastAPI"
BOUNDARY = "picture"


@dataclass(frozen=True)
class Contender:
    """A server over the trivial network.

    Attributes:
        name: In the tables.
        python: Of the environment that holds the engine.
        arguments: Of Python; ``{model}``, ``{models}``, ``{port}`` are filled in.
        path: That takes a picture.
        form: Whether the picture comes as a field of a form; else it is the body.
        environment: Added to ours; filled in likewise.
    """

    name: str
    python: Path
    arguments: Sequence[str]
    path: str = "/predict"
    form: bool = False
    environment: Mapping[str, str] | None = None

    @property
    def installed(self) -> bool:
        """Whether its environment is there."""
        return self.python.exists()

    @property
    def headers(self) -> dict[str, str]:
        """Of a request."""
        kind = f"multipart/form-data; boundary={BOUNDARY}" if self.form else "image/png"
        return {"content-type": kind}

    @property
    def body(self) -> bytes:
        """Of a request: one picture."""
        if not self.form:
            return png()
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="images"; filename="a.png"\r\n'
        return (head + "content-type: image/png\r\n\r\n").encode() + png() + f"\r\n--{BOUNDARY}--\r\n".encode()

    def with_settings(self, *options: str) -> "Contender":
        """The same server with more options on its command line."""
        return replace(self, arguments=[*self.arguments, *options])

    def start(self, models: Path) -> AbstractContextManager[Running]:
        """The server over the network in a folder of models, for as long as the context lasts."""
        port = free_port()
        filled = {"models": models, "model": models / "smallnorb" / "1" / "model.onnx", "port": port}
        command = [str(self.python), *(part.format(**filled) for part in self.arguments)]
        added = {name: value.format(**filled) for name, value in (self.environment or {}).items()}
        # Since 1.29 onnxruntime reports each session to its makers unless told not to; BentoML does as much.
        quiet = {"ORT_DISABLE_TELEMETRY": "1", "BENTOML_DO_NOT_TRACK": "true"}
        return serving(command, port, (self.path, self.body, self.headers), quiet | added)


def environments() -> Path:
    """The folder of the peers' virtual environments, which ``scripts/make-peers`` makes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matcaps" / "peers"


def contenders() -> list[Contender]:
    """All of them, installed or not; this service is the first, the bare handler the second."""
    here, model = Path(sys.executable), {"MODEL": "{model}"}
    python = {name: environments() / name / "bin" / "python" for name in ("litserve", "bentoml", "mosec")}
    bento = ["-m", "bentoml", "serve", "bentoml_server:Predict", "--working-dir", str(HERE)]
    return [
        Contender(OURS, here, ["-m", "matcaps", "serve", "--port", "{port}", "--models", "{models}"]),
        Contender(BARE, here, [str(HERE / "bare.py"), "{model}", "{port}"]),
        Contender("LitServe", python["litserve"], [str(HERE / "litserve_server.py"), "{model}", "{port}"], form=True),
        Contender(
            "BentoML",
            python["bentoml"],
            [*bento, "--host", "127.0.0.1", "--port", "{port}"],
            form=True,
            environment=model,
        ),
        Contender(
            "mosec",
            python["mosec"],
            [str(HERE / "mosec_server.py"), "--address", "127.0.0.1", "--port", "{port}"],
            "/inference",
            environment=model,
        ),
    ]
