"""Reads a request's images: from a raw body, a form, or JSON with base64."""

import asyncio
from typing import NoReturn

from fastapi import Request
from pydantic import ValidationError

from matcaps.images.formats import MEDIA_TYPES
from matcaps.service.errors import MalformedError, SlowClientError, TooLargeError, UnsupportedTypeError
from matcaps.service.http.base64_files import read_base64
from matcaps.service.http.encodings import decoding_of, decompress
from matcaps.service.http.headers import header_of
from matcaps.service.http.multipart import Part, parse_form
from matcaps.service.http.schemas import ImagesRequest
from matcaps.service.settings import Settings

# Media types that clients send instead of the registered names
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
OTHER_FIELDS = 16  # most fields of a form besides its images
LARGE = 2**18  # bytes; parsing more would block the event loop for more than about a millisecond


async def read_images(request: Request, settings: Settings) -> list[bytes]:
    """The encoded images of a request, in order.

    Raises:
        ServiceError: The body is too large, too slow, malformed or of an unsupported type.
    """
    kind = _media_type(header_of(request.scope, b"content-type"))
    if not kind:
        raise UnsupportedTypeError(f"the body has no Content-Type; supported types: {_supported()}")
    if kind.startswith("image/"):
        _check_image_type(kind)
    elif kind not in ("application/json", "multipart/form-data"):
        raise UnsupportedTypeError(f"unsupported Content-Type {kind[:80]!r}; supported types: {_supported()}")
    body = await read_body(request, settings)
    if kind == "application/json":
        images = _from_json(body) if len(body) < LARGE else await asyncio.to_thread(_from_json, body)
    elif kind == "multipart/form-data":
        form = (header_of(request.scope, b"content-type"), body, settings)
        images = _from_form(*form) if len(body) < LARGE else await asyncio.to_thread(_from_form, *form)
    else:
        images = [body]
    if len(images) > settings.max_images:
        raise TooLargeError(f"at most {settings.max_images} images per request, got {len(images)}")
    return images


async def read_body(request: Request, settings: Settings) -> bytes:
    """Read and decompress a request's body.

    Raises:
        TooLargeError: The body exceeds the limit, compressed or decompressed.
        SlowClientError: The body did not arrive in time.
        MalformedError: The body is empty, or does not match its Content-Encoding.
        UnsupportedTypeError: The Content-Encoding is not supported.
    """
    encoding = decoding_of(header_of(request.scope, b"content-encoding"))
    limit = settings.max_body_bytes
    announced = header_of(request.scope, b"content-length")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise TooLargeError(f"at most {limit} bytes per body, got {announced[:20]}")
    pieces, size = [], 0
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                pieces.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise TooLargeError(f"at most {limit} bytes per body, got more")
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
        raise MalformedError(f"malformed JSON body: {what}") from None
    return [read_base64(text, f"images.{number}") for number, text in enumerate(texts)]


def _from_form(content_type: str, body: bytes, settings: Settings) -> list[bytes]:
    parts = parse_form(content_type, body, settings.max_images + OTHER_FIELDS)
    images = [_image_of(part) for part in parts if part.name == "images"]
    return images or _no_images(sorted({part.name for part in parts}))


def _image_of(part: Part) -> bytes:
    if part.filename is None and part.media_type in UNTYPED:
        raise MalformedError("the form field images must be a file, got text: send it with a filename or an image type")
    if part.media_type not in UNTYPED:
        _check_image_type(part.media_type)
    return bytes(part.content)


def _no_images(fields: list[str]) -> NoReturn:
    raise MalformedError(f"the form needs a field images, got the fields: {', '.join(fields)[:200] or 'none'}")


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _check_image_type(kind: str) -> None:
    if kind not in MEDIA_TYPES and kind not in SYNONYMS:
        raise UnsupportedTypeError(f"unsupported image type {kind[:80]!r}; supported types: {', '.join(MEDIA_TYPES)}")


def _supported() -> str:
    return f"{', '.join(MEDIA_TYPES)}, multipart/form-data and application/json"
