"""Chromium, driven by Playwright, and pages that fail a test if they ask another host or log an error.

Not pytest-playwright: its browser lives until the process ends, and so does Playwright's event loop in the main thread.
The other tests of that process could not call ``asyncio.run`` any more.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
LONGEST_MS = 30_000  # nothing takes a tenth of it, unless the machine is busy
OPTIONS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host can be reached
    "--disable-dev-shm-usage",  # containers often have little of it
    "--use-fake-device-for-media-stream",  # a camera with a test picture, which asks nobody
    "--use-fake-ui-for-media-stream",
]


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI, where everything is installed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed browser, without a window."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        unavailable("needs Chromium; as root on Debian, scripts/test installs it")
    expect.set_options(timeout=LONGEST_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, origin: str, allowed: str = "(?!)", **options: Any) -> Iterator[Page]:
    """A new page whose requests and console are watched; what is wrong with them fails the test at the end.

    Args:
        browser: The browser.
        origin: The only address that the page may ask, such as ``http://127.0.0.1:8000``.
        allowed: Pattern of console errors that belong to the test, such as those of a request that is refused.
        options: Those of ``Browser.new_context``.
    """
    strange: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not re.search(allowed, message.text):
            strange.append(f"console: {message.text}")

    with browser.new_context(base_url=origin, **options) as context:
        context.on("console", hear)
        context.on("weberror", lambda error: strange.append(f"uncaught: {error.error}"))
        context.on("request", lambda request: strange.append(request.url) if leaves(request.url, origin) else None)
        page = context.new_page()
        page.set_default_timeout(LONGEST_MS)
        yield page
    assert strange == []


def leaves(url: str, origin: str) -> bool:
    """Whether a request goes to another origin.

    >>> leaves("http://127.0.0.1:80/web/a.js", "http://127.0.0.1:80"), leaves("blob:http://127.0.0.1:80/1", "http://127.0.0.1:80")
    (False, False)
    >>> leaves("http://127.0.0.1:8000/", "http://127.0.0.1:80")
    True
    """
    return not url.startswith((f"{origin}/", f"blob:{origin}/", "data:"))


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page: its rule, and the first element."""
    if not AXE.is_file():
        unavailable("needs axe-core; scripts/test installs it where npm is there")
    page.evaluate(AXE.read_text())  # not as a script element, which the page's policy forbids
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html']}" for one in found]
