"""``/v2/models/{name}/infer``: tensors or encoded files in, tensors out."""

import asyncio
import time
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from matcaps.service.backends.artefact import CONV_LAYERS, Metadata
from matcaps.service.backends.session import Arrays
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.errors import MalformedError, NotFoundError, TooLargeError
from matcaps.service.http.body import LARGE, read_body
from matcaps.service.http.deadline import unless_gone, wait_of
from matcaps.service.http.encodings import compress
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.openapi import V2_BODY
from matcaps.service.routes.v2.tensors import InferRequest, Output, encode, labels, parse
from matcaps.service.service import Service

HEADER_LENGTH = "inference-header-content-length"
NAME = "/models/{name}"
VERSION = NAME + "/versions/{version}"
Version = Annotated[int, Path(ge=1, description="Version of the model")]
DEFAULT_OUTPUTS = ("activations", "poses")  # those of the other layers are megabytes, and come when they are named


def infer_routes(service: Service) -> APIRouter:
    """The route that runs networks."""
    router = APIRouter()

    @router.post(NAME + "/infer", openapi_extra={"requestBody": V2_BODY})
    async def infer(request: Request, name: str) -> Response:
        """Outputs of a model for pixels (``images``) or encoded files (``files``)."""
        return await answer(request, name)

    @router.post(VERSION + "/infer", openapi_extra={"requestBody": V2_BODY})
    async def infer_version(request: Request, name: str, version: Version) -> Response:
        """Outputs of a version for pixels (``images``) or encoded files (``files``)."""
        return await answer(request, name, version)

    async def answer(request: Request, name: str, version: int | None = None) -> Response:
        record = context_of(request)
        with service.repository.use(name, version) as served:
            record.model = served.name
            served.check_room()
            body = await read_body(request, service.settings)
            length = _header_length(request)
            # JSON of pixels takes its time; bytes do not.
            quick, most = (length or len(body)) < LARGE, service.settings.max_images
            asked = parse(body, length, most) if quick else await asyncio.to_thread(parse, body, length, most)
            outputs = asked.outputs or [Output(name, asked.binary) for name in DEFAULT_OUTPUTS]
            _check_outputs(served.metadata, outputs)
            deadline_s = service.clock() + _wait_ms(request, asked, service.settings.timeout_ms) / 1e3

            async def answered() -> Arrays:
                record.decode_began_s = time.perf_counter()
                images = await _samples(service, served.metadata, asked, deadline_s)
                record.decode_s = time.perf_counter() - record.decode_began_s
                answer = await served.run(images, list({output.name for output in outputs}), deadline_s)
                record.images, record.queue_s, record.inference_s = len(images), answer.queue_s, answer.inference_s
                return answer.arrays

            arrays = await unless_gone(request, answered())
        accepted = request.headers.get("accept-encoding", "")
        if accepted and sum(values.nbytes for values in arrays.values()) > LARGE:
            return await asyncio.to_thread(_response, served, asked, outputs, arrays, accepted)
        return _response(served, asked, outputs, arrays, accepted)

    return router


def _header_length(request: Request) -> int | None:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise MalformedError(f"Inference-Header-Content-Length must be a number, found {text[:40]!r}")
    return int(text)


def _wait_ms(request: Request, asked: InferRequest, longest_ms: float) -> float:
    """The shorter of what the header and the parameter ``timeout`` (microseconds, Triton's) say."""
    wait_ms = wait_of(request, longest_ms)
    timeout = asked.parameters.get("timeout", 0)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0:
        raise MalformedError(f"parameters.timeout must be microseconds, found {type(timeout).__name__}")
    return min(wait_ms, timeout / 1e3) if timeout else wait_ms


def _check_outputs(metadata: Metadata, outputs: list[Output]) -> None:
    known = [*DEFAULT_OUTPUTS, "class_assignments"]
    known += [f"{layer}_{what}" for layer in CONV_LAYERS for what in ("activations", "poses")]
    for output in outputs:
        if output.name not in known:
            raise NotFoundError(f"no output {output.name[:80]!r}; there are {', '.join(known)}")
        if output.classes and output.name != "activations":
            raise MalformedError(f"classification is for activations, not for {output.name}")
        if output.classes > len(metadata.classes):
            raise MalformedError(f"classification asks for {output.classes} of {len(metadata.classes)} classes")
    names = [output.name for output in outputs]
    if len(set(names)) < len(names):
        raise MalformedError("an output is there twice")


async def _samples(service: Service, metadata: Metadata, asked: InferRequest, deadline_s: float) -> NDArray[np.uint8]:
    image, most = metadata.image, service.settings.max_images
    if len(asked.inputs) != 1 or asked.inputs[0].name not in ("images", "files"):
        found = ", ".join(tensor.name for tensor in asked.inputs)[:200] or "none"
        raise MalformedError(f"the input must be images (UINT8 pixels) or files (BYTES, encoded images), found {found}")
    tensor = asked.inputs[0]
    if tensor.name == "files":
        if tensor.files is None:
            raise MalformedError(f"files must be BYTES, found {tensor.datatype}")
        return await service.decoder.samples(image, tensor.files, deadline_s - service.clock())
    if tensor.pixels is None:
        raise MalformedError(f"images must be UINT8, found {tensor.datatype}; encoded images go into files")
    if tensor.shape[1:] != (image.channels, image.height, image.width) or not tensor.shape[0]:
        wanted = f"[n, {image.channels}, {image.height}, {image.width}]"
        raise MalformedError(f"images must have the shape {wanted}, found {list(tensor.shape)}")
    if (count := tensor.shape[0] * image.channels) > most:
        raise TooLargeError(f"the request has {count} images, {most} may be")
    return tensor.pixels


def _response(
    served: ModelVersion, asked: InferRequest, outputs: list[Output], arrays: Arrays, accepted: str
) -> Response:
    head: dict[str, Any] = {"model_name": served.name, "model_version": str(served.version)}
    if asked.id:
        head["id"] = asked.id
    values = [
        (
            output.name,
            labels(arrays[output.name], served.metadata.classes, output.classes)
            if output.classes
            else arrays[output.name],
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
