"""Bytes to an upright image in 8-bit grey."""

import io
from itertools import chain

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from matcaps.service.errors import TooLargeError, UndecodableError, UnsupportedTypeError

FORMATS = {  # Pillow's names and the media types of each; PPM covers PGM
    "PNG": ("image/png",),
    "JPEG": ("image/jpeg",),
    "WEBP": ("image/webp",),
    "BMP": ("image/bmp",),
    "TIFF": ("image/tiff",),
    "PPM": ("image/x-portable-graymap", "image/x-portable-pixmap", "image/x-portable-anymap"),
}
MEDIA_TYPES = tuple(chain.from_iterable(FORMATS.values()))
UNSUPPORTED_SIGNATURES = {  # first bytes of the unsupported formats that clients send most often
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

# open_image() checks the number of pixels itself. Pillow's own limit would warn at a different number.
Image.MAX_IMAGE_PIXELS = None


def open_image(content: bytes, *, max_pixels: int) -> Image.Image:
    """Read an image's header; its pixels are not decoded yet.

    Raises:
        UndecodableError: The bytes are not an image.
        UnsupportedTypeError: They are of a known format that is not served.
        TooLargeError: The image has more than ``max_pixels``.
    """
    if not content:
        raise UndecodableError("the image is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
    except UnidentifiedImageError:
        raise _unidentified(content) from None
    except Exception as error:  # Pillow raises errors of many types for a broken header
        raise UndecodableError(f"the image's header is broken: {_reason(error)}") from None
    width, height = image.size
    if width * height > max_pixels:
        raise TooLargeError(f"at most {max_pixels} pixels per image, got {width}×{height}")
    return image


def decode(image: Image.Image) -> Image.Image:
    """Decode an image into 8-bit grey (mode L), upright.

    Colours become luma. Transparent parts become white. 16-bit images are scaled so that 65535 is 255.
    Floats are read as 0 to 1 if none exceeds 1, otherwise as 0 to 255. Of several frames, the first one is used.

    Raises:
        UndecodableError: The bytes are not a complete image.
    """
    try:
        image.load()
        return _grey(_upright(image))
    except Exception as error:  # Pillow raises errors of many types for broken data
        raise UndecodableError(f"the {image.format} image is broken: {_reason(error)}") from None


def _unidentified(content: bytes) -> UndecodableError | UnsupportedTypeError:
    supported = f"supported formats: {', '.join(list(FORMATS)[:-1])}, PGM"
    name = next((name for start, name in UNSUPPORTED_SIGNATURES.items() if content.startswith(start)), None)
    if content[4:8] == b"ftyp":
        name = "HEIC, AVIF or a video"
    if name:
        return UnsupportedTypeError(f"the image is {name}; {supported}")
    return UndecodableError(f"not a readable image; {supported}")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. Pillow has already applied it to TIFF files when it loaded them."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the pixels are complete even if the metadata is broken
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
    """The error's message in one short line, or its type if the message holds a memory address."""
    text = str(error).split("\n")[0][:120]
    return text if text and "0x" not in text else type(error).__name__
