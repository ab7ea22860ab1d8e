"""JPEG without an end marker, truncated, and of more than 8 bits."""

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.decode import decode, open_image
from matcaps.images.errors import BrokenImageError
from tests.support.doubles import encoded

NOISE = np.random.default_rng(7).integers(0, 256, (53, 61, 3)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(0, 2048, 32), np.arange(0, 2048, 64)).astype(np.uint16)  # 12 bits
END = b"\xff\xd9"
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "grey": ("L", {}),
    "RGB": ("RGB", {}),
    "RGB whole": ("RGB", {"subsampling": 0}),
    "CMYK": ("CMYK", {}),
    "progressive": ("RGB", {"progressive": True}),
    "with restarts": ("RGB", {"restart_marker_blocks": 2}),
}


def deep(pixels: NDArray[np.uint16], bitspersample: int, lossless: bool = False) -> bytes:
    """A JPEG of more than 8 bits."""
    return bytes(imagecodecs.jpeg8_encode(pixels, level=98, bitspersample=bitspersample, lossless=lossless))


def shown(content: bytes) -> NDArray[np.uint8]:
    """The decoded grey levels."""
    return np.asarray(decode(open_image(content, max_pixels=10_000)))


@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_a_missing_end_marker_changes_nothing(mode: str, options: dict[str, object]) -> None:
    """A JPEG that lacks its end marker alone, or half of it, is read as one that has it."""
    content = encoded(Image.fromarray(NOISE).convert(mode), "JPEG", quality=90, **options)
    assert content.endswith(END)
    for lost in (1, 2):
        assert np.array_equal(shown(content[:-lost]), shown(content))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.97])
@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_missing_pixels_are_refused(mode: str, options: dict[str, object], share: float) -> None:
    """A JPEG that lacks pixels too is refused, because libjpeg would make them grey."""
    content = encoded(Image.fromarray(NOISE).convert(mode), "JPEG", quality=90, **options)
    with pytest.raises(BrokenImageError, match="truncated"):
        shown(content[: int(share * len(content))])


def test_a_file_that_ends_between_restarts_is_refused() -> None:
    """A JPEG that ends exactly before a restart marker lacks pixels."""
    content = encoded(Image.fromarray(NOISE), "JPEG", quality=90, restart_marker_blocks=2)
    for marker in range(0xD0, 0xD7):
        place = content.rindex(bytes([0xFF, marker]))
        for cut in (place, place + 2):
            with pytest.raises(BrokenImageError, match="truncated"):
                shown(content[:cut])


@pytest.mark.parametrize(("bits", "lossless"), [(12, False), (16, True)])
def test_more_than_8_bits_are_read(bits: int, lossless: bool) -> None:
    """Grey and colours of 12 bits, and lossless ones of 16, are read on the scale of their depth."""
    levels = SMOOTH * np.uint16(16) if lossless else SMOOTH
    expected = np.rint(levels * 255.0 / (65535 if lossless else 4095))
    for pixels in (levels, np.dstack([levels] * 3)):
        content = deep(pixels, bitspersample=bits, lossless=lossless)
        assert np.abs(shown(content) - expected).max() <= 1


def test_deep_pictures_are_turned_upright() -> None:
    """The EXIF orientation of a 12-bit JPEG is applied."""
    exif = Image.Exif()
    exif[0x0112] = 3
    block = exif.tobytes()
    content = deep(SMOOTH, bitspersample=12)
    with_exif = content[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2) + block + content[2:]
    assert np.array_equal(shown(with_exif), shown(content)[::-1, ::-1])


def test_a_truncated_deep_picture_is_refused() -> None:
    """A 12-bit JPEG whose data end early is refused."""
    content = deep(SMOOTH, bitspersample=12)
    with pytest.raises(BrokenImageError, match="truncated"):
        shown(content[: len(content) // 2])


def test_the_reason_is_the_decoders() -> None:
    """A JPEG that cannot be opened is refused with the reason of the decoder, not only as unknown."""
    content = encoded(Image.fromarray(NOISE), "JPEG")
    with pytest.raises(BrokenImageError, match=r"not a readable JPEG image: .+; supported formats"):
        shown(content[:2] + b"\xff\xdb\x00\x43\x40" + content[2:])
