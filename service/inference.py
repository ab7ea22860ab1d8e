"""Images through a network without holding up the event loop: the place where batching goes."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from service.errors import MalformedError
from service.images import decode, fit
from service.session import Arrays, Session


class Inference:
    """Decodes in threads, and runs networks in one thread of their own: onnxruntime fills the cores by itself."""

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._runner = ThreadPoolExecutor(1, "inference")

    async def predict(self, session: Session, contents: Sequence[bytes]) -> Arrays:
        """All outputs for encoded images; consecutive ones are the channels of one sample.

        Raises:
            MalformedError: The number of images is no multiple of the model's channels.
            UndecodableError: An image is broken.
            TooLargeError: An image has too many pixels.
        """
        channels = session.metadata.image.channels
        if not contents or len(contents) % channels:
            per = f"{channels} images a sample (left, right)" if channels == 2 else f"{channels} image(s) a sample"
            raise MalformedError(f"the model takes {per}, found {len(contents)} image(s)")
        images = await asyncio.to_thread(self._decode, session, contents)
        return await asyncio.get_running_loop().run_in_executor(self._runner, session.run, images)

    def close(self) -> None:
        """Finish what runs and end the thread."""
        self._runner.shutdown()

    def _decode(self, session: Session, contents: Sequence[bytes]) -> NDArray[np.uint8]:
        image = session.metadata.image
        pixels = [fit(decode(content, max_pixels=self._max_pixels), image.height, image.width) for content in contents]
        return np.stack(pixels).reshape(-1, image.channels, image.height, image.width)
