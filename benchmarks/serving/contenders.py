"""The servers that are compared, each of which does the same work."""

import os
import sys
from pathlib import Path

from benchmarks.harness.servers import Server, matcaps

PEERS = Path(__file__).parent / "peers"
BARE = "bare FastAPI"


def environments() -> Path:
    """The folder of the peers' virtual environments, which ``scripts/make-peers`` makes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matcaps" / "peers"


def contenders(workers: int = 1) -> list[Server]:
    """All of them, installed or not; matcaps is the first, the bare handler the second.

    Args:
        workers: Processes that speak HTTP (matcaps, LitServe) or do everything (BentoML), and processes behind the
            front (mosec). The bare handler has one.
    """
    model = {"MODEL": "{model}", "WORKERS": str(workers)}
    python = {name: environments() / name / "bin" / "python" for name in ("litserve", "bentoml", "mosec")}
    bento = ["-m", "bentoml", "serve", "bentoml_server:Predict", "--working-dir", str(PEERS)]
    return [
        matcaps(f"--http-workers={workers}"),
        Server(BARE, Path(sys.executable), [str(PEERS / "bare.py"), "{model}", "{port}"]),
        Server(
            "LitServe",
            python["litserve"],
            [str(PEERS / "litserve_server.py"), "{model}", "{port}"],
            form=True,
            environment=model,
        ),
        Server(
            "BentoML",
            python["bentoml"],
            [*bento, "--host", "127.0.0.1", "--port", "{port}"],
            form=True,
            environment=model,
        ),
        Server(
            "mosec",
            python["mosec"],
            [str(PEERS / "mosec_server.py"), "--address", "127.0.0.1", "--port", "{port}"],
            "/inference",
            environment=model,
        ),
    ]
