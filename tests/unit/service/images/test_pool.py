"""What is decoded at once, and what in a thread of its own."""

import asyncio
import threading
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from matcaps.service.backends.artefact import ImageSize
from matcaps.service.errors import ExpiredError, MalformedError, QueueFullError
from matcaps.service.images.decode import decode, fit
from matcaps.service.images.pool import Decoder
from tests.support.doubles import encoded, grey

LIMIT_S = 30.0
NOISE = np.random.default_rng(7).integers(0, 256, (128, 128), np.uint8)  # which no format shrinks
SIZE = ImageSize(channels=1, height=8, width=8)
STEREO = ImageSize(channels=2, height=8, width=8)


def with_compressed_text() -> bytes:
    """A small file that grows when it is opened."""
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
    ],
)
def test_only_what_is_small_is_decoded_at_once(
    size: ImageSize, contents: list[bytes], here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sample of few bytes and few pixels, and nothing that could grow; all the rest goes to a thread."""
    threads = []

    def watched_fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
        threads.append(threading.current_thread())
        return fit(image, height, width)

    monkeypatch.setattr("matcaps.service.images.pool.fit", watched_fit)
    decoder = Decoder(max_pixels=1_000_000, max_waiting=4)
    samples = asyncio.run(decoder.samples(size, contents, LIMIT_S))
    decoder.close()
    assert samples.shape == (len(contents) // size.channels, size.channels, 8, 8)
    assert {thread is threading.current_thread() for thread in threads} == {here}


def test_no_two_images_are_held_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is made small before the next is decoded."""
    order = []

    def watched_decode(image: Image.Image) -> Image.Image:
        order.append("decode")
        return decode(image)

    def watched_fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
        order.append("fit")
        return fit(image, height, width)

    monkeypatch.setattr("matcaps.service.images.pool.decode", watched_decode)
    monkeypatch.setattr("matcaps.service.images.pool.fit", watched_fit)
    decoder = Decoder(max_pixels=1_000_000, max_waiting=4)
    asyncio.run(decoder.samples(SIZE, [grey(40, 200, 200)] * 3, LIMIT_S))
    decoder.close()
    assert order == ["decode", "fit"] * 3


def test_the_number_of_images_must_fit() -> None:
    """An odd image for a pair of cameras, or none at all, is refused."""
    decoder = Decoder(max_pixels=1_000_000, max_waiting=4)
    for contents in ([], [grey(1)]):
        with pytest.raises(MalformedError, match="left, right"):
            asyncio.run(decoder.samples(STEREO, contents, LIMIT_S))
    decoder.close()


class Gated:
    """A ``fit`` that waits until it is let through."""

    def __init__(self) -> None:
        self.entered, self.gate, self.calls = threading.Semaphore(0), threading.Semaphore(0), 0

    def __call__(self, image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
        self.calls += 1
        self.entered.release()
        assert self.gate.acquire(timeout=LIMIT_S)
        return fit(image, height, width)


def test_what_waits_to_be_decoded_is_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound images are refused; whose time is over is told so, and is not decoded when its turn comes."""
    gated = Gated()
    monkeypatch.setattr("matcaps.service.images.pool.fit", gated)
    monkeypatch.setattr("matcaps.service.images.pool.usable_cores", lambda: 1)
    large = grey(40, 200, 200)

    async def work() -> None:
        decoder = Decoder(max_pixels=1_000_000, max_waiting=2)
        first = asyncio.create_task(decoder.samples(SIZE, [large], LIMIT_S))
        assert await asyncio.to_thread(gated.entered.acquire, timeout=LIMIT_S)
        with pytest.raises(QueueFullError, match="1 images wait to be decoded"):
            await decoder.samples(SIZE, [large] * 2, LIMIT_S)
        with pytest.raises(ExpiredError, match="before the images were decoded"):
            await decoder.samples(SIZE, [large], 0.0)
        gated.gate.release(9)
        assert (await first).shape == (1, 1, 8, 8)
        assert (await decoder.samples(SIZE, [large] * 5, LIMIT_S)).shape == (5, 1, 8, 8)  # alone, as many as there are
        decoder.close()

    asyncio.run(work())
    assert gated.calls == 6
