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


class HttpServer(uvicorn.Server):
    """uvicorn with the limits of the settings.

    Args:
        app: The application.
        settings: The settings of the service.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connection(settings.body_timeout_s),
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=settings.keep_alive_s,
                timeout_graceful_shutdown=settings.drain_s,
            )
        )


class Server(HttpServer):
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
        super().__init__(app, settings)

    def serve_until_told(self, listeners: list[socket.socket]) -> None:
        """Serve at sockets, in the main thread. SIGHUP refreshes the models and the API keys."""
        # After draining, uvicorn raises the signal again. This handler then changes nothing, so the exit status is 0.
        # It also handles signals that come before uvicorn has set its own handlers.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "should_exit", True))
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: self._reloader.now())
        self.run(sockets=listeners)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.drain()
        super().handle_exit(sig, frame)


def listen(host: str, port: int, share: bool = False) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Sockets that share may listen at the same address.

    A name with addresses of both families gets the IPv4 one. ``::`` also takes IPv4 connections, if the system can.

    Raises:
        OSError: The address is not this machine's, or the port is taken.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    server = socket.create_server(address, family=family, backlog=2048, reuse_port=share, dualstack_ipv6=both)
    # A new socket object that knows its protocol is TCP. asyncio disables Nagle's algorithm only for such sockets; with
    # it, each response waits some 40 ms for an acknowledgement.
    return socket.socket(fileno=server.detach())


def listen_together(host: str, port: int, number: int) -> list[socket.socket]:
    """As many listening sockets at one address, among which Linux divides new connections evenly.

    Raises:
        OSError: As ``listen``. Sockets of other services count as taken, even if they would share.
    """
    if number == 1:
        return [listen(host, port)]
    with listen(host, port) as alone:  # closed at once: it only asks whether the port is free
        port = alone.getsockname()[1]
    return [listen(host, port, share=True) for _ in range(number)]


def addresses(listener: socket.socket) -> str:
    """Where a socket listens, for people: first a URL that can be opened on this machine."""
    host, port = listener.getsockname()[:2]
    if host == "0.0.0.0":
        return f"{url('127.0.0.1', port)} and at all other IPv4 addresses of this machine"
    if host == "::":
        only_ipv6 = listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        other = (
            "all other IPv6 addresses of this machine but no IPv4 address"
            if only_ipv6
            else "all other addresses of this machine, IPv4 too"
        )
        return f"{url('::1', port)} and at {other}"
    return url(host, port)


def url(host: str, port: int) -> str:
    """The URL of an address.

    >>> url("127.0.0.1", 8000), url("::1", 8000), url("fe80::1%eth0", 8000)
    ('http://127.0.0.1:8000', 'http://[::1]:8000', 'http://[fe80::1%25eth0]:8000')
    """
    if ":" in host:
        host = f"[{host.replace('%', '%25')}]"  # RFC 6874: a zone's percent sign is escaped
    return f"http://{host}:{port}"
