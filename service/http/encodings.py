"""Content encodings of requests and answers: gzip and deflate."""

import gzip
import zlib

from matcaps.service.errors import MalformedError, TooLargeError, UnsupportedTypeError

WINDOWS = {
    "gzip": (31,),
    "x-gzip": (31,),
    "deflate": (15, -15),
}  # deflate is zlib's format; some clients send raw deflate
LEVEL = 1  # of compressed answers: the fastest


def decoding_of(header: str) -> str:
    """The encoding that a Content-Encoding header names, or an empty text for none.

    Raises:
        UnsupportedTypeError: The encoding is not supported.
    """
    name = header.strip().lower()
    if name in ("", "identity"):
        return ""
    if name not in WINDOWS:
        raise UnsupportedTypeError(f"unsupported Content-Encoding {name[:40]!r}; supported: gzip, deflate")
    return name


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decompress a body.

    Raises:
        TooLargeError: It has more than ``max_bytes``; decompression stops there.
        MalformedError: It is not in this encoding, is incomplete, or has bytes after its end.
    """
    for window in WINDOWS[encoding]:
        stream = zlib.decompressobj(window)
        try:
            content = stream.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(content) > max_bytes:
            raise TooLargeError(f"at most {max_bytes} bytes per decompressed body, got more")
        if not stream.eof:
            raise MalformedError(f"the {encoding} data of the body is incomplete")
        if stream.unused_data:
            raise MalformedError(f"{len(stream.unused_data)} bytes follow the {encoding} data of the body")
        return content
    raise MalformedError(f"the body is not valid {encoding}")


def compress(content: bytes, accepted: str) -> tuple[bytes, str | None]:
    """Compress an answer with the first supported encoding that the client accepts, and name it; None without one."""
    for part in accepted.lower().split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "") in ("q=0", "q=0.0"):
            continue
        if name.strip() == "gzip":
            return gzip.compress(content, LEVEL, mtime=0), "gzip"
        if name.strip() == "deflate":
            return zlib.compress(content, LEVEL), "deflate"
    return content, None
