"""Encoded images to samples, without holding up the event loop."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matcaps.service.backends.artefact import ImageSize
from matcaps.service.backends.session import usable_cores
from matcaps.service.errors import ExpiredError, MalformedError, QueueFullError
from matcaps.service.images.decode import decode, fit, open_image

SMALL_BYTES = 2**14
SMALL_PIXELS = 128 * 128
COMPRESSED_TEXT = (b"zTXt", b"iTXt", b"iCCP")  # chunks of a PNG that grow a thousandfold when they are opened

P = ParamSpec("P")
T = TypeVar("T")


class Decoder:
    """Decodes for the event loop: what is small at once, for less than a thread's call costs; the rest in threads.

    Args:
        max_pixels: Of one image, checked before it is decoded.
        max_waiting: Images in threads or waiting for one; the images of a single request may always wait.
    """

    def __init__(self, max_pixels: int, max_waiting: int) -> None:
        self._max_pixels, self._max_waiting = max_pixels, max_waiting
        self._waiting = 0  # changed by the event loop alone
        # No more decoders than cores: each may hold a large image.
        self._workers = ThreadPoolExecutor(usable_cores(), "decode")

    async def samples(self, size: ImageSize, contents: Sequence[bytes], left_s: float) -> NDArray[np.uint8]:
        """Samples [sample, channels, height, width] of encoded images; consecutive ones are a sample's channels.

        Args:
            size: Of the model's images.
            contents: The files.
            left_s: How long they may wait and be decoded.

        Raises:
            QueueFullError: Too many images wait to be decoded.
            ExpiredError: The time was over before they were; where their turn had not come, they never will be.
            MalformedError: The number of images is no multiple of the channels.
            ServiceError: An image is broken, too large, or of a format that is not served.
        """
        channels = size.channels
        if not contents or len(contents) % channels:
            per = f"{channels} images a sample (left, right)" if channels == 2 else f"{channels} image(s) a sample"
            raise MalformedError(f"the model takes {per}, found {len(contents)} image(s)")
        if len(contents) <= channels and all(_is_small(content) for content in contents):
            images = [open_image(content, max_pixels=self._max_pixels) for content in contents]
            if all(image.width * image.height <= SMALL_PIXELS for image in images):
                return _samples(size, images)
        if self._waiting and self._waiting + len(contents) > self._max_waiting:
            raise QueueFullError(f"{self._waiting} images wait to be decoded; try again later", retry_after_s=1.0)
        self._waiting += len(contents)
        try:
            async with asyncio.timeout(left_s):
                return await self.apart(self._decode, size, contents)
        except TimeoutError:
            raise ExpiredError("the deadline passed before the images were decoded") from None
        finally:
            self._waiting -= len(contents)

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of work that would hold up the event loop, done in a decoder's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Finish what runs and end the threads."""
        self._workers.shutdown()

    def _decode(self, size: ImageSize, contents: Sequence[bytes]) -> NDArray[np.uint8]:
        return _samples(size, (open_image(content, max_pixels=self._max_pixels) for content in contents))


def _is_small(content: bytes) -> bool:
    return len(content) <= SMALL_BYTES and not any(chunk in content for chunk in COMPRESSED_TEXT)


def _samples(size: ImageSize, images: Iterable[Image.Image]) -> NDArray[np.uint8]:
    """Each is made small before the next is decoded: a few kilobytes of file may be gigabytes of pixels together."""
    pixels = [fit(decode(image), size.height, size.width) for image in images]
    return np.stack(pixels).reshape(-1, size.channels, size.height, size.width)
