"""gzip and deflate, and what pretends to be them."""

import gzip
import zlib

import pytest

from matcaps.service.errors import MalformedError, TooLargeError, UnsupportedTypeError
from matcaps.service.http.encodings import compress, decoding_of, decompress

TEXT = b"capsules " * 100


def raw_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(content) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(TEXT)), ("deflate", zlib.compress(TEXT)), ("deflate", raw_deflate(TEXT))],
)
def test_there_and_back(encoding: str, body: bytes) -> None:
    """A body comes out as it went in, up to the very limit, and not a byte beyond it."""
    assert decompress(body, encoding, len(TEXT)) == TEXT
    with pytest.raises(TooLargeError):
        decompress(body, encoding, len(TEXT) - 1)
    with pytest.raises(MalformedError, match="too early"):
        decompress(body[:-9], encoding, len(TEXT))
    with pytest.raises(MalformedError, match="1 bytes follow"):
        decompress(body + b"x", encoding, len(TEXT))


def test_a_bomb_is_refused_before_it_has_grown() -> None:
    """A megabyte of zeros in a thousand bytes is too much where a thousand may be."""
    with pytest.raises(TooLargeError):
        decompress(gzip.compress(bytes(10**6)), "gzip", 1000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_neither(encoding: str) -> None:
    """Other bytes are refused."""
    with pytest.raises(MalformedError):
        decompress(b"\x89PNG and so on", encoding, 1000)


def test_names() -> None:
    """Those that are served, in any case; others are refused by name."""
    assert [decoding_of(name) for name in ("", "identity", "GZIP", " deflate ")] == ["", "", "gzip", "deflate"]
    with pytest.raises(UnsupportedTypeError, match="'br'"):
        decoding_of("br")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("deflate, gzip", "deflate"), ("br;q=1, GZIP;q=0.5", "gzip"), ("gzip;q=0", None), ("", None)],
)
def test_answers(accepted: str, encoding: str | None) -> None:
    """An answer is encoded as its reader asks."""
    content, found = compress(TEXT, accepted)
    assert found == encoding
    assert content == TEXT if encoding is None else decompress(content, encoding, len(TEXT)) == TEXT
