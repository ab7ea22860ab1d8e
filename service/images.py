"""Bytes to pixels: decode an image of any kind and size, and bring it to the size that a model takes."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from service.errors import TooLargeError, UndecodableError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM")  # PPM covers PGM
MEDIA_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/x-portable-graymap",
    "image/x-portable-anymap",
)

# Pixels are counted against our own limit before decoding; Pillow's would warn at a number of its own.
Image.MAX_IMAGE_PIXELS = None


def decode(content: bytes, *, max_pixels: int) -> Image.Image:
    """The image in 8-bit grey (mode L), upright.

    Colours become luma. Transparent parts show white, as on a page. 16-bit images keep their upper 8 bits;
    floats are taken as 0–1 if none exceeds 1, as 0–255 otherwise. Of several frames the first one counts.

    Raises:
        UndecodableError: The bytes are not a whole image of a served format.
        TooLargeError: The image has more than ``max_pixels``.
    """
    if not content:
        raise UndecodableError("the image is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        served = ", ".join(FORMATS[:-1])
        raise UndecodableError(f"not an image of a served format ({served}, PGM)") from None
    except Exception as error:  # decoders raise whatever a broken header leads to
        raise UndecodableError(f"the image's header is broken: {_reason(error)}") from None
    width, height = image.size
    if width * height > max_pixels:
        raise TooLargeError(f"the image has {width}×{height} pixels, {max_pixels} may be")
    try:
        image.load()
        return _grey(ImageOps.exif_transpose(image))
    except Exception as error:  # likewise for broken data
        raise UndecodableError(f"the {image.format} image is broken: {_reason(error)}") from None


def fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """A grey image's centre, uint8 [height, width]: shrunk by averaging areas, or enlarged bilinearly."""
    scale = min(image.width / width, image.height / height)
    across, down = width * scale, height * scale
    left, top = (image.width - across) / 2, (image.height - down) / 2
    how = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
    box = (left, top, min(left + across, image.width), min(top + down, image.height))
    return np.asarray(image.resize((width, height), how, box=box), np.uint8)


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.mode == "P" and "transparency" not in image.info:
        image = image.convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(page, image).convert("RGB")
    if image.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        scaled = values * 255.0 if values.max(initial=0.0) <= 1.0 else values
    else:
        scaled = values.astype(np.float64) / 257.0  # 65535 is white
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _reason(error: Exception) -> str:
    """An error's own words, in one short line and without anything that looks like an object of ours."""
    text = str(error).split("\n")[0][:120]
    return text if text and "0x" not in text else type(error).__name__
