"""Limits a request's headers in size and time, and answers a request that asks for an upgrade as any other.

uvicorn's parser buffers an unfinished header of any size, before the API key can be checked. It also ends a request
with ``Connection: Upgrade`` after the headers, and would parse the body as the next request.
"""

import asyncio
import logging
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from matcaps.service.http.responses import problem

log = logging.getLogger("matcaps")

MAX_HEAD_BYTES = 2**16  # of the request line with its headers, or of the data between two chunks of a body


def connection(head_timeout_s: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol of one connection, which closes it when a request's head is too slow or too large.

    No upgrade is taken: the header Upgrade is dropped, and the request is answered (RFC 9110, 7.8).

    Args:
        head_timeout_s: Longest time from the connection, or from a request's first byte, to the end of its headers.
    """

    class Connection(HttpToolsProtocol):
        _unparsed_bytes = 0  # received since the last complete part of a request
        _most_head_bytes = 0  # no head that ends in the data at hand is larger
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._unparsed_bytes += len(data)
            self._most_head_bytes = self._unparsed_bytes
            try:
                self._parse(data)
            except httptools.HttpParserError:
                if not self.transport.is_closing():
                    self.send_400_response("Invalid HTTP request received.")
                return
            if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._reject_large_head()

        def _parse(self, data: bytes | memoryview) -> None:
            while True:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    # The parser has skipped the body. A new one parses the same head without Upgrade, and what follows.
                    data = memoryview(data)[upgrade.args[0] :]
                    head = self._head_without_upgrade()
                    self.parser = httptools.HttpRequestParser(self)
                    self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
                    self.parser.feed_data(head)

        def _head_without_upgrade(self) -> bytes:
            method, version = self.parser.get_method(), self.parser.get_http_version().encode()
            lines = [method + b" " + self.url + b" HTTP/" + version]
            lines += (name + b": " + value for name, value in self.headers if name != b"upgrade")
            return b"\r\n".join([*lines, b"", b""])

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._unset_keepalive_if_required()
            if self._head_timer is None:
                self._start_timer()

        def on_headers_complete(self) -> None:
            if self._most_head_bytes > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
                self._reject_large_head()
                raise ValueError("the head is too large")  # ends the parsing
            if self.parser.should_upgrade():
                if self.parser.get_method() == b"CONNECT":
                    self._reject(
                        HTTPStatus.METHOD_NOT_ALLOWED, "this is no proxy, got CONNECT", {"allow": "GET, HEAD, POST"}
                    )
                    raise ValueError("CONNECT")
                return  # comes again without the upgrade
            self._unparsed_bytes = 0
            self._stop_timer()
            self._unset_keepalive_if_required()  # may have been set since the head began
            super().on_headers_complete()
            self.headers = []  # for trailers, which must not become headers of the request

        def _head_bytes(self) -> int:
            return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

        def on_body(self, body: bytes) -> None:
            self._unparsed_bytes = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            if not self.parser.should_upgrade():
                self._unparsed_bytes = 0
                super().on_message_complete()

        def _start_timer(self) -> None:
            self._head_timer = self.loop.call_later(head_timeout_s, self._time_out)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _time_out(self) -> None:
            self._head_timer = None
            if self.cycle is not None and not self.cycle.response_complete:
                self._start_timer()  # the service still answers an earlier request of this connection
            elif not self.transport.is_closing():
                self._reject(HTTPStatus.REQUEST_TIMEOUT, f"the headers did not arrive within {head_timeout_s:g} s")

        def _reject_large_head(self) -> None:
            detail = f"at most {MAX_HEAD_BYTES} bytes of headers, got more"
            self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)

        def _reject(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
            log.info("closing a connection: %s", detail)
            if self.cycle is None or self.cycle.response_complete:
                answer = problem(status, status.phrase, detail, {"connection": "close", **(headers or {})})
                lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
                lines += (name + b": " + value for name, value in answer.raw_headers)
                self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
            self.transport.close()

    return Connection
