"""Pictures come into the explorer page by every way that it offers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import visit
from tests.support.doubles import FakeSession, grey
from tests.support.explorer import Explorer
from tests.support.listening import listening

LEVEL = 77  # the stand-in's first activation is the mean level / 1000
TRANSFER = """(bytes) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], 'given.png', { type: 'image/png' }));
  return transfer;
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with a model of one picture and one of two, under the path of a proxy."""
    folder = tmp_path_factory.mktemp("models")
    sessions = {"norb/1": FakeSession(), "stereo/1": FakeSession(channels=2)}
    with listening(folder, sessions, root_path="/capsules") as running:
        yield running.address


@pytest.fixture
def explorer(browser: Browser, address: str) -> Iterator[Explorer]:
    with visit(browser, address, permissions=["camera"]) as page:
        explorer = Explorer(page)
        explorer.open(path="/capsules")
        yield explorer


def first(explorer: Explorer) -> float:
    return explorer.activations()["animal"]


@pytest.mark.parametrize(
    ("kind", "event", "field"), [("DragEvent", "drop", "dataTransfer"), ("ClipboardEvent", "paste", "clipboardData")]
)
def test_a_picture_is_dropped_or_pasted(explorer: Explorer, kind: str, event: str, field: str) -> None:
    """The file itself is sent."""
    transfer = explorer.page.evaluate_handle(TRANSFER, list(grey(LEVEL)))
    with explorer.answered():
        explorer.page.evaluate(
            "([kind, event, field, transfer]) => document.querySelector('#picture')"
            ".dispatchEvent(new window[kind](event, { [field]: transfer, bubbles: true, cancelable: true }))",
            [kind, event, field, transfer],
        )
    assert first(explorer) == pytest.approx(LEVEL / 1000)
    expect(explorer.page.locator("#picture-caption")).to_have_text("given.png")


def test_the_right_eye_gets_what_is_dropped_on_it(explorer: Explorer) -> None:
    """Whichever slot was chosen before."""
    explorer.open("stereo", path="/capsules/")
    explorer.upload({"name": "left.png", "mimeType": "image/png", "buffer": grey(10)})
    transfer = explorer.page.evaluate_handle(TRANSFER, list(grey(30)))
    with explorer.answered():
        explorer.page.dispatch_event("#picture-right", "drop", {"dataTransfer": transfer})
    assert first(explorer) == pytest.approx(20 / 1000)


def test_an_empty_pad_is_not_used(explorer: Explorer) -> None:
    """The pad stays open, and says why."""
    page = explorer.page
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("Nothing is drawn yet.")).to_be_visible()
    page.get_by_role("button", name="Close").click()


def test_the_camera_takes_a_picture(explorer: Explorer) -> None:
    """And is switched off afterwards."""
    page = explorer.page
    before = first(explorer)
    page.get_by_role("button", name="Camera").click()
    with explorer.answered():
        page.get_by_role("button", name="Take the picture").click()
    assert first(explorer) != before
    expect(page.locator("#picture-caption")).to_have_text("camera.png")
    assert page.locator("#camera-view").evaluate("view => view.srcObject") is None


def test_examples_and_toys_are_at_hand(explorer: Explorer) -> None:
    """A toy has a turntable, whose slider turns it."""
    page = explorer.page
    with explorer.answered():
        page.get_by_role("button", name="A drawn truck", exact=True).click()
    truck = first(explorer)
    expect(page.get_by_label("Turntable", exact=True)).to_be_hidden()
    with explorer.answered():
        page.get_by_role("button", name="The truck on a turntable").click()
    toy = first(explorer)
    with explorer.answered():
        page.get_by_label("Turntable", exact=True).fill("90")
    assert len({truck, toy, first(explorer)}) == 3


def test_a_file_that_browsers_cannot_show_is_answered(explorer: Explorer) -> None:
    """PGM: the page says that it cannot show it, and switches the sliders off."""
    pgm = b"P5 8 8 255\n" + bytes([LEVEL]) * 64
    explorer.upload({"name": "plain.pgm", "mimeType": "image/x-portable-graymap", "buffer": pgm})
    assert first(explorer) == pytest.approx(LEVEL / 1000)
    expect(explorer.page.locator("#picture-caption")).to_contain_text("cannot show it")
    expect(explorer.page.locator("#turn")).to_be_disabled()
