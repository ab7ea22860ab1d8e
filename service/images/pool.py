"""Encoded images to samples, without blocking the event loop."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from matcaps.images.decode import Picture, decode, decode_rgb, open_image
from matcaps.images.errors import BrokenImageError, ImageError, LargeImageError, UnsupportedImageError
from matcaps.images.fit import fit
from matcaps.service.backends.artefact import ImageSize
from matcaps.service.cores import usable_cores
from matcaps.service.errors import (
    ExpiredError,
    MalformedError,
    QueueFullError,
    ServiceError,
    TooLargeError,
    UndecodableError,
    UnsupportedTypeError,
)

SMALL_BYTES = 2**14
SMALL_PIXELS = 128 * 128
COMPRESSED_TEXT = (b"zTXt", b"iTXt", b"iCCP")  # PNG chunks that can grow a thousandfold when Pillow opens the file
PROFILE = b"acsp"  # in every ICC profile that is not compressed; to apply one takes milliseconds
REFUSALS: dict[type[ImageError], type[ServiceError]] = {
    BrokenImageError: UndecodableError,
    UnsupportedImageError: UnsupportedTypeError,
    LargeImageError: TooLargeError,
}

P = ParamSpec("P")
T = TypeVar("T")


class DecoderPool:
    """Decodes images in threads, and small ones at once, because that takes less time than handing them to a thread.

    Args:
        max_pixels: Limit of one image's pixels, checked before it is decoded.
        max_waiting: Limit of the images that are in threads or wait for one. A single request may always wait.
        threads: How many images are decoded at once; by default one per core and no more, since each may be large.
    """

    def __init__(self, max_pixels: int, max_waiting: int, threads: int | None = None) -> None:
        self._max_pixels, self._max_waiting = max_pixels, max_waiting
        self._waiting = 0  # changed by the event loop only
        self._workers = ThreadPoolExecutor(threads or usable_cores(), "decode")

    async def samples(self, size: ImageSize, contents: Sequence[bytes], left_s: float) -> NDArray[np.uint8]:
        """Decode images into samples [sample, channels, height, width]: in grey, or in RGB for three channels.

        Consecutive images are a stereo sample's left and right.

        Args:
            size: The model's image size.
            contents: The encoded images.
            left_s: Time until the request's deadline, in seconds.

        Raises:
            QueueFullError: Too many images wait to be decoded.
            ExpiredError: The deadline passed. Images whose decoding had not begun are never decoded.
            MalformedError: The number of images is not a multiple of those of a sample.
            ServiceError: An image is broken, too large, or of an unsupported format.
        """
        per_sample = size.images_per_sample
        if not contents or len(contents) % per_sample:
            order = " (left, right)" if per_sample == 2 else ""
            raise MalformedError(
                f"the model takes {per_sample} image(s) per sample{order}, got {len(contents)} image(s)"
            )
        slow = COMPRESSED_TEXT if size.channels < 3 else (*COMPRESSED_TEXT, PROFILE)
        if len(contents) <= per_sample and all(_is_small(content, slow) for content in contents):
            with _refused():
                pictures = [open_image(content, max_pixels=self._max_pixels) for content in contents]
                if all(picture.width * picture.height <= SMALL_PIXELS for picture in pictures):
                    return _samples(size, pictures)
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
        with _refused():
            return _samples(size, (open_image(content, max_pixels=self._max_pixels) for content in contents))


def _is_small(content: bytes, slow: Sequence[bytes]) -> bool:
    return len(content) <= SMALL_BYTES and not any(chunk in content for chunk in slow)


@contextmanager
def _refused() -> Iterator[None]:
    """Turn the errors of pictures into those of the service."""
    try:
        yield
    except ImageError as error:
        raise REFUSALS[type(error)](str(error)) from None


def _samples(size: ImageSize, pictures: Iterable[Picture]) -> NDArray[np.uint8]:
    """Resize each image before the next is decoded: only one image of a request is held at full size."""
    read = decode_rgb if size.channels == 3 else decode
    pixels = [fit(read(picture), size.height, size.width) for picture in pictures]
    together = pixels[0] if len(pixels) == 1 else np.stack(pixels)
    return together.reshape(-1, size.channels, size.height, size.width)
