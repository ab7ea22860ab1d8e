"""Bytes to an upright picture in 8-bit grey or in sRGB."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from matcaps.images import jpeg, png, tiff
from matcaps.images.errors import BrokenImageError, ImageError, LargeImageError, UnsupportedImageError, reason
from matcaps.images.formats import FORMATS, SUPPORTED, format_of, other_format_of
from matcaps.images.levels import eight_bits, white_level
from matcaps.images.profiles import to_srgb

ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PROFILE = "icc_profile"  # Pillow's name of it

# open_image() checks the number of pixels itself. Pillow's own limit would warn at a different number.
Image.MAX_IMAGE_PIXELS = None


class Picture(NamedTuple):
    """An encoded picture whose header was read."""

    format: str
    width: int
    height: int
    read: Callable[[], Image.Image]
    """Decodes the pixels, upright, in any mode. It raises errors of many types for broken data."""


def open_image(content: bytes, *, max_pixels: int | None = None) -> Picture:
    """Read a picture's header; its pixels are not decoded yet.

    Raises:
        BrokenImageError: The bytes are not a picture.
        UnsupportedImageError: They are of a known format that is not read.
        LargeImageError: The picture has more than ``max_pixels``.
    """
    if not content:
        raise BrokenImageError("the image is empty")
    try:
        picture = _opened(content, max_pixels)
    except ImageError:
        raise
    except Exception as error:  # decoders raise errors of many types for a broken header
        raise BrokenImageError(f"the image's header is broken: {reason(error)}") from None
    if max_pixels is not None and picture.width * picture.height > max_pixels:
        raise LargeImageError(f"at most {max_pixels} pixels per image, got {picture.width}×{picture.height}")
    return picture


def decode(picture: Picture) -> Image.Image:
    """Decode a picture into 8-bit grey (mode L), upright.

    Colours become luma. Transparent parts become white. Every bit depth is scaled so that its highest level is 255;
    ``white_level`` says which that is for floats and for 32 bits. Of several frames, the first one is used.

    Raises:
        BrokenImageError: The bytes are not a complete picture.
    """
    return _read(picture, _grey)


def decode_rgb(picture: Picture) -> Image.Image:
    """Decode a picture into 8-bit sRGB (mode RGB), upright, by the rules of ``decode``.

    Colours with an ICC profile are converted to sRGB. A grey picture gets three equal channels.

    Raises:
        BrokenImageError: The bytes are not a complete picture.
    """
    return _read(picture, _rgb)


def _read(picture: Picture, prepare: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        return prepare(picture.read())
    except Exception as error:  # decoders raise errors of many types for broken data
        raise BrokenImageError(f"the {picture.format} image is broken: {reason(error)}") from None


def _opened(content: bytes, max_pixels: int | None) -> Picture:
    match format_of(content):
        case "TIFF":
            return _opened_tiff(content, max_pixels)
        case "JPEG":
            frame = jpeg.frame_of(content)
            if frame is not None and jpeg.is_deep(content, frame):
                head = jpeg.open_deep(content, frame)
                return Picture("JPEG", *head.size, lambda: _completed(jpeg.read_deep(content, frame), head))
        case "PNG":
            plain = png.plain(content)
            if plain is not None:
                return Picture("PNG", plain.width, plain.height, lambda: _read_plain(content, plain))
    try:
        image = _open(content)
    except Exception:
        if format_of(content) != "PNG":
            raise
        content = png.without_extras(content)
        image = _open(content)
    assert image.format is not None
    return Picture(image.format, *image.size, lambda: _read_opened(content, image))


def _read_plain(content: bytes, plain: png.Plain) -> Image.Image:
    try:
        return png.read_plain(content, plain)
    except ValueError:
        return _read_opened(content, _open(content))  # Pillow says what is wrong


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=tuple(FORMATS))
    except UnidentifiedImageError:
        raise _unidentified(content) from None


def _opened_tiff(content: bytes, max_pixels: int | None) -> Picture:
    page = tiff.first_page(content, max_pixels)
    if tiff.suits_pillow(content, page):
        image = Image.open(io.BytesIO(content), formats=("TIFF",))
        return Picture("TIFF", *image.size, lambda: _turned(_loaded(image), _exif_orientation(image)))
    return Picture(
        "TIFF",
        page.imagewidth,
        page.imagelength,
        lambda: _turned(tiff.read_page(content, page), tiff.orientation_of(page)),
    )


def _read_opened(content: bytes, image: Image.Image) -> Image.Image:
    """The pixels of a picture that Pillow opened. A second attempt serves files that are nearly valid."""
    try:
        return _pixels(content, image)
    except Exception:
        if image.format == "PNG":
            content = png.without_extras(content)
            return _pixels(content, _open(content))
        complete = jpeg.read_without_end(content) if image.format in ("JPEG", "MPO") else None
        if complete is None:
            raise
        return _turned(complete, _exif_orientation(complete))


def _pixels(content: bytes, image: Image.Image) -> Image.Image:
    if image.format == "PNG" and png.needs_libpng(content, image):
        return _completed(png.read_with_libpng(content, image.size), image)
    image = _loaded(image)
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")  # an alpha that no pixel uses: viewers show the colours
    return _turned(image, _exif_orientation(image))


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _unidentified(content: bytes) -> BrokenImageError | UnsupportedImageError:
    name = other_format_of(content)
    if name:
        return UnsupportedImageError(f"the image is {name}; {SUPPORTED}")
    announced = format_of(content)
    if announced is None:
        return BrokenImageError(f"not a readable image; {SUPPORTED}")
    try:  # Image.open() tries all formats, and keeps the reason of none
        Image.OPEN[announced][0](io.BytesIO(content), "")
    except Exception as error:
        return BrokenImageError(f"not a readable {announced} image: {reason(error)}; {SUPPORTED}")
    return BrokenImageError(f"not a readable {announced} image; {SUPPORTED}")


def _exif_orientation(image: Image.Image) -> object:
    """The EXIF orientation. Pillow has already applied and removed it of TIFF files when it loaded them."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the pixels are complete even if the metadata is broken
        return 1


def _completed(image: Image.Image, opened: Image.Image) -> Image.Image:
    """Pixels that another decoder read, with the orientation and the profile that Pillow found."""
    image.info[PROFILE] = opened.info.get(PROFILE)
    return _turned(image, _exif_orientation(opened))


def _turned(image: Image.Image, orientation: object) -> Image.Image:
    method = ORIENTATIONS.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _grey(image: Image.Image) -> Image.Image:
    image = _opaque(image)
    return image if image.mode == "L" else image.convert("L")


def _rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get(PROFILE)
    if isinstance(profile, bytes):
        image = to_srgb(_of_eight_bits(image), profile)
    return _opaque(image).convert("RGB")


def _of_eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image)
    return Image.fromarray(eight_bits(levels, white_level(levels, 8 * levels.itemsize)))


def _opaque(image: Image.Image) -> Image.Image:
    """An image of 8 bits without transparency, in mode 1, L or RGB."""
    image = _of_eight_bits(image)
    if image.mode == "P" and "transparency" not in image.info:
        image = image.convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB") if image.mode in ("CMYK", "LAB", "HSV", "YCbCr") else image
