"""The HTTP client of benchmarks and checks: one request at a time, or many connections in one event loop."""

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

HOST = "127.0.0.1"
ANSWER_S = 30.0
IDLE_S = 2.0  # servers close idle connections, some after 5 s; a request that is sent at that moment is lost


@dataclass(frozen=True)
class Request:
    """A request; its method is GET without a body and POST with one, unless it is given."""

    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""

    def encode(self) -> bytes:
        """The bytes that are sent.

        >>> Request("/health/live").encode()
        b'GET /health/live HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\ncontent-length: 0\\r\\n\\r\\n'
        """
        method = self.method or ("POST" if self.body else "GET")
        lines = [f"{method} {self.path} HTTP/1.1", f"host: {HOST}", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Answer:
    """A response; the names of its headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Parser:
    """Parses the answers of one connection, one after the other."""

    def __init__(self) -> None:
        self.keep_alive = True
        self._complete: Answer | None = None
        self._headers: dict[str, str] = {}
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> Answer | None:
        """Take what arrived; the answer, once it is complete.

        Raises:
            httptools.HttpParserError: The bytes are not HTTP.
        """
        self._parser.feed_data(data)
        answer, self._complete = self._complete, None
        return answer

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools. A header that comes twice becomes a list, separated by commas."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        self._body += body

    def on_message_complete(self) -> None:
        """Called by httptools."""
        self.keep_alive = self._parser.should_keep_alive()
        self._complete = Answer(self._parser.get_status_code(), self._body, self._headers)
        self._headers, self._body = {}, b""
        self._parser = httptools.HttpResponseParser(self)


class Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = Parser()
        self.open = False
        self.idle_since = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Send the bytes of a request, and wait for its answer.

        Raises:
            ConnectionError: The connection ended before the answer did.
            TimeoutError: The answer takes too long.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_S):
            return await self._answer

    def close(self) -> None:
        """End the connection."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._parser.feed(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self.close()
            return
        if answer is not None:
            self.open = self.open and self._parser.keep_alive
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail("the connection ended before the answer did")

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(reason))


class Client:
    """Connections to one port, reused."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    @property
    def busy(self) -> int:
        """Connections that wait for an answer."""
        return len(self._all) - len(self._idle)

    async def ask(self, request: bytes) -> Answer:
        """Send the bytes of a request over an idle connection, or over a new one.

        Raises:
            OSError: There is no connection, or it ends before the answer does.
            TimeoutError: The answer takes too long.
        """
        now = time.perf_counter()
        while self._idle and (not self._idle[-1].open or self._idle[-1].idle_since < now - IDLE_S):
            self._drop(self._idle.pop())
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await connection.ask(request)
        except BaseException:
            self._drop(connection)
            raise
        if connection.open:
            connection.idle_since = time.perf_counter()
            self._idle.append(connection)
        else:
            self._drop(connection)
        return answer

    def close(self) -> None:
        """End all connections."""
        for connection in self._all:
            connection.close()

    def _drop(self, connection: Connection) -> None:
        self._all.discard(connection)
        connection.close()

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, self._port)
        self._all.add(connection)
        return connection


def ask(port: int, request: Request, timeout_s: float = ANSWER_S) -> Answer:
    """Send one request over a connection of its own, and block until the answer is there.

    Raises:
        OSError: There is no connection, or it ends before the answer does.
        TimeoutError: The answer takes too long.
    """
    until = time.monotonic() + timeout_s
    parser = Parser()
    # The request follows the connection at once: a server that drains closes connections without a request.
    with socket.create_connection((HOST, port), timeout_s) as connection:
        connection.sendall(request.encode())
        while time.monotonic() < until:
            connection.settimeout(max(0.001, until - time.monotonic()))
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionError("the connection ended before the answer did")
            try:
                answer = parser.feed(data)
            except httptools.HttpParserError as error:
                raise ConnectionError(f"not HTTP: {error}") from error
            if answer is not None:
                return answer
    raise TimeoutError(f"no answer within {timeout_s:g} s")
