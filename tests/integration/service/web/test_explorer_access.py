"""The explorer page works by keyboard, for screen readers, in dark and light, on a phone and on a large screen."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import violations, visit
from tests.support.explorer import LAYERS, Explorer

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]


def tab_to(page: Page, selector: str, most: int = 80) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector) ?? false", selector):
            return
    pytest.fail(f"{selector} does not get the focus by Tab")


def press(page: Page, key: str, times: int = 1) -> None:
    for _ in range(times):
        page.keyboard.press(key)


def test_everything_can_be_done_by_keyboard(browser: Browser, address: str) -> None:
    """Choose a model, draw a digit, choose a class, move over the places, sweep and copy: without the mouse."""
    with visit(browser, address, permissions=["clipboard-write", "clipboard-read"]) as page:
        explorer = Explorer(page)
        explorer.open()
        page.locator("body").press("Home")
        tab_to(page, "#model")
        with explorer.answered():
            page.keyboard.type("mnist")
            page.keyboard.press("Enter")
        tab_to(page, "#draw")
        press(page, "Enter")
        expect(page.locator("#pad")).to_be_focused()
        press(page, "Space")
        press(page, "ArrowDown", 18)
        press(page, "Space")
        tab_to(page, "#pad-use")
        with explorer.answered():
            press(page, "Enter")
        assert next(iter(explorer.activations())) == "1"
        tab_to(page, "#turn")
        with explorer.answered():
            press(page, "ArrowRight", 3)
        expect(page.locator("#turn-value")).to_contain_text("3°")
        tab_to(page, "#classes button")
        press(page, "Tab")
        press(page, "Enter")
        expect(page.locator("#classes button:focus")).to_have_attribute("aria-pressed", "true")
        tab_to(page, f"figure[data-layer={LAYERS[0]}] [role=gridcell]")
        press(page, "ArrowRight", 2)
        press(page, "ArrowDown")
        expect(page.locator("#place-heading")).to_contain_text("row 2, column 3")
        tab_to(page, "#sweep")
        with page.expect_response("**/infer"):
            press(page, "Enter")
        expect(page.locator("#plots")).to_be_visible()
        tab_to(page, "#copy-curl")
        press(page, "Enter")
        expect(page.locator("#take-note")).to_contain_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()").startswith("curl ")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation(browser: Browser, address: str, scheme: Literal["light", "dark"]) -> None:
    """With everything shown: overlays, a place, a sweep; with the pad open; and with an error."""
    with visit(browser, address, color_scheme=scheme, allowed="ERR_INTERNET_DISCONNECTED") as page:
        explorer = Explorer(page)
        explorer.open("smallnorb-stereo")
        page.get_by_role("button", name="Sweep", exact=True).click()
        expect(page.locator("#plots")).to_be_visible()
        explorer.overlay(LAYERS[2]).get_by_role("gridcell").nth(5).focus()
        page.get_by_role("button", name="Copy as Python").click()
        expect(page.locator("#code")).to_be_visible()
        assert violations(page) == []
        page.get_by_role("button", name="Draw", exact=True).click()
        assert violations(page) == []
        page.get_by_role("button", name="Close").click()
        page.context.set_offline(True)
        page.get_by_role("button", name="Use one picture for both").click()
        explorer.error()
        assert violations(page) == []


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_is_wider_than_the_screen(browser: Browser, address: str, width: int) -> None:
    """With everything shown, for one picture and for two."""
    options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "has_touch": width < 600}
    with visit(browser, address, **options) as page:
        explorer = Explorer(page)
        for model in ("mnist", "smallnorb-stereo"):
            explorer.open(model)
            page.get_by_role("button", name="Sweep", exact=True).click()
            expect(page.locator("#plots")).to_be_visible()
            page.get_by_role("button", name="Copy as Python").click()
            expect(page.locator("#code")).to_be_visible()
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width
