"""Images through a network without holding up the event loop: the place where batching goes."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.errors import InferenceError, MalformedError
from service.images import decode, fit
from service.session import Arrays, Session, usable_cores

log = logging.getLogger("emcaps")

P = ParamSpec("P")
T = TypeVar("T")


class Inference:
    """Decodes in threads, and runs networks in one thread of their own: onnxruntime fills the cores by itself.

    Args:
        max_pixels: Of one image, checked before it is decoded.
        max_batch: Samples of one run; more would only need more memory (votes take megabytes per sample).
    """

    def __init__(self, *, max_pixels: int, max_batch: int) -> None:
        self._max_pixels, self._max_batch = max_pixels, max_batch
        # No more decoders than cores: each may hold a large image.
        self._workers = ThreadPoolExecutor(usable_cores(), "decode")
        self._runner = ThreadPoolExecutor(1, "inference")

    async def predict(self, session: Session, contents: Sequence[bytes], outputs: Sequence[str] | None) -> Arrays:
        """The named outputs (None: all) for encoded images; consecutive ones are the channels of one sample.

        Raises:
            MalformedError: The number of images is no multiple of the model's channels.
            ServiceError: An image is broken, too large, or of a format that is not served.
            InferenceError: The network failed.
        """
        channels = session.metadata.image.channels
        if not contents or len(contents) % channels:
            per = f"{channels} images a sample (left, right)" if channels == 2 else f"{channels} image(s) a sample"
            raise MalformedError(f"the model takes {per}, found {len(contents)} image(s)")
        images = await self.apart(self._decode, session, contents)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._runner, self._run, session, images, outputs)

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of work that would hold up the event loop, done in a decoder's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Finish what runs and end the threads."""
        self._workers.shutdown()
        self._runner.shutdown()

    def _decode(self, session: Session, contents: Sequence[bytes]) -> NDArray[np.uint8]:
        image = session.metadata.image
        pixels = [fit(decode(content, max_pixels=self._max_pixels), image.height, image.width) for content in contents]
        return np.stack(pixels).reshape(-1, image.channels, image.height, image.width)

    def _run(self, session: Session, images: NDArray[np.uint8], outputs: Sequence[str] | None) -> Arrays:
        starts = range(0, len(images), self._max_batch)
        try:
            pieces = [session.run(images[start : start + self._max_batch], outputs) for start in starts]
        except Exception as error:  # the runtime's own kinds share no base class
            log.exception("inference failed on %d images", len(images))
            raise InferenceError("the model could not answer this request") from error
        arrays = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                log.error("output %s is not finite", name)
                raise InferenceError("the model answered a number that is not finite")
        return arrays
