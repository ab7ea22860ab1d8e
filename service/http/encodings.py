"""Bodies made smaller for the way: gzip and deflate, in both directions."""

import gzip
import zlib

from matcaps.service.errors import MalformedError, TooLargeError, UnsupportedTypeError

WINDOWS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}  # deflate: zlib's format, or what some take it for
LEVEL = 1  # of answers: the quickest


def decoding_of(header: str) -> str:
    """The encoding of a body; empty where it has none.

    Raises:
        UnsupportedTypeError: It is none of those that are served.
    """
    name = header.strip().lower()
    if name in ("", "identity"):
        return ""
    if name not in WINDOWS:
        raise UnsupportedTypeError(f"bodies of Content-Encoding {name[:40]!r} are not served; served are gzip, deflate")
    return name


def decompress(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """A body as it was before it was encoded.

    Raises:
        TooLargeError: It has more than ``most_bytes``, of which no more are ever made.
        MalformedError: It is not what it says, or ends too early.
    """
    for window in WINDOWS[encoding]:
        stream = zlib.decompressobj(window)
        try:
            content = stream.decompress(body, most_bytes + 1)
        except zlib.error:
            continue
        if len(content) > most_bytes:
            raise TooLargeError(f"the body has more than {most_bytes} bytes when it is decompressed")
        if not stream.eof:
            raise MalformedError(f"the body's {encoding} ends too early")
        if stream.unused_data:
            raise MalformedError(f"{len(stream.unused_data)} bytes follow the body's {encoding}")
        return content
    raise MalformedError(f"the body is not {encoding}")


def compress(content: bytes, accepted: str) -> tuple[bytes, str | None]:
    """An answer in the first encoding that its reader names, and that encoding's name; as it is if it names none."""
    for part in accepted.lower().split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "") in ("q=0", "q=0.0"):
            continue
        if name.strip() == "gzip":
            return gzip.compress(content, LEVEL, mtime=0), "gzip"
        if name.strip() == "deflate":
            return zlib.compress(content, LEVEL), "deflate"
    return content, None
