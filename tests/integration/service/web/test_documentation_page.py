"""``/docs`` in a browser: it shows the routes, takes a key, and asks nobody but the service."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from matcaps.service.keys import digest
from tests.support.browser import chromium, visit
from tests.support.doubles import FakeSession
from tests.support.listening import listening

KEY = "a key that somebody was given"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with a key and a root path."""
    folder = tmp_path_factory.mktemp("service")
    keys = folder / "keys"
    keys.write_text(f"ann sha256:{digest(KEY)}\n")
    with listening(folder / "models", {"norb/1": FakeSession()}, api_keys=keys, root_path="/capsules") as running:
        yield running.address


def ask_for_models(page: Page) -> str:
    """The status of ``GET /models``, sent with Swagger UI."""
    operation = page.locator("#operations-models-models_models_get")
    if not operation.get_by_role("button", name="Execute").is_visible():
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/capsules/models") as answer:
        operation.get_by_role("button", name="Execute").click()
    status = str(answer.value.status)
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text(status)
    return status


def test_swagger_ui_lists_the_routes(browser: Browser, address: str) -> None:
    """From the schema, all of it from the service's own files, under its strict policy."""
    with visit(browser, address) as page:
        page.goto("/capsules/docs")
        expect(page.locator(".opblock-summary-path").get_by_text("/predict", exact=True)).to_be_visible()
        assert page.locator(".opblock").count() > 20


def test_swagger_ui_sends_the_key_that_it_is_given(browser: Browser, address: str) -> None:
    """Without one the route answers 401; afterwards 200."""
    with visit(browser, address, allowed=r"status of 401") as page:
        page.goto("/capsules/docs")
        assert ask_for_models(page) == "401"
        page.get_by_role("button", name="Authorize").click()
        dialog = page.locator(".modal-ux")
        dialog.get_by_role("textbox").first.fill(KEY)
        dialog.get_by_role("button", name=re.compile("apply", re.IGNORECASE)).first.click()
        dialog.get_by_role("button", name="Close").first.click()
        assert ask_for_models(page) == "200"
