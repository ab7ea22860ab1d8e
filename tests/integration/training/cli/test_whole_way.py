"""A release is refused before its run is opened; tests/integration/test_your_pictures.py goes the whole way."""

from pathlib import Path

import pytest

from matcaps.cli import main


def test_release_checks_the_version_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An existing version is rejected before the run is opened."""
    (tmp_path / "shapes" / "1").mkdir(parents=True)
    assert main(["release", "none", "--name=shapes", f"--models={tmp_path}", "--version=1"]) == 1
    assert "exists already; versions are never overwritten" in capsys.readouterr().err
