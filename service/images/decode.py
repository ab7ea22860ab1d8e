"""Bytes to pixels: decode an image of any kind and size, and bring it to the size that a model takes."""

import io
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from matcaps.service.errors import TooLargeError, UndecodableError, UnsupportedTypeError

FORMATS = {  # Pillow's names, and what the bytes are called on the way; PPM covers PGM
    "PNG": ("image/png",),
    "JPEG": ("image/jpeg",),
    "WEBP": ("image/webp",),
    "BMP": ("image/bmp",),
    "TIFF": ("image/tiff",),
    "PPM": ("image/x-portable-graymap", "image/x-portable-pixmap", "image/x-portable-anymap"),
}
MEDIA_TYPES = tuple(chain.from_iterable(FORMATS.values()))
FOREIGN = {  # how the bytes begin that people send most often in place of a served format
    b"GIF8": "GIF",
    b"\x00\x00\x01\x00": "an icon",
    b"8BPS": "PSD",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "XML",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip",
}
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pixels are counted against our own limit before decoding; Pillow's would warn at a number of its own.
Image.MAX_IMAGE_PIXELS = None


def open_image(content: bytes, *, max_pixels: int) -> Image.Image:
    """The image as its header describes it, its pixels not decoded yet.

    Raises:
        UndecodableError: The bytes are no image.
        UnsupportedTypeError: They are of a known format that is not served.
        TooLargeError: The image has more than ``max_pixels``.
    """
    if not content:
        raise UndecodableError("the image is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
    except UnidentifiedImageError:
        raise _unidentified(content) from None
    except Exception as error:  # decoders raise whatever a broken header leads to
        raise UndecodableError(f"the image's header is broken: {_reason(error)}") from None
    width, height = image.size
    if width * height > max_pixels:
        raise TooLargeError(f"the image has {width}×{height} pixels, {max_pixels} may be")
    return image


def decode(image: Image.Image) -> Image.Image:
    """An image in 8-bit grey (mode L), upright.

    Colours become luma. Transparent parts show white, as on a page. 16-bit images keep their upper 8 bits;
    floats are taken as 0–1 if none exceeds 1, as 0–255 otherwise. Of several frames the first one counts.

    Raises:
        UndecodableError: The bytes are not a whole image.
    """
    try:
        image.load()
        return _grey(_upright(image))
    except Exception as error:  # whatever broken data lead to
        raise UndecodableError(f"the {image.format} image is broken: {_reason(error)}") from None


def fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """A grey image's centre, uint8 [height, width]: shrunk by averaging areas, or enlarged bilinearly."""
    if image.size == (width, height):
        return np.asarray(image, np.uint8)
    scale = min(image.width / width, image.height / height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - across) // 2, (image.height - down) // 2
    box = (left, top, left + across, top + down)
    if across % width == 0 and down % height == 0:
        # Whole blocks: each mean is rounded once, halves to even, as training rounds them. resize() rounds after
        # the rows and again after the columns, and reduce() of bytes rounds halves up.
        means = np.asarray(image.convert("F").reduce((across // width, down // height), box), np.float32)
        return np.rint(means).astype(np.uint8)
    how = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), how, box=box), np.uint8)


def _unidentified(content: bytes) -> UndecodableError | UnsupportedTypeError:
    served = f"served are {', '.join(list(FORMATS)[:-1])} and PGM"
    name = next((name for start, name in FOREIGN.items() if content.startswith(start)), None)
    if content[4:8] == b"ftyp":
        name = "HEIC, AVIF or a film"
    if name:
        return UnsupportedTypeError(f"the image is {name}; {served}")
    return UndecodableError(f"not an image that can be read; {served}")


def _upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation says; TIFF files are turned by Pillow when they load."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken metadata is no reason to refuse pixels that are whole
        return image
    method = ORIENTATIONS.get(orientation)
    return image if method is None else image.transpose(method)


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
