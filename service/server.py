"""uvicorn with connection limits, signal handlers and draining."""

import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from matcaps.service.engine.engine import Engine
from matcaps.service.engine.reload import Reloader
from matcaps.service.http.connection import connection
from matcaps.service.settings import Settings


class Server(uvicorn.Server):
    """Serves an application of ``create_app`` until SIGTERM or SIGINT, then drains.

    While it drains, the service is not ready and accepts no connections. Requests that have begun are answered, for as
    long as the settings allow.

    Args:
        app: The application.
        settings: The settings of the service.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._engine: Engine = app.state.engine
        self._reloader: Reloader = app.state.reloader
        super().__init__(
            uvicorn.Config(
                app,
                http=connection(settings.body_timeout_s),
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=settings.drain_s,
            )
        )

    def serve_until_told(self, listener: socket.socket) -> None:
        """Serve at a socket, in the main thread. SIGHUP refreshes the models and the API keys."""
        # After draining, uvicorn raises the signal again. This handler then changes nothing, so the exit status is 0.
        # It also handles signals that come before uvicorn has set its own handlers.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "should_exit", True))
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: self._reloader.now())
        self.run(sockets=[listener])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.drain()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    Raises:
        OSError: The address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, port), family=family, backlog=2048)
    # A new socket object that knows its protocol is TCP. asyncio disables Nagle's algorithm only for such sockets; with
    # it, each response waits some 40 ms for an acknowledgement.
    return socket.socket(fileno=server.detach())
