"""Valid images and tensors for schemathesis, which loads this file in a virtual environment of its own."""

import base64
import io
import json

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
    """An even grey image in one format."""
    file = io.BytesIO()
    Image.new("L", (side, side), level).save(file, kind)
    return file.getvalue()


def infer_request(pictures: list[bytes]) -> bytes:
    """A request of the Open Inference Protocol in JSON alone, without binary tensors."""
    data = [base64.b64encode(content).decode() for content in pictures]
    return json.dumps(
        {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [len(data), 1], "data": data}]}
    ).encode()


levels, sides = strategies.integers(0, 255), strategies.integers(1, 64)
for kind, (name, *aliases) in KINDS.items():
    schemathesis.openapi.media_type(
        name, strategies.builds(picture, strategies.just(kind), levels, sides), aliases=aliases
    )

pictures = strategies.builds(picture, strategies.sampled_from(sorted(KINDS)), levels, sides)
schemathesis.openapi.format("byte", pictures.map(lambda content: base64.b64encode(content).decode()))
schemathesis.openapi.media_type(
    "application/octet-stream", strategies.builds(infer_request, strategies.lists(pictures, min_size=1, max_size=8))
)


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, object]) -> None:
    """Ask for the form of answer that the parameter outputs needs; OpenAPI cannot say that one needs the other."""
    if "outputs" in case.query:
        case.headers["Accept"] = "application/x-npz"
