"""Colours with an ICC profile become those of sRGB; grey stays as it is in the file."""

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from matcaps.images.decode import decode, decode_rgb, open_image
from tests.support.doubles import encoded
from tests.support.profiles import black_inks_profile, grey_profile, rgb_profile

COLOURS = np.random.default_rng(8).integers(0, 256, (9, 11, 3)).astype(np.uint8)
LINEAR = rgb_profile(gamma=1.0)
SWAPPED = rgb_profile(order=("green", "red", "blue"))


def shown(content: bytes) -> NDArray[np.uint8]:
    """The decoded colours."""
    return np.asarray(decode_rgb(open_image(content, max_pixels=10_000)))


def of_linear_light(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The levels of sRGB (IEC 61966-2-1) of linear ones, both from 0 to 255."""
    light = levels / 255.0
    curved: NDArray[np.float64] = np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    )
    return 255.0 * curved


def tiff(pixels: NDArray[np.generic], profile: bytes, **options: Any) -> bytes:
    """A TIFF with a profile."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, iccprofile=profile, **options)
    return file.getvalue()


def with_profile(png: bytes, profile: bytes) -> bytes:
    """A PNG with a profile in front of its pixels."""
    content = b"iCCP" + b"x\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:33] + chunk + png[33:]


WIDE = COLOURS.astype(np.uint16) * 257
FILES = {
    "PNG": lambda profile: encoded(Image.fromarray(COLOURS), icc_profile=profile),
    "PNG of 16 bits": lambda profile: with_profile(bytes(imagecodecs.png_encode(WIDE)), profile),
    "PNG with a mistake": lambda profile: with_profile(
        encoded(Image.fromarray(COLOURS)).replace(b"IEND", b"tEXt"), profile
    ),
    "PNG with a palette": lambda profile: encoded(
        Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE), icc_profile=profile
    ),
    "WebP": lambda profile: encoded(Image.fromarray(COLOURS), "WEBP", lossless=True, icc_profile=profile),
    "TIFF": lambda profile: encoded(Image.fromarray(COLOURS), "TIFF", icc_profile=profile),
    "TIFF of 16 bits": lambda profile: tiff(WIDE, profile, photometric="rgb"),
}


@pytest.mark.parametrize("name", FILES)
def test_linear_light_becomes_srgb(name: str) -> None:
    """Colours in linear light get the curve of sRGB, in every format that holds a profile."""
    plain = shown(FILES[name](b"no profile"))
    assert np.abs(shown(FILES[name](LINEAR)) - of_linear_light(plain)).max() <= 2


@pytest.mark.parametrize("name", FILES)
def test_the_grey_of_a_file_ignores_its_profile(name: str) -> None:
    """A grey model gets the same pixels with a profile as without."""
    plain, profiled = (np.asarray(decode(open_image(FILES[name](profile)))) for profile in (b"no profile", LINEAR))
    assert np.array_equal(plain, profiled)


def test_a_jpeg_has_the_colours_of_its_profile() -> None:
    """A profile whose red and green are swapped turns red into green."""
    content = encoded(Image.new("RGB", (16, 16), (250, 5, 5)), "JPEG", quality=95, icc_profile=SWAPPED)
    red, green, _ = shown(content)[0, 0]
    assert red < 60
    assert green > 240


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "TIFF of 16 bits"])
def test_inks_have_the_colours_of_their_profile(kind: str) -> None:
    """Cyan ink that a profile calls black is black; paper stays white."""
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[8:, :, 0] = 255
    if kind == "TIFF of 16 bits":
        content = tiff(ink.astype(np.uint16) * 257, black_inks_profile(), photometric="separated")
    else:
        content = encoded(Image.fromarray(ink, "CMYK"), kind, icc_profile=black_inks_profile())
    found = shown(content)
    assert found[0].min() >= 250
    assert found[-1].max() <= 5


def test_a_profile_of_srgb_changes_nothing() -> None:
    """A picture that is in sRGB keeps its levels, give or take one."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(shown(FILES["PNG"](profile)).astype(int) - COLOURS).max() <= 1


def test_a_grey_picture_keeps_equal_channels() -> None:
    """A grey profile gives three equal channels with the curve of sRGB."""
    levels = np.arange(256, dtype=np.uint8)[None]
    found = shown(encoded(Image.fromarray(levels), icc_profile=grey_profile(1.0)))
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - of_linear_light(levels)).max() <= 1


@pytest.mark.parametrize("alpha", ["a channel", "a colour"])
def test_transparent_parts_become_white_after_the_profile(alpha: str) -> None:
    """The opacity is kept beside the profile, as a channel and as one transparent colour."""
    colours = np.array([[[128, 128, 128], [10, 20, 30]]], np.uint8)
    if alpha == "a channel":
        content = encoded(Image.fromarray(np.dstack([colours, [[255, 0]]]).astype(np.uint8)), icc_profile=LINEAR)
    else:
        content = encoded(Image.fromarray(colours), icc_profile=LINEAR, transparency=(10, 20, 30))
    assert shown(content).tolist() == [[[188] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("mode", "profile"),
    [("RGB", grey_profile(1.0)), ("L", LINEAR), ("RGB", LINEAR[:200]), ("RGB", b"none"), ("RGB", b"")],
    ids=["grey for colours", "colours for grey", "cut off", "none", "empty"],
)
def test_a_profile_that_does_not_fit_is_ignored(mode: str, profile: bytes) -> None:
    """A profile that is broken, or of other colours, changes nothing."""
    image = Image.fromarray(COLOURS).convert(mode)
    for kind in ("PNG", "TIFF", "JPEG"):
        assert np.array_equal(shown(encoded(image, kind, icc_profile=profile)), shown(encoded(image, kind)))


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([LINEAR, grey_profile(1.8), black_inks_profile()]),
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_mutated_profiles_stop_no_picture(profile: bytes, changes: list[tuple[int, int]]) -> None:
    """A profile with a few wrong bytes is used or ignored."""
    mutated = bytearray(profile)
    for place, value in changes:
        mutated[place % len(mutated)] = value
    for mode in ("L", "RGB", "CMYK"):
        image = Image.fromarray(COLOURS).convert(mode)
        assert shown(encoded(image, "TIFF", icc_profile=bytes(mutated))).shape == (9, 11, 3)
