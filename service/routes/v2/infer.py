"""``/v2/models/{name}/infer``: tensors or encoded files in, tensors out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from matcaps.service.backends.artefact import CLASS_OUTPUTS, Metadata
from matcaps.service.backends.session import Arrays
from matcaps.service.engine.engine import Engine
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.errors import MalformedError, TooLargeError
from matcaps.service.http.body import LARGE, read_body
from matcaps.service.http.deadline import timeout_of
from matcaps.service.http.encodings import compress
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.openapi import V2_BODY
from matcaps.service.images.pool import DecoderPool
from matcaps.service.routes.inference import check_output
from matcaps.service.routes.inference import infer as run
from matcaps.service.routes.v2.paths import NAME, PREFIX, VERSION, Version
from matcaps.service.routes.v2.tensors import InferRequest, Output, encode, labels, parse
from matcaps.service.settings import Settings

HEADER_LENGTH = "inference-header-content-length"

Samples = NDArray[np.uint8]  # a name, because annotations of inner functions are evaluated for each request
Decode = Callable[[float], Awaitable[Samples]]


def infer_routes(engine: Engine, decoder: DecoderPool, settings: Settings) -> APIRouter:
    """The routes that run networks."""
    router = APIRouter(prefix=PREFIX)

    @router.post(NAME + "/infer", openapi_extra={"requestBody": V2_BODY})
    async def infer(request: Request, name: str) -> Response:
        """Outputs of a model for pixels (``images``) or encoded files (``files``)."""
        return await answer(request, ModelRef(name))

    @router.post(VERSION + "/infer", openapi_extra={"requestBody": V2_BODY})
    async def infer_version(request: Request, name: str, version: Version) -> Response:
        """Outputs of a version for pixels (``images``) or encoded files (``files``)."""
        return await answer(request, ModelRef(name, version))

    async def answer(request: Request, model: ModelRef) -> Response:
        with engine.lease(model, context_of(request)) as version:
            asked = await _read(request, settings)
            # The outputs of the other layers are megabytes, so they come only by name.
            outputs = asked.outputs or [Output(name, asked.binary) for name in CLASS_OUTPUTS]
            _check_outputs(version.metadata, outputs)
            timeout_ms = _timeout_ms(request, asked, settings.timeout_ms)
            decode = _decoder_of(decoder, version.metadata, asked, settings.max_images)
            names = list({output.name for output in outputs})
            arrays = await run(engine, request, version, decode, names, timeout_ms)
        accepted = request.headers.get("accept-encoding", "")
        if accepted and sum(values.nbytes for values in arrays.values()) > LARGE:
            return await asyncio.to_thread(_response, version, asked, outputs, arrays, accepted)
        return _response(version, asked, outputs, arrays, accepted)

    return router


async def _read(request: Request, settings: Settings) -> InferRequest:
    body = await read_body(request, settings)
    length = _header_length(request)
    if (length or len(body)) < LARGE:  # of JSON; tensors in bytes are quick to read
        return parse(body, length, settings.max_images)
    return await asyncio.to_thread(parse, body, length, settings.max_images)


def _header_length(request: Request) -> int | None:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise MalformedError(f"Inference-Header-Content-Length must be a number, got {text[:40]!r}")
    return int(text)


def _timeout_ms(request: Request, asked: InferRequest, longest_ms: float) -> float:
    """The shorter one of the header and Triton's parameter ``timeout``, which is in microseconds."""
    timeout_ms = timeout_of(request, longest_ms)
    asked_us = asked.parameters.get("timeout", 0)
    if not isinstance(asked_us, int) or isinstance(asked_us, bool) or asked_us < 0:
        got = str(asked_us) if isinstance(asked_us, int) else type(asked_us).__name__
        raise MalformedError(f"parameters.timeout must be microseconds, got {got}")
    return min(timeout_ms, asked_us / 1e3) if asked_us else timeout_ms


def _check_outputs(metadata: Metadata, outputs: Sequence[Output]) -> None:
    for output in outputs:
        check_output(metadata, output.name)
        if output.classes and output.name != "activations":
            raise MalformedError(f"classification is for the output activations, not for {output.name}")
    names = [output.name for output in outputs]
    if len(set(names)) < len(names):
        raise MalformedError("outputs must have different names")


def _decoder_of(decoder: DecoderPool, metadata: Metadata, asked: InferRequest, most: int) -> Decode:
    """Makes samples of the one input, once it is called with the seconds that are left."""

    async def decode(left_s: float) -> Samples:
        if len(asked.inputs) != 1 or asked.inputs[0].name not in ("images", "files"):
            got = ", ".join(tensor.name for tensor in asked.inputs)[:200] or "none"
            raise MalformedError(f"inputs must be one of images (UINT8 pixels) or files (BYTES), got {got}")
        tensor, image = asked.inputs[0], metadata.image
        if tensor.name == "files":
            if tensor.files is None:
                raise MalformedError(f"files must be BYTES, got {tensor.datatype}")
            return await decoder.samples(image, tensor.files, left_s)
        if tensor.pixels is None:
            raise MalformedError(f"images must be UINT8, got {tensor.datatype}; send encoded images as files")
        if tensor.shape[1:] != image.shape or not tensor.shape[0]:
            wanted = ", ".join(map(str, image.shape))
            raise MalformedError(f"images must have the shape [n, {wanted}], got {list(tensor.shape)}")
        if (count := tensor.shape[0] * image.images_per_sample) > most:
            raise TooLargeError(f"at most {most} images per request, got {count}")
        return tensor.pixels

    return decode


def _response(
    version: ModelVersion, asked: InferRequest, outputs: Sequence[Output], arrays: Arrays, accepted: str
) -> Response:
    head: dict[str, Any] = {"model_name": version.name, "model_version": str(version.version)}
    if asked.id:
        head["id"] = asked.id
    classes = version.metadata.classes
    values = [
        (
            output.name,
            labels(arrays[output.name], classes, output.classes) if output.classes else arrays[output.name],
            output.binary,
        )
        for output in outputs
    ]
    content, length = encode(head, values)
    content, encoding = compress(content, accepted)
    headers = {"vary": "accept-encoding"}
    if length is not None:
        headers[HEADER_LENGTH] = str(length)
    if encoding:
        headers["content-encoding"] = encoding
    kind = "application/json" if length is None else "application/octet-stream"
    return Response(content, headers=headers, media_type=kind)
