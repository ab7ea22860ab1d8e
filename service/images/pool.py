"""Encoded images to samples, without blocking the event loop."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matcaps.service.backends.artefact import ImageSize
from matcaps.service.cores import usable_cores
from matcaps.service.errors import ExpiredError, MalformedError, QueueFullError
from matcaps.service.images.decode import decode, open_image
from matcaps.service.images.fit import fit

SMALL_BYTES = 2**14
SMALL_PIXELS = 128 * 128
COMPRESSED_TEXT = (b"zTXt", b"iTXt", b"iCCP")  # PNG chunks that can grow a thousandfold when Pillow opens the file

P = ParamSpec("P")
T = TypeVar("T")


class DecoderPool:
    """Decodes images in threads, and small ones at once, because that takes less time than handing them to a thread.

    Args:
        max_pixels: Limit of one image's pixels, checked before it is decoded.
        max_waiting: Limit of the images that are in threads or wait for one. A single request may always wait.
    """

    def __init__(self, max_pixels: int, max_waiting: int) -> None:
        self._max_pixels, self._max_waiting = max_pixels, max_waiting
        self._waiting = 0  # changed by the event loop only
        # One thread per core and no more: each may hold a large image.
        self._workers = ThreadPoolExecutor(usable_cores(), "decode")

    async def samples(self, size: ImageSize, contents: Sequence[bytes], left_s: float) -> NDArray[np.uint8]:
        """Decode images into samples [sample, channels, height, width]; consecutive images are a sample's channels.

        Args:
            size: The model's image size.
            contents: The encoded images.
            left_s: Time until the request's deadline, in seconds.

        Raises:
            QueueFullError: Too many images wait to be decoded.
            ExpiredError: The deadline passed. Images whose decoding had not begun are never decoded.
            MalformedError: The number of images is not a multiple of the channels.
            ServiceError: An image is broken, too large, or of an unsupported format.
        """
        channels = size.channels
        if not contents or len(contents) % channels:
            order = " (left, right)" if channels == 2 else ""
            raise MalformedError(f"the model takes {channels} image(s) per sample{order}, got {len(contents)} image(s)")
        if len(contents) <= channels and all(_is_small(content) for content in contents):
            images = [open_image(content, max_pixels=self._max_pixels) for content in contents]
            if all(image.width * image.height <= SMALL_PIXELS for image in images):
                return _samples(size, images)
        if self._waiting and self._waiting + len(contents) > self._max_waiting:
            raise QueueFullError(
                f"at most {self._max_waiting} images may wait to be decoded, {self._waiting} wait already; "
                f"try again later",
                retry_after_s=1.0,
            )
        self._waiting += len(contents)
        try:
            async with asyncio.timeout(left_s):
                return await self.apart(self._decode, size, contents)
        except TimeoutError:
            raise ExpiredError("the deadline passed before the images were decoded") from None
        finally:
            self._waiting -= len(contents)

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work that would block the event loop in one of the decoding threads, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Finish the running work and end the threads."""
        self._workers.shutdown()

    def _decode(self, size: ImageSize, contents: Sequence[bytes]) -> NDArray[np.uint8]:
        return _samples(size, (open_image(content, max_pixels=self._max_pixels) for content in contents))


def _is_small(content: bytes) -> bool:
    return len(content) <= SMALL_BYTES and not any(chunk in content for chunk in COMPRESSED_TEXT)


def _samples(size: ImageSize, images: Iterable[Image.Image]) -> NDArray[np.uint8]:
    """Resize each image before the next is decoded: only one image of a request is held at full size."""
    pixels = [fit(decode(image), size.height, size.width) for image in images]
    return np.stack(pixels).reshape(-1, size.channels, size.height, size.width)
