"""What takes long to make is made once for all workers of pytest-xdist, in a folder that they share."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name in this test run. The first worker that asks fills it by ``make``, others wait.

    Nobody writes into it afterwards: a test that changes it works on a copy.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of the test run; without workers the parent has other runs, too
    folder, made = base / f"once-{name}", base / f"once-{name}.made"
    with FileLock(base / f"once-{name}.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker whose ``make`` failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
