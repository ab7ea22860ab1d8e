"""The three ways to send images: a raw body, a form, and JSON with base64."""

import asyncio
import base64
import binascii
from typing import NoReturn

from fastapi import Request
from pydantic import ValidationError

from matcaps.service.errors import MalformedError, SlowClientError, TooLargeError, UnsupportedTypeError
from matcaps.service.http.encodings import decoding_of, decompress
from matcaps.service.http.multipart import Part, parse_form
from matcaps.service.http.schemas import ImagesRequest
from matcaps.service.images.decode import MEDIA_TYPES
from matcaps.service.settings import Settings

# What clients say instead of the registered names
SYNONYMS = {
    "image/jpg",
    "image/pjpeg",
    "image/x-ms-bmp",
    "image/x-bmp",
    "image/tif",
    "image/x-tiff",
    "image/x-portable-bitmap",
    "image/x-pgm",
    "image/*",
}
UNTYPED = {"", "application/octet-stream"}
OTHER_FIELDS = 16  # of a form, beside its images
LARGE = 2**18  # bytes that would hold up the event loop for about a millisecond


async def read_images(request: Request, settings: Settings) -> list[bytes]:
    """The encoded images of a request, in their order.

    Raises:
        ServiceError: The body is too large, too slow, malformed or of a type that is not served.
    """
    kind = _media_type(request.headers.get("content-type", ""))
    if not kind:
        raise UnsupportedTypeError(f"the body has no Content-Type; served are {_served()}")
    if kind.startswith("image/"):
        _check_image_type(kind)
    elif kind not in ("application/json", "multipart/form-data"):
        raise UnsupportedTypeError(f"bodies of type {kind[:80]!r} are not served; served are {_served()}")
    body = await read_body(request, settings)
    if kind == "application/json":
        images = _from_json(body) if len(body) < LARGE else await asyncio.to_thread(_from_json, body)
    elif kind == "multipart/form-data":
        form = (request.headers["content-type"], body, settings)
        images = _from_form(*form) if len(body) < LARGE else await asyncio.to_thread(_from_form, *form)
    else:
        images = [body]
    if len(images) > settings.max_images:
        raise TooLargeError(f"the request has {len(images)} images, {settings.max_images} may be")
    return images


async def read_body(request: Request, settings: Settings) -> bytes:
    """A request's body, decompressed.

    Raises:
        TooLargeError: It is larger than it may be, as it came or decompressed.
        SlowClientError: It did not come in time.
        MalformedError: It is empty, or not what its Content-Encoding says.
        UnsupportedTypeError: Its Content-Encoding is not served.
    """
    encoding = decoding_of(request.headers.get("content-encoding", ""))
    limit = settings.max_body_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise TooLargeError(f"the body has {announced[:20]} bytes, {limit} may be")
    pieces, size = [], 0
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                pieces.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise TooLargeError(f"the body has more than {limit} bytes")
    except TimeoutError:
        raise SlowClientError(f"the body did not arrive within {settings.body_timeout_s:g} s") from None
    body = b"".join(pieces)
    if not body:
        raise MalformedError("the body is empty")
    return body if not encoding else await asyncio.to_thread(decompress, body, encoding, limit)


def _from_json(body: bytes) -> list[bytes]:
    try:
        texts = ImagesRequest.model_validate_json(body).images
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where[:80]}: {first['msg']}" if where else first["msg"]
        raise MalformedError(f"the JSON body is not as it should be: {what}") from None
    images = []
    for number, text in enumerate(texts):
        if text.startswith("data:"):
            head, _, text = text.partition(",")
            if not head.endswith(";base64"):
                raise MalformedError(f"images.{number} is a data URL without base64")
        try:
            # Line ends are no error: base64 tools break lines.
            images.append(base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True))
        except (binascii.Error, ValueError) as error:
            raise MalformedError(f"images.{number} is not base64: {error}") from None
    return images


def _from_form(content_type: str, body: bytes, settings: Settings) -> list[bytes]:
    parts = parse_form(content_type, body, settings.max_images + OTHER_FIELDS)
    images = [_image_of(part) for part in parts if part.name == "images"]
    return images or _no_images(sorted({part.name for part in parts}))


def _image_of(part: Part) -> bytes:
    if part.filename is None and part.media_type in UNTYPED:
        raise MalformedError("the form's field images must be a file: a part with a filename or an image's type")
    if part.media_type not in UNTYPED:
        _check_image_type(part.media_type)
    return bytes(part.content)


def _no_images(fields: list[str]) -> NoReturn:
    raise MalformedError(f"the form has no field images; found: {', '.join(fields)[:200] or 'none'}")


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _check_image_type(kind: str) -> None:
    if kind not in MEDIA_TYPES and kind not in SYNONYMS:
        raise UnsupportedTypeError(f"images of type {kind[:80]!r} are not served; served are {', '.join(MEDIA_TYPES)}")


def _served() -> str:
    return f"{', '.join(MEDIA_TYPES)}, multipart/form-data and application/json"
