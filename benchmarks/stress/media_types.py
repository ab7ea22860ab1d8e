"""Real pictures for schemathesis, which runs in an environment of its own and loads this file as its hooks."""

import io

import schemathesis
from hypothesis import strategies
from PIL import Image

KINDS = {
    "PNG": ("image/png",),
    "JPEG": ("image/jpeg",),
    "WEBP": ("image/webp",),
    "BMP": ("image/bmp",),
    "TIFF": ("image/tiff",),
    "PPM": ("image/x-portable-graymap", "image/x-portable-pixmap", "image/x-portable-anymap"),
}


def picture(kind: str, level: int, side: int) -> bytes:
    """An even grey picture as a file of some format."""
    file = io.BytesIO()
    Image.new("L", (side, side), level).save(file, kind)
    return file.getvalue()


for kind, (name, *aliases) in KINDS.items():
    levels, sides = strategies.integers(0, 255), strategies.integers(1, 64)
    schemathesis.openapi.media_type(
        name, strategies.builds(picture, strategies.just(kind), levels, sides), aliases=aliases
    )
