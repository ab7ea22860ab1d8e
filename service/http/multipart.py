"""Parses ``multipart/form-data`` in memory, without temporary files."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from matcaps.service.errors import MalformedError, TooLargeError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_HEADER_BYTES = 8192  # of one header line of a part


@dataclass
class Part:
    """One part of a form; a part without a ``filename`` or ``filename*`` is a text field, not a file."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    content: bytearray = field(default_factory=bytearray)

    @property
    def media_type(self) -> str:
        """The part's Content-Type without parameters, or an empty text."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


class _Form:
    """The parser's callbacks. Each gets the whole body, and the start and end of a piece of it."""

    def __init__(self, max_parts: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._max_parts = max_parts
        self._header, self._value = b"", b""

    def on_part_begin(self) -> None:
        if len(self.parts) == self._max_parts:
            raise TooLargeError(f"at most {self._max_parts} parts per form, got more")
        self.parts.append(Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self.parts[-1].headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def on_headers_finished(self) -> None:
        part = self.parts[-1]
        disposition, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            raise MalformedError("each part of a form needs the header Content-Disposition: form-data with a name")
        part.name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            part.filename = options[b"filename"].decode("utf-8", "replace")
        elif b"filename*" in part.headers[b"content-disposition"].lower():
            part.filename = _extended_filename(part.headers[b"content-disposition"])

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]

    def on_end(self) -> None:
        self.ended = True


def _extended_filename(disposition: bytes) -> str | None:
    """The parameter ``filename*`` (RFC 5987), if there is one: RFC 7578 forbids it, but some clients send it."""
    message = Message()
    message["content-disposition"] = disposition.decode("latin-1")
    try:
        return message.get_filename()
    except ValueError:  # from the number of a continuation, such as filename*99999…
        return None


def parse_form(content_type: str, body: bytes, max_parts: int) -> list[Part]:
    """The parts of a form, in order.

    Raises:
        MalformedError: The boundary is missing, the form ends before its closing boundary, or its syntax is wrong.
        TooLargeError: There are more parts than ``max_parts``.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise MalformedError("the Content-Type of a form needs a boundary")
    form = _Form(max_parts)
    callbacks: MultipartCallbacks = {
        "on_part_begin": form.on_part_begin,
        "on_header_field": form.on_header_field,
        "on_header_value": form.on_header_value,
        "on_header_end": form.on_header_end,
        "on_headers_finished": form.on_headers_finished,
        "on_part_data": form.on_part_data,
        "on_end": form.on_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks, max_header_size=MAX_HEADER_BYTES)
        parser.write(body)
    except FormParserError as error:
        raise MalformedError(f"malformed form: {error}") from None
    if not form.ended:
        raise MalformedError("the form ends before its closing boundary")
    return form.parts
