"""The settings: where they come from, and the page that documents them."""

import pytest

from matcaps.service.settings import Settings
from tests.support.settings_table import COMMAND, PAGE, START, with_table


def test_the_documented_table_is_current() -> None:
    """The table in docs/configuration.md is the one that is made from Settings."""
    page = PAGE.read_text()
    assert START in page
    assert page == with_table(page), f"docs/configuration.md is out of date; `{COMMAND}` rewrites it"


def test_an_option_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option overrides the environment variable, which overrides the default."""
    assert Settings(_cli_parse_args=[]).max_images == 64
    monkeypatch.setenv("MATCAPS_MAX_IMAGES", "5")
    assert Settings(_cli_parse_args=[]).max_images == 5
    assert Settings(_cli_parse_args=["--max-images", "6"]).max_images == 6


def test_unknown_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable that is not a setting is ignored."""
    monkeypatch.setenv("MATCAPS_COLOUR", "red")
    assert Settings(_cli_parse_args=[]) == Settings()
