"""The decoder pool: which images go to a thread, how many may wait, and for how long."""

import asyncio
import threading
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from matcaps.images.decode import Picture, decode
from matcaps.images.fit import fit
from matcaps.service.backends.artefact import ImageSize
from matcaps.service.errors import (
    ExpiredError,
    MalformedError,
    QueueFullError,
    ServiceError,
    TooLargeError,
    UndecodableError,
    UnsupportedTypeError,
)
from matcaps.service.images.pool import DecoderPool
from tests.support.doubles import encoded, grey
from tests.support.profiles import rgb_profile

LIMIT_S = 30.0
NOISE = np.random.default_rng(7).integers(0, 256, (128, 128), np.uint8)  # no format compresses it
SIZE = ImageSize(channels=1, height=8, width=8)
STEREO = ImageSize(channels=2, height=8, width=8)
RGB = ImageSize(channels=3, height=8, width=8)
PROFILED = encoded(Image.new("RGB", (16, 16)), "TIFF", icc_profile=rgb_profile())


def with_compressed_text() -> bytes:
    """A small PNG whose text chunk grows when the file is opened."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a" * 100_000, zip=True)
    file = BytesIO()
    Image.new("L", (8, 8), 40).save(file, "PNG", pnginfo=text)
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "contents", "here"),
    [
        (SIZE, [grey(40)], True),
        (STEREO, [grey(40), grey(40)], True),
        (SIZE, [grey(40, 128, 128)], True),
        (SIZE, [grey(40, 128, 129)], False),
        (SIZE, [grey(40), grey(40)], False),
        (SIZE, [encoded(Image.fromarray(NOISE))], False),
        (SIZE, [with_compressed_text()], False),
        (RGB, [grey(40)], True),
        (RGB, [grey(40), grey(40)], False),
        (RGB, [PROFILED], False),
        (SIZE, [PROFILED], True),
    ],
)
def test_only_small_images_are_decoded_on_the_event_loop(
    size: ImageSize, contents: list[bytes], here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one small sample without compressed text is decoded on the event loop; all else goes to a thread.

    For an RGB model, so do images with a profile, because that takes milliseconds.
    """
    threads = []

    def watched_fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
        threads.append(threading.current_thread())
        return fit(image, height, width)

    monkeypatch.setattr("matcaps.service.images.pool.fit", watched_fit)
    decoder = DecoderPool(max_pixels=1_000_000, max_waiting=4)
    samples = asyncio.run(decoder.samples(size, contents, LIMIT_S))
    decoder.close()
    assert samples.shape == (len(contents) // size.images_per_sample, size.channels, 8, 8)
    assert {thread is threading.current_thread() for thread in threads} == {here}


def test_one_image_at_a_time_is_held_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image of a request is resized before the next one is decoded."""
    order = []

    def watched_decode(picture: Picture) -> Image.Image:
        order.append("decode")
        return decode(picture)

    def watched_fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
        order.append("fit")
        return fit(image, height, width)

    monkeypatch.setattr("matcaps.service.images.pool.decode", watched_decode)
    monkeypatch.setattr("matcaps.service.images.pool.fit", watched_fit)
    decoder = DecoderPool(max_pixels=1_000_000, max_waiting=4)
    asyncio.run(decoder.samples(SIZE, [grey(40, 200, 200)] * 3, LIMIT_S))
    decoder.close()
    assert order == ["decode", "fit"] * 3


def test_the_number_of_images_must_be_a_multiple_of_the_channels() -> None:
    """A stereo model rejects an odd number of images, and no images at all."""
    decoder = DecoderPool(max_pixels=1_000_000, max_waiting=4)
    for contents in ([], [grey(1)]):
        with pytest.raises(MalformedError, match="left, right"):
            asyncio.run(decoder.samples(STEREO, contents, LIMIT_S))
    decoder.close()


class Gated:
    """A ``fit`` that waits until the test lets it pass."""

    def __init__(self) -> None:
        self.entered, self.gate, self.calls = threading.Semaphore(0), threading.Semaphore(0), 0

    def __call__(self, image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
        self.calls += 1
        self.entered.release()
        assert self.gate.acquire(timeout=LIMIT_S)
        return fit(image, height, width)


def test_waiting_images_are_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images beyond the limit are rejected. Images whose deadline passed are rejected and never decoded."""
    gated = Gated()
    monkeypatch.setattr("matcaps.service.images.pool.fit", gated)
    monkeypatch.setattr("matcaps.service.images.pool.usable_cores", lambda: 1)
    large = grey(40, 200, 200)

    async def work() -> None:
        decoder = DecoderPool(max_pixels=1_000_000, max_waiting=2)
        first = asyncio.create_task(decoder.samples(SIZE, [large], LIMIT_S))
        assert await asyncio.to_thread(gated.entered.acquire, timeout=LIMIT_S)
        with pytest.raises(QueueFullError, match="at most 2 images may wait to be decoded, 1 wait already"):
            await decoder.samples(SIZE, [large] * 2, LIMIT_S)
        with pytest.raises(ExpiredError, match="before the images were decoded"):
            await decoder.samples(SIZE, [large], 0.0)
        gated.gate.release(9)
        assert (await first).shape == (1, 1, 8, 8)
        assert (await decoder.samples(SIZE, [large] * 5, LIMIT_S)).shape == (5, 1, 8, 8)  # one request may always wait
        decoder.close()

    asyncio.run(work())
    assert gated.calls == 6


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (grey(40)[:40], UndecodableError),
        (b"GIF89a" + bytes(40), UnsupportedTypeError),
        (grey(40, 40, 40), TooLargeError),
        (grey(40)[:40] + bytes(2**15), UndecodableError),
    ],
)
def test_refused_pictures_become_errors_of_the_service(content: bytes, refusal: type[ServiceError]) -> None:
    """A broken, unsupported or large picture raises the error of the service, on the event loop and in a thread."""
    decoder = DecoderPool(max_pixels=1_000, max_waiting=4)
    for contents in ([content], [content] * 2):
        with pytest.raises(refusal):
            asyncio.run(decoder.samples(SIZE, contents, LIMIT_S))
    decoder.close()
