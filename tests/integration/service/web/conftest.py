"""A browser, and a service with real models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from matcaps.service.backends.open import open_session
from matcaps.service.settings import Settings
from tests.support.browser import chromium
from tests.support.doubles import write_model
from tests.support.listening import listening_with

REPOSITORY = Path(__file__).parents[4] / "model_repository"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with three released models, and one that answers as ``FakeSession`` does."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("mnist", "smallnorb", "smallnorb-stereo"):
        (folder / name).symlink_to(REPOSITORY / name)
    write_model(folder, "stand-in", 1)
    with listening_with(Settings(models=folder), lambda path: [open_session(path, "cpu", threads=1)]) as running:
        yield running.address
