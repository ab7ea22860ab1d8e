"""Images through a network without holding up the event loop: decoded in threads, then batched."""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.batcher import Batcher
from service.errors import MalformedError
from service.images import decode, fit
from service.session import Arrays, Session, usable_cores

P = ParamSpec("P")
T = TypeVar("T")


class Inference:
    """Decodes in threads, and hands samples to the batcher of the model that they are for.

    Args:
        max_pixels: Of one image, checked before it is decoded.
        batchers: One for each session that is served.
    """

    def __init__(self, *, max_pixels: int, batchers: Iterable[tuple[Session, Batcher]]) -> None:
        self._max_pixels = max_pixels
        self._batchers = {id(session): batcher for session, batcher in batchers}
        # No more decoders than cores: each may hold a large image.
        self._workers = ThreadPoolExecutor(usable_cores(), "decode")

    @property
    def alive(self) -> bool:
        """Whether every network's thread still runs."""
        return all(batcher.alive for batcher in self._batchers.values())

    async def predict(
        self,
        session: Session,
        contents: Sequence[bytes],
        outputs: Sequence[str] | None,
        deadline_s: float = math.inf,
    ) -> Arrays:
        """The named outputs (None: all) for encoded images; consecutive ones are the channels of one sample.

        Raises:
            MalformedError: The number of images is no multiple of the model's channels.
            ServiceError: An image is broken, too large, or of a format that is not served.
            QueueFullError: Too many samples wait already.
            ExpiredError: The deadline, a time of the batchers' clock, passed first.
            InferenceError: The network failed.
        """
        channels = session.metadata.image.channels
        if not contents or len(contents) % channels:
            per = f"{channels} images a sample (left, right)" if channels == 2 else f"{channels} image(s) a sample"
            raise MalformedError(f"the model takes {per}, found {len(contents)} image(s)")
        images = await self.apart(self._decode, session, contents)
        return await self._batchers[id(session)].run(images, outputs, deadline_s)

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of work that would hold up the event loop, done in a decoder's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Finish what runs and end the threads."""
        self._workers.shutdown()
        for batcher in self._batchers.values():
            batcher.close()

    def _decode(self, session: Session, contents: Sequence[bytes]) -> NDArray[np.uint8]:
        image = session.metadata.image
        pixels = [fit(decode(content, max_pixels=self._max_pixels), image.height, image.width) for content in contents]
        return np.stack(pixels).reshape(-1, image.channels, image.height, image.width)
