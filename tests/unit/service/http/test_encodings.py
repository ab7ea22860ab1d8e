"""Content encodings: gzip, deflate, and bodies that claim to be them."""

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
    ids=["gzip", "deflate", "raw-deflate"],  # gzip writes the time into its header
)
def test_a_body_is_decompressed_up_to_the_limit(encoding: str, body: bytes) -> None:
    """A body up to the limit is decompressed; a larger, an incomplete or an extended one is rejected."""
    assert decompress(body, encoding, len(TEXT)) == TEXT
    with pytest.raises(TooLargeError):
        decompress(body, encoding, len(TEXT) - 1)
    with pytest.raises(MalformedError, match="incomplete"):
        decompress(body[:-9], encoding, len(TEXT))
    with pytest.raises(MalformedError, match="1 bytes follow"):
        decompress(body + b"x", encoding, len(TEXT))


def test_a_decompression_bomb_is_rejected() -> None:
    """A thousand bytes that decompress to a megabyte are rejected if the limit is a thousand."""
    with pytest.raises(TooLargeError):
        decompress(gzip.compress(bytes(10**6)), "gzip", 1000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_other_bytes_are_rejected(encoding: str) -> None:
    """Bytes that are not in the named encoding are rejected."""
    with pytest.raises(MalformedError):
        decompress(b"\x89PNG and so on", encoding, 1000)


def test_encodings_are_recognised_by_name() -> None:
    """Supported encodings are recognised in any case; an unsupported one is named in the error."""
    assert [decoding_of(name) for name in ("", "identity", "GZIP", " deflate ")] == ["", "", "gzip", "deflate"]
    with pytest.raises(UnsupportedTypeError, match="'br'"):
        decoding_of("br")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("deflate, gzip", "deflate"), ("br;q=1, GZIP;q=0.5", "gzip"), ("gzip;q=0", None), ("", None)],
)
def test_an_answer_is_compressed_as_accepted(accepted: str, encoding: str | None) -> None:
    """An answer gets the first supported encoding that the client accepts."""
    content, found = compress(TEXT, accepted)
    assert found == encoding
    assert content == TEXT if encoding is None else decompress(content, encoding, len(TEXT)) == TEXT
