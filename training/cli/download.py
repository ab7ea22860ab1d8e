"""``matcaps download NAME``: fetch a public data set."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from matcaps.training.cli import command
from matcaps.training.data.download import download


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    return command.run("download", download_command, arguments)


def download_command(name: Positional[Literal["smallnorb", "mnist", "fashion-mnist"]], to: Path = Path("data")) -> None:
    """Download a public data set and verify its checksums.

    Args:
        name: the data set
        to: folder that holds the data sets, one folder each
    """
    print(f"{name} is in {download(name, to)}")
