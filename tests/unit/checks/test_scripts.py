"""The scripts that run the checks."""

import inspect
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import __main__ as listing
from checks.fuzz.__main__ import check as fuzz
from checks.load.overload import check as overload
from checks.load.reloads import check as reloads
from checks.load.restarts import check as restarts
from checks.load.soak import check as soak
from checks.replicas.__main__ import check as replicas

PROGRAMS: dict[str, Callable[..., None]] = {
    "check-fuzz": fuzz,
    "check-overload": overload,
    "check-reloads": reloads,
    "check-restarts": restarts,
    "check-soak": soak,
    "check-replicas": replicas,
}


def help_of(script: Path) -> str:
    """The output of ``--help`` where neither pip nor a virtual environment is in reach."""
    command = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", str(script), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


@pytest.mark.parametrize("script", sorted(listing.SCRIPTS.glob("check-*")), ids=lambda script: script.name)
def test_help_needs_no_environment(script: Path) -> None:
    """Each script prints the comment at its head."""
    first = script.read_text().splitlines()[1]
    assert help_of(script).startswith(first.removeprefix("# "))


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_names_every_option_with_its_default(name: str) -> None:
    """Options without a default are named alone; the script itself passes --schemathesis."""
    printed = help_of(listing.SCRIPTS / name)
    for option in inspect.signature(PROGRAMS[name]).parameters.values():
        default = "" if option.default is None else f" {option.default:g}"
        assert option.name == "schemathesis" or f"--{option.name}{default}" in printed


def test_the_listing_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m checks`` prints each script with its purpose."""
    listing.main()
    printed = capsys.readouterr().out
    for script in listing.SCRIPTS.glob("check-*"):
        assert f"scripts/{script.name}\n    " in printed
