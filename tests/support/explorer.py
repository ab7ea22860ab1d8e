"""The explorer page, as its reader uses it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

LAYERS = ("primary_caps", "conv_caps_1", "conv_caps_2")
# A 3 of two arcs, in pixels of the pad.
ARCS = [(131, 92, 48, range(-150, 91, 20)), (131, 189, 58, range(-85, 156, 20))]
THREE = [
    (x + size * math.cos(math.radians(angle)), y + 0.85 * size * math.sin(math.radians(angle)))
    for x, y, size, angles in ARCS
    for angle in angles
]


class Explorer:
    """What a reader can do and see.

    Args:
        page: The browser's page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, model: str | None = None, path: str = "/") -> None:
        """Open the page, and choose a model."""
        self.page.goto(path)
        self.wait()
        if model is not None and self.page.locator("#model").input_value() != model:
            with self.answered():
                self.page.locator("#model").select_option(model)

    def wait(self) -> None:
        """Wait until all is shown that was asked for."""
        self.page.locator("html[data-state=ready]").wait_for(state="attached")

    @contextmanager
    def answered(self) -> Iterator[None]:
        """What happens in the block is asked of the service; afterwards its answer is shown."""
        with self.page.expect_response("**/infer"):
            yield
        self.wait()

    def upload(self, *files: Path | dict[str, str | bytes]) -> None:
        """Choose a picture's file; of several the next slot gets the next one."""
        for slot, file in enumerate(files):
            if len(files) > 1:
                self.page.locator(f"input[name=slot][value='{slot}']").check()
            with self.answered():
                self.page.locator("#file").set_input_files(file)  # type: ignore[arg-type]

    def draw(self, points: Sequence[tuple[float, float]]) -> None:
        """Draw one line on the pad with the mouse, and use the drawing."""
        self.page.get_by_role("button", name="Draw", exact=True).click()
        box = self.page.locator("#pad").bounding_box()
        assert box is not None
        for number, (x, y) in enumerate(points):
            self.page.mouse.move(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280, steps=4)
            if number == 0:
                self.page.mouse.down()
        self.page.mouse.up()
        with self.answered():
            self.page.get_by_role("button", name="Use it").click()

    def activations(self) -> dict[str, float]:
        """The values of the bars by class, from the top."""
        rows = self.page.locator("#classes button").evaluate_all(
            "rows => rows.map(row => [row.dataset.class, Number(row.dataset.value)])"
        )
        return dict(rows)

    def choose(self, label: str) -> None:
        """Choose a class."""
        bar = self.page.locator(f"#classes button[data-class='{label}']")
        bar.click()
        expect(bar).to_have_attribute("aria-pressed", "true")

    def credits(self) -> dict[str, list[float]]:
        """The credit of each place of each layer, row by row."""
        return {
            layer: self.overlay(layer)
            .get_by_role("gridcell")
            .evaluate_all("cells => cells.map(cell => Number(cell.dataset.credit))")
            for layer in LAYERS
        }

    def overlay(self, layer: str) -> Locator:
        return self.page.locator(f"figure[data-layer={layer}]")

    def error(self) -> str:
        """The sentence that says what went wrong."""
        expect(self.page.locator("#error")).to_be_visible()
        return self.page.locator("#error-text").inner_text()
