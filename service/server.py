"""uvicorn, told what this service wants of a listener, of the end, and of slow callers."""

import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from matcaps.service.http.connection import connection
from matcaps.service.service import Service
from matcaps.service.settings import Settings


class Server(uvicorn.Server):
    """Serves an application of ``create_app`` until SIGTERM or SIGINT, then finishes what has begun.

    From the signal on the service is not ready, and nobody new can connect; requests that have begun are answered, for
    as long as the settings say.

    Args:
        app: The application.
        settings: What was set.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._service: Service = app.state.service
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
        """Serve at a socket, in the main thread; SIGHUP has the models and the keys looked at again."""
        # uvicorn drains, then raises the signal again for whoever handled it before: a drained service is no failure.
        # What comes before uvicorn handles it itself must not be lost.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "should_exit", True))
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: self._service.reloader.now())
        self.run(sockets=[listener])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.started = False
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    Raises:
        OSError: The address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, port), family=family, backlog=2048)
    # Made anew so that it knows its protocol is TCP: asyncio turns Nagle's algorithm off only for such sockets, and
    # with it on, each answer waits some 40 ms for an acknowledgement.
    return socket.socket(fileno=server.detach())
