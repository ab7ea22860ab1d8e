"""The formats that are read, and the names of some that are not."""

from itertools import chain

FORMATS = {  # Pillow's names and the media types of each; PPM covers PGM and PBM
    "PNG": ("image/png",),
    "JPEG": ("image/jpeg",),
    "WEBP": ("image/webp",),
    "BMP": ("image/bmp",),
    "TIFF": ("image/tiff",),
    "PPM": ("image/x-portable-graymap", "image/x-portable-pixmap", "image/x-portable-anymap"),
}
MEDIA_TYPES = tuple(chain.from_iterable(FORMATS.values()))
SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm"])
SUPPORTED = f"supported formats: {', '.join(list(FORMATS)[:-1])}, PGM"

SIGNATURES = {  # first bytes of the formats that are read
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",  # BigTIFF
    b"MM\x00+": "TIFF",
    b"P": "PPM",
}
OTHER_SIGNATURES = {  # first bytes of the other formats that clients send most often
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


def format_of(content: bytes) -> str | None:
    """The format that the first bytes announce, if it is one that is read.

    >>> format_of(b"BM..."), format_of(b"GIF89a")
    ('BMP', None)
    """
    return next((name for start, name in SIGNATURES.items() if content.startswith(start)), None)


def other_format_of(content: bytes) -> str | None:
    """The format that the first bytes announce, if it is a known one that is not read."""
    if content[4:8] == b"ftyp":
        return "HEIC, AVIF or a video"
    return next((name for start, name in OTHER_SIGNATURES.items() if content.startswith(start)), None)
