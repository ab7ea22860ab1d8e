"""The screenshots of the documents are made by ``scripts/make-screenshots``, which works."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.support.screenshots import FOLDER, MOST_BYTES, ROOT, SCREENSHOTS, take


def test_the_documents_show_all_screenshots_and_no_others() -> None:
    """Each is a small file that a document shows."""
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {f"{screenshot.name}.webp" for screenshot in SCREENSHOTS}
    assert all((FOLDER / name).stat().st_size < MOST_BYTES for name in files)
    shown = "".join(page.read_text() for page in [ROOT / "README.md", *Path(ROOT / "docs").glob("*.md")])
    assert set(re.findall(r"images/([\w-]+\.webp)", shown)) == files


@pytest.mark.parametrize("name", ["explorer", "turntable"])
def test_a_screenshot_can_be_made_again(browser: Browser, address: str, name: str) -> None:
    """It has the size of the one that is there: the page still looks like its picture."""
    (screenshot,) = [one for one in SCREENSHOTS if one.name == name]
    with Image.open(io.BytesIO(take(browser, address, screenshot))) as new, Image.open(FOLDER / f"{name}.webp") as old:
        assert new.width == old.width
        assert new.height == pytest.approx(old.height, abs=60)  # text of another font may need another line
