"""The screenshots of the documents, made from the running page; ``scripts/make-screenshots`` writes them."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, expect

from matcaps.service.backends.open import open_session
from matcaps.service.settings import Settings
from tests.support.browser import chromium, visit
from tests.support.explorer import THREE, Explorer
from tests.support.listening import listening_with

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 150_000
MARGIN = 24  # pixels around a part of the page


class Screenshot(NamedTuple):
    """A part of the page after something was done.

    Attributes:
        name: Of the file, without its ending.
        do: What the reader does.
        part: Selector of the part that is shown; the first screen if empty.
        scheme: Light or dark.
    """

    name: str
    do: Callable[[Explorer], None]
    part: str = ""
    scheme: Literal["light", "dark"] = "light"


def see_an_airplane(explorer: Explorer) -> None:
    """The first thing that a reader sees."""
    explorer.open("smallnorb")


def draw_a_three(explorer: Explorer) -> None:
    explorer.open("mnist")
    explorer.draw(THREE)


def turn_a_truck(explorer: Explorer) -> None:
    """The truck on the turntable at 36 angles."""
    explorer.open("smallnorb")
    with explorer.answered():
        explorer.page.get_by_role("button", name="The truck on a turntable").click()
    explorer.page.get_by_role("button", name="Sweep", exact=True).click()
    expect(explorer.page.locator("#plots")).to_be_visible()


SCREENSHOTS = (
    Screenshot("explorer", see_an_airplane),
    Screenshot("explorer-dark", see_an_airplane, scheme="dark"),
    Screenshot("parts", see_an_airplane, "section[aria-labelledby=parts-heading]"),
    Screenshot("digit", draw_a_three),
    Screenshot("turntable", turn_a_truck, "section[aria-labelledby=sweep-heading]"),
)


@contextmanager
def released_models() -> Iterator[str]:
    """The address of a service with the models of the repository that the screenshots show."""
    settings = Settings(models=ROOT / "model_repository")
    with listening_with(settings, lambda path: [open_session(path, "cpu", threads=1)]) as running:
        yield running.address


def take(browser: Browser, address: str, screenshot: Screenshot) -> bytes:
    """A WebP picture of at most 150 kB."""
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}, "color_scheme": screenshot.scheme}
    with visit(browser, address, reduced_motion="reduce", **options) as page:
        screenshot.do(Explorer(page))
        png = _shown(page, screenshot.part)
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "WEBP", quality=88, method=6)
    content = file.getvalue()
    assert len(content) < MOST_BYTES, f"{screenshot.name}: at most {MOST_BYTES} bytes, got {len(content)}"
    return content


def _shown(page: Page, part: str) -> bytes:
    page.mouse.move(0, 0)  # nothing is pointed at
    page.evaluate("document.activeElement?.blur()")
    if not part:
        return page.screenshot()
    page.evaluate("window.scrollTo(0, 0)")  # boxes are relative to what is in view
    box = page.locator(part).bounding_box()
    assert box is not None
    clip: FloatRect = {
        "x": box["x"] - MARGIN,
        "y": box["y"] - MARGIN,
        "width": box["width"] + 2 * MARGIN,
        "height": box["height"] + 2 * MARGIN,
    }
    return page.screenshot(clip=clip, full_page=True)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with released_models() as address, chromium() as browser:
        for screenshot in SCREENSHOTS:
            (FOLDER / f"{screenshot.name}.webp").write_bytes(take(browser, address, screenshot))


if __name__ == "__main__":
    main()
