"""The explorer page says in words what went wrong, and goes on afterwards."""

import re
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from matcaps.service.keys import digest
from tests.support.browser import visit
from tests.support.doubles import FakeSession, GatedSession, encoded, grey
from tests.support.explorer import Explorer
from tests.support.listening import listening

KEY = "a key that somebody was given"
PIXELS = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
PICTURE = encoded(Image.fromarray(PIXELS))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that takes bodies of up to 500 kB."""
    folder = tmp_path_factory.mktemp("models")
    with listening(folder, {"norb/1": FakeSession()}, max_body_bytes=500_000) as running:
        yield running.address


@pytest.mark.parametrize(
    ("status", "name", "content", "sentence"),
    [
        (
            413,
            "large.png",
            bytes(500_000),
            r"The picture is too large\. At most 500000 bytes .+\. Choose a smaller one\.",
        ),
        (
            415,
            "moving.gif",
            b"GIF89a" + bytes(20),
            r"This kind of file is not supported\. .+\. Choose a PNG or JPEG file\.",
        ),
        (422, "half.png", PICTURE[: len(PICTURE) // 2], r"The picture cannot be read\. .+\. Choose another file\."),
    ],
    ids=["too large", "not supported", "cut off"],
)
def test_a_refused_picture_is_said_in_words(
    browser: Browser, address: str, status: int, name: str, content: bytes, sentence: str
) -> None:
    """With the service's own reason; the next picture is answered."""
    with visit(browser, address, allowed=f"status of {status}") as page:
        explorer = Explorer(page)
        explorer.open()
        with page.expect_response("**/infer") as answer:
            page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        assert answer.value.status == status
        assert re.fullmatch(sentence, explorer.error())
        expect(page.get_by_role("button", name="Try again")).to_be_hidden()  # the answer would be the same
        expect(page.locator("#error-note")).to_be_visible()
        explorer.upload({"name": "whole.png", "mimeType": "image/png", "buffer": PICTURE})
        expect(page.locator("#error")).to_be_hidden()


def test_a_busy_service_says_when_to_come_again(browser: Browser, tmp_path: Path) -> None:
    """With the seconds of ``Retry-After``; the button asks again."""
    session = GatedSession()
    with (
        listening(tmp_path, {"norb/1": session}, max_queue=1, max_batch=1) as running,
        visit(browser, running.address, allowed="status of 429") as page,
        httpx.Client(base_url=running.address, trust_env=False, timeout=60) as client,
        ThreadPoolExecutor(3) as others,
    ):
        session.gate.release()
        explorer = Explorer(page)
        explorer.open()
        session.wait_until_entered()
        ask = partial(client.post, "/predict", content=grey(1), headers={"content-type": "image/png"})
        others.submit(ask)
        session.wait_until_entered()
        # One runs. Of two more, one waits and one is refused: then the queue is full.
        refused, _ = wait([others.submit(ask), others.submit(ask)], timeout=30, return_when=FIRST_COMPLETED)
        assert [answer.result().status_code for answer in refused] == [429]
        page.get_by_role("button", name="A drawn truck").click()
        assert re.fullmatch(r"The service is busy\. Try again in \d+ s\.", explorer.error())
        session.gate.release(99)
        with explorer.answered():
            page.get_by_role("button", name="Try again").click()
        expect(page.locator("#error")).to_be_hidden()


def test_no_connection_is_said_in_words(browser: Browser, address: str) -> None:
    """And the button asks again."""
    with visit(browser, address, allowed="ERR_INTERNET_DISCONNECTED") as page:
        explorer = Explorer(page)
        explorer.open()
        page.context.set_offline(True)
        page.locator("#turn").fill("30")
        assert explorer.error() == "No connection to the service. See whether it runs, then try again."
        page.context.set_offline(False)
        with explorer.answered():
            page.get_by_role("button", name="Try again").click()
        expect(page.locator("#error")).to_be_hidden()
        page.context.set_offline(True)
        page.get_by_role("button", name="A drawn truck", exact=True).click()  # the page reads the example first
        assert explorer.error().startswith("No connection")
        page.context.set_offline(False)
        with explorer.answered():
            page.get_by_role("button", name="Try again").click()
        expect(page.locator("#picture-caption")).to_have_text("truck.png")


def test_the_page_asks_for_a_key_that_the_service_needs(browser: Browser, tmp_path: Path) -> None:
    """A wrong one is refused, a valid one stays for the tab alone, and the copied command names it as a variable."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest(KEY)}\n")
    with (
        listening(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as running,
        visit(browser, running.address, allowed="status of 401") as page,
    ):
        explorer = Explorer(page)
        page.goto("/")
        field = page.get_by_label("API key")
        assert "needs an API key" in explorer.error()
        with page.expect_response("**/models") as answer:
            field.fill("wrong")
            page.get_by_role("button", name="Use this key").click()
        assert answer.value.status == 401
        assert "invalid" in explorer.error()
        field.fill(KEY)
        field.press("Enter")
        explorer.wait()
        expect(page.locator("#error")).to_be_hidden()
        page.reload()
        explorer.wait()
        page.get_by_role("button", name="Copy as curl").click()
        expect(page.locator("#code")).to_have_value(re.compile(r"Authorization: Bearer \$MATCAPS_KEY"))
        stored = page.evaluate("() => [localStorage.length, document.cookie, sessionStorage.length]")
        assert stored == [0, "", 1]
        other = page.context.new_page()
        other.goto("/")
        assert "needs an API key" in Explorer(other).error()
