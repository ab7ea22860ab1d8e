"""uvicorn with connection limits, signal handlers and draining."""

import gc
import signal
import socket
from types import FrameType
from typing import Any

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

    def serve_until_told(self, listener: socket.socket) -> None:
        """Serve at a socket, in the main thread. SIGHUP refreshes the models and the API keys."""
        # After draining, uvicorn raises the signal again. This handler then changes nothing, so the exit status is 0.
        # It also handles signals that come before uvicorn has set its own handlers.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "should_exit", True))
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: self._reloader.now())
        # Modules and models stay. The garbage collector would look through all of them every few hundred requests, for
        # some 50 ms in which no request moves on.
        gc.collect()
        gc.freeze()
        self.run(sockets=[listener])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.drain()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    A name with addresses of both families gets the IPv4 one. ``::`` also takes IPv4 connections, if the system can.

    Raises:
        OSError: The address is not this machine's, or the port is taken.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    server = socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=both)
    # A new socket object that knows its protocol is TCP. asyncio disables Nagle's algorithm only for such sockets; with
    # it, each response waits some 40 ms for an acknowledgement.
    return socket.socket(fileno=server.detach())


def reserve(host: str, port: int) -> socket.socket:
    """A socket that is bound as ``listen`` binds one, does not listen, and lets ``share`` bind others.

    Raises:
        OSError: As ``listen``. The port of another service is taken, even if that would share it.
    """
    with listen(host, port) as alone:
        place = _place(alone)
    return _bind(place)


def share(bound: socket.socket) -> socket.socket:
    """One more socket that is bound to the address of a reserved one, and does not listen yet.

    Linux divides new connections among the sockets that listen at one address. While none listens, it refuses them.
    """
    return _bind(_place(bound))


Place = tuple[int, Any, int]
"""Family, address, and whether it is for IPv6 alone."""


def _place(bound: socket.socket) -> Place:
    ipv6 = bound.family == socket.AF_INET6
    return bound.family, bound.getsockname(), bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) if ipv6 else 0


def _bind(place: Place) -> socket.socket:
    family, address, only_ipv6 = place
    shared = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        shared.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
    shared.bind(address)
    return shared


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
