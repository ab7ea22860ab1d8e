"""A connection splits its bytes into requests rightly, whatever upgrade they ask for and however they arrive."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from matcaps.service.http.connection import MAX_HEAD_BYTES, connection

HTTP2 = b"connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\nupgrade: h2c\r\n"
WEBSOCKET = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: YQ==\r\nsec-websocket-version: 13\r\n"
UPGRADES = [
    HTTP2,
    WEBSOCKET,
    b"connection: upgrade\r\nupgrade: h2,h2c\r\n",
    b"Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.2\r\nUpgrade: HTTP/3.0\r\n",
]
BODY = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
LENGTH = b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"transfer-encoding: chunked\r\n\r\n7\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (BODY[:7], len(BODY) - 7, BODY[7:])
POST = b"POST /a?b=%20c HTTP/1.1\r\nhost: x\r\nx-empty:\r\n"
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\n\r\n"


class Seen(NamedTuple):
    """A request that the application got."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closing = b"", False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        """The test sends all the same."""

    def resume_reading(self) -> None:
        """The test sends all the same."""


def talk(pieces: Iterable[bytes]) -> tuple[list[Seen], bytes]:
    """The requests in the bytes of one connection, which arrive in pieces, and the answers."""
    seen: list[Seen] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        seen.append(Seen(scope["method"], scope["raw_path"] + b"?" + scope["query_string"], scope["headers"], body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> bytes:
        transport = Transport()
        config = Config(app, http=connection(30.0), ws="none", lifespan="off", log_config=None)
        protocol = connection(30.0)(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)
        for piece in pieces:
            if not transport.closing:
                protocol.data_received(piece)
            for _ in range(8):  # lets the application take it
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        return transport.written

    return seen, asyncio.run(run())


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("upgrade", UPGRADES, ids=["h2c", "websocket", "two in a list", "two headers"])
def test_an_upgrade_is_ignored(upgrade: bytes, framing: bytes) -> None:
    """The body belongs to its request, and the next request is read after it."""
    seen, answers = talk([POST + upgrade + framing + LAST])
    assert [(request.method, request.target, request.body) for request in seen] == [
        ("POST", b"/a?b=%20c", BODY),
        ("GET", b"/last?", b""),
    ]
    assert (b"x-empty", b"") in seen[0].headers
    assert b"upgrade" not in dict(seen[0].headers)
    assert answers.count(b"HTTP/1.1 204 ") == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10**4), max_size=8), st.permutations([POST + HTTP2 + LENGTH, POST + WEBSOCKET + CHUNKED])
)
def test_pieces_do_not_matter(cuts: list[int], first: list[bytes]) -> None:
    """The same requests are seen however their bytes are cut, with upgrades one after the other."""
    stream = b"".join([*first, b"GET / HTTP/1.1\r\nhost: x\r\n", HTTP2, b"\r\n", LAST])
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert talk(pieces) == talk([stream])
    assert [request.body for request in talk(pieces)[0]] == [BODY, BODY, b"", b""]


def test_every_byte_may_come_alone() -> None:
    """An upgrade that arrives byte by byte is ignored too."""
    stream = POST + HTTP2 + CHUNKED + LAST
    seen, _ = talk(stream[place : place + 1] for place in range(len(stream)))
    assert [request.body for request in seen] == [BODY, b""]


def test_an_upgrade_keeps_the_end_of_the_connection() -> None:
    """A request that asks for an upgrade and for the end of the connection gets both its body and that end."""
    seen, answer = talk([POST + HTTP2.replace(b"Upgrade,", b"close, upgrade,") + LENGTH + LAST])
    assert [request.body for request in seen] == [BODY]
    assert b"connection: close\r\n" in answer


def test_connect_gets_405_and_the_end_of_the_connection() -> None:
    """CONNECT, whose body has no framing, is refused, and nothing behind it is read."""
    for target in (b"example.org:443", b"/last"):
        seen, answer = talk([b"CONNECT " + target + b" HTTP/1.1\r\nhost: x\r\n" + LENGTH + LAST])
        assert not seen
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nallow: " in answer
        assert b"\r\nconnection: close\r\n" in answer


def test_garbage_gets_400_and_the_end_of_the_connection() -> None:
    """What is not HTTP, behind an upgrade too, ends the connection."""
    assert talk([b"garbage\r\n\r\n"])[1].startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 400 " in talk([POST + HTTP2 + LENGTH, b"garbage\r\n\r\n"])[1]


@pytest.mark.parametrize("before", [b"", LAST, LAST + POST + LENGTH], ids=["alone", "second", "third"])
@pytest.mark.parametrize("upgrade", [b"", HTTP2], ids=["plain", "upgrade"])
def test_a_large_head_in_one_read_gets_431(before: bytes, upgrade: bytes) -> None:
    """The limit of a head holds also if all of it arrives at once, behind other requests too."""
    head = b"GET / HTTP/1.1\r\nhost: x\r\n" + upgrade + b"x-a: "
    seen, answer = talk([before, head + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"])
    assert b"HTTP/1.1 431 " in answer
    seen_small, answer = talk([before, head + b"a" * (MAX_HEAD_BYTES - len(head) - len(b"\r\n\r\n")) + b"\r\n\r\n"])
    assert b"HTTP/1.1 431 " not in answer
    assert len(seen_small) == len(seen) + 1


def test_trailers_are_no_headers() -> None:
    """What follows a chunked body does not become a header of the request."""
    seen, _ = talk([POST + CHUNKED[:-2] + b"x-api-key: a\r\nhost: b\r\n\r\n" + LAST])
    assert [request.body for request in seen] == [BODY, b""]
    assert seen[0].headers == [(b"host", b"x"), (b"x-empty", b""), (b"transfer-encoding", b"chunked")]
