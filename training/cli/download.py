"""``matcaps download NAME``: fetch a public data set."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from matcaps.training.cli import command
from matcaps.training.data.download import download


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    return command.run("download", download_command, arguments)


def download_command(
    name: Positional[Literal["smallnorb", "mnist", "fashion-mnist"]],
    to: Path = Path("data"),
    from_: Annotated[tuple[str, ...], arg(name="from", metavar="URL [URL ...]")] = (),
) -> None:
    """Download a public data set and verify its checksums.

    Args:
        name: the data set
        to: folder that holds the data sets, one folder each
        from_: places to try instead of the known ones: URLs of folders with the original files, or of zip archives
    """
    folder = download(name, to, places=from_, say=lambda line: print(line, file=sys.stderr))
    print(f"{name} is in {folder}")
