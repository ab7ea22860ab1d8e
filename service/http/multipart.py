"""``multipart/form-data`` in memory: a body that is here already needs no files to hold its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from matcaps.service.errors import MalformedError, TooLargeError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_HEADER_BYTES = 8192  # of one header line of a part


@dataclass
class Part:
    """One part of a form; ``filename`` is None where the part says none, and then it is no file."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    content: bytearray = field(default_factory=bytearray)

    @property
    def media_type(self) -> str:
        """What the part says that it is, without parameters; empty where it says nothing."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


class _Form:
    """What the parser calls back; it hands out pieces of the body by their places."""

    def __init__(self, most_parts: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most_parts = most_parts
        self._header, self._value = b"", b""

    def on_part_begin(self) -> None:
        if len(self.parts) == self._most_parts:
            raise TooLargeError(f"the form has more than {self._most_parts} parts")
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
            raise MalformedError("a part of the form has no Content-Disposition of form-data with a name")
        part.name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            part.filename = options[b"filename"].decode("utf-8", "replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]

    def on_end(self) -> None:
        self.ended = True


def parse_form(content_type: str, body: bytes, most_parts: int) -> list[Part]:
    """The parts of a form, in their order.

    Raises:
        MalformedError: There is no boundary, the form ends before its closing one, or it breaks its grammar.
        TooLargeError: There are more than ``most_parts``.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise MalformedError("the Content-Type of the form names no boundary")
    form = _Form(most_parts)
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
        parser = MultipartParser(boundary, callbacks, max_header_size=MOST_HEADER_BYTES)
        parser.write(body)
    except FormParserError as error:
        raise MalformedError(f"the form cannot be read: {error}") from None
    if not form.ended:
        raise MalformedError("the form ends before its closing boundary")
    return form.parts
