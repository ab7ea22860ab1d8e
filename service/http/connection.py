"""A caller's connection: what comes before a request's body is bounded in size and in time.

The parser itself keeps whatever it is sent until a header ends, before anybody could be asked for a key.
"""

import asyncio
import logging
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from matcaps.service.http.responses import problem

log = logging.getLogger("matcaps")

MOST_BYTES = 2**16  # of a request's line and headers, or of what stands between two pieces of its body


def connection(longest_s: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol over one connection, which ends it when a request's head is too slow or too large.

    Args:
        longest_s: From the connection or from a request's first byte to the end of its headers, in seconds.
    """

    class Connection(HttpToolsProtocol):
        _unfinished = 0  # bytes that came since anything of a request was complete
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_head()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._unfinished += len(data)
            super().data_received(data)
            if self._unfinished > MOST_BYTES and not self.transport.is_closing():
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the headers have more than {MOST_BYTES} bytes"
                )

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._late is None:
                self._expect_head()

        def on_headers_complete(self) -> None:
            self._unfinished = 0
            self._forget_head()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._unfinished = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._unfinished = 0
            super().on_message_complete()

        def _expect_head(self) -> None:
            self._late = self.loop.call_later(longest_s, self._end_late)

        def _forget_head(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _end_late(self) -> None:
            self._late = None
            if self.cycle is not None and not self.cycle.response_complete:
                self._expect_head()  # an earlier request of this connection is still being answered
            elif not self.transport.is_closing():
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the headers did not arrive within {longest_s:g} s")

        def _refuse(self, status: HTTPStatus, detail: str) -> None:
            log.info("a connection was ended: %s", detail)
            if self.cycle is None or self.cycle.response_complete:
                answer = problem(status, status.phrase, detail, {"connection": "close"})
                lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
                lines += (name + b": " + value for name, value in answer.raw_headers)
                self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
            self.transport.close()

    return Connection
