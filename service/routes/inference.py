"""What all routes that run networks share: decode under the deadline, run, and stop if the client disconnects."""

import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.session import Arrays
from matcaps.service.engine.engine import Engine
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.errors import NotFoundError
from matcaps.service.http.body import read_images
from matcaps.service.http.deadline import cancel_on_disconnect, timeout_of
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.images.pool import DecoderPool
from matcaps.service.settings import Settings

Samples = Awaitable[NDArray[np.uint8]]  # a name, because annotations of inner functions are evaluated for each request


class Prediction(NamedTuple):
    """The outputs for the images of one request, and the id under which its poses are kept."""

    id: str
    model: dict[str, Any]
    metadata: Metadata
    arrays: Arrays


def infer(
    engine: Engine,
    request: Request,
    version: ModelVersion,
    decode: Callable[[float], Samples],
    outputs: Sequence[str] | None,
    timeout_ms: float,
    poses_id: str = "",
) -> Coroutine[Any, Any, Arrays]:
    """The named outputs (None: all) of a leased version for a request whose body has been read.

    Args:
        engine: The engine of the lease.
        request: Its context gets the times.
        version: Leased.
        decode: Makes samples of the body, given the seconds that are left for it.
        outputs: Names.
        timeout_ms: From now until a batch must have taken the samples.
        poses_id: Keeps the class poses under this id; without one none are kept.

    Raises:
        ServiceError: The request cannot be answered.
        ClientDisconnect: The client has disconnected.
    """
    context = context_of(request)
    deadline_s = engine.clock() + timeout_ms / 1e3

    async def decode_and_run() -> Arrays:
        context.decode_began_s = time.perf_counter()
        images = await decode(deadline_s - engine.clock())
        context.decode_s = time.perf_counter() - context.decode_began_s
        return (await engine.infer(version, images, outputs, deadline_s, context, poses_id)).arrays

    return cancel_on_disconnect(request, decode_and_run())


def check_output(metadata: Metadata, name: str) -> None:
    """Refuse the name of an output that a model does not have.

    Raises:
        NotFoundError: It is unknown; the message has the outputs that there are.
    """
    known = metadata.outputs()
    if name not in known:
        raise NotFoundError(f"no output {name[:80]!r}; there are {', '.join(known)}")


class ImageInference:
    """Runs the encoded images in a request's body, and keeps their poses; for ``/predict`` and ``/poses``.

    Args:
        engine: Runs them.
        decoder: Decodes them.
        settings: The settings of the service.
    """

    def __init__(self, engine: Engine, decoder: DecoderPool, settings: Settings) -> None:
        self._engine, self._decoder, self._settings = engine, decoder, settings

    async def predict(self, request: Request, version: ModelVersion, outputs: Sequence[str] | None) -> Prediction:
        """The named outputs (None: all) of a leased version; the poses of the classes must be among them.

        Raises:
            ServiceError: The request cannot be answered.
            ClientDisconnect: The client has disconnected.
        """
        contents = await read_images(request, self._settings)
        timeout_ms = timeout_of(request, self._settings.timeout_ms)

        def decode(left_s: float) -> Samples:
            return self._decoder.samples(version.metadata.image, contents, left_s)

        id_ = secrets.token_hex(16)  # 128 random bits, without the objects of the module uuid
        arrays = await infer(self._engine, request, version, decode, outputs, timeout_ms, id_)
        return Prediction(id_, version.reference, version.metadata, arrays)
