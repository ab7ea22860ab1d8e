"""Limits the size of a request's headers and the time that they take to arrive.

uvicorn's parser buffers an unfinished header of any size, before the API key can be checked.
"""

import asyncio
import logging
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from matcaps.service.http.responses import problem

log = logging.getLogger("matcaps")

MAX_HEAD_BYTES = 2**16  # of the request line with its headers, or of the data between two chunks of a body


def connection(head_timeout_s: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol of one connection, which closes it when a request's head is too slow or too large.

    Args:
        head_timeout_s: Longest time from the connection, or from a request's first byte, to the end of its headers.
    """

    class Connection(HttpToolsProtocol):
        _unparsed_bytes = 0  # received since the last complete part of a request
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._unparsed_bytes += len(data)
            super().data_received(data)
            if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._reject(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {MAX_HEAD_BYTES} bytes of headers, got more"
                )

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._head_timer is None:
                self._start_timer()

        def on_headers_complete(self) -> None:
            self._unparsed_bytes = 0
            self._stop_timer()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._unparsed_bytes = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
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

        def _reject(self, status: HTTPStatus, detail: str) -> None:
            log.info("closing a connection: %s", detail)
            if self.cycle is None or self.cycle.response_complete:
                answer = problem(status, status.phrase, detail, {"connection": "close"})
                lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
                lines += (name + b": " + value for name, value in answer.raw_headers)
                self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
            self.transport.close()

    return Connection
