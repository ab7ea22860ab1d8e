"""What tests of the training side share."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of prepared data sets; tests that take it are marked ``real_data`` and skip where it is absent."""
    folder = Path(os.environ.get("MATCAPS_DATA", BESIDE))
    if not (folder / "smallnorb").is_dir():
        pytest.skip(f"there are no prepared data sets in {folder}; MATCAPS_DATA names another folder")
    return folder
