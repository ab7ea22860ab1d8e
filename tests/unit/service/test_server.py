"""Where the service listens, and what it says about it."""

import gc
import signal
import socket
from typing import Any

import pytest
from fastapi import FastAPI

from matcaps.service.server import Server, addresses, listen, reserve, share
from matcaps.service.settings import Settings


class Bound:
    """A socket that is bound to an address."""

    def __init__(self, host: str, only_ipv6: int = 0) -> None:
        self._host, self._only_ipv6 = host, only_ipv6

    def getsockname(self) -> Any:
        return (self._host, 8000, 0, 0) if ":" in self._host else (self._host, 8000)

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return self._only_ipv6


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (Bound("127.0.0.1"), "http://127.0.0.1:8000"),
        (Bound("::1"), "http://[::1]:8000"),
        (Bound("fe80::1%eth0"), "http://[fe80::1%25eth0]:8000"),
        (Bound("0.0.0.0"), "http://127.0.0.1:8000 and at all other IPv4 addresses of this machine"),
        (Bound("::"), "http://[::1]:8000 and at all other addresses of this machine, IPv4 too"),
        (Bound("::", 1), "http://[::1]:8000 and at all other IPv6 addresses of this machine but no IPv4 address"),
    ],
    ids=["IPv4", "IPv6", "zone", "all IPv4", "all", "all IPv6"],
)
def test_the_logged_url_can_be_opened(bound: Any, text: str) -> None:
    """An IPv6 address has brackets, and all addresses are named by one that can be opened."""
    assert addresses(bound) == text


@pytest.mark.parametrize(("host", "reached_at"), [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_a_host_is_reached_at_its_address(host: str, reached_at: str) -> None:
    """A name is looked up, and its IPv4 address is taken."""
    with listen(host, 0) as listener:
        socket.create_connection((reached_at, listener.getsockname()[1])).close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no sockets for both IPv6 and IPv4")
def test_an_ipv6_socket_takes_ipv4_too() -> None:
    """A socket that listens at an IPv6 address takes IPv4 connections, as far as the address allows."""
    with listen("::1", 0) as listener:
        assert addresses(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        socket.create_connection(("::1", listener.getsockname()[1])).close()
    with listen("::ffff:127.0.0.1", 0) as listener:  # 127.0.0.1, seen from an IPv6 socket
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()


def test_an_unknown_host_is_an_error() -> None:
    """A host that cannot be found raises OSError with a reason."""
    with pytest.raises(OSError, match=r"[Nn]ame|nodename"):
        listen("[::1]", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_shared_sockets_listen_at_the_reserved_address(host: str) -> None:
    """Connections are refused until one of them listens, and any number may."""
    with reserve(host, 0) as reserved, share(reserved) as one, share(reserved) as other:
        address = reserved.getsockname()
        assert one.getsockname() == other.getsockname() == address
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address[:2])
        one.listen()
        other.listen()
        socket.create_connection(address[:2]).close()


def test_a_port_that_another_service_shares_is_taken() -> None:
    """Two services at one port would divide the requests between them."""
    with reserve("127.0.0.1", 0) as reserved, share(reserved) as listening:
        listening.listen()
        with pytest.raises(OSError, match="in use"):
            reserve(*reserved.getsockname())


def test_the_garbage_collector_leaves_what_was_loaded_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server begins to serve, all objects that exist are frozen."""
    frozen: list[int] = []
    monkeypatch.setattr(Server, "run", lambda self, sockets: frozen.append(gc.get_freeze_count()))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    app = FastAPI()
    app.state.engine = app.state.reloader = None
    try:
        with socket.socket() as listener:
            Server(app, Settings()).serve_until_told(listener)
    finally:
        gc.unfreeze()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert frozen[0] > 10_000
