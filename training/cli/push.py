"""``matcaps push FOLDER_OR_NAME USER/REPO``: upload a released model to the Hugging Face Hub."""

import sys
from typing import Annotated

from tyro.conf import Positional, arg

from matcaps import __version__
from matcaps.model.sources import VERSION, find_local, nothing_local
from matcaps.training.cli import command
from matcaps.training.paths import NameOrFolder
from matcaps.training.release.push import CARD, push


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    return command.run("push", push_command, arguments)


def push_command(
    source: Annotated[Positional[NameOrFolder], arg(metavar="FOLDER_OR_NAME")],
    repository: Annotated[Positional[str], arg(metavar="USER/REPO")],
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
) -> None:
    """Upload a released model to a repository of the Hugging Face Hub, which is made if it is not there.

    The token is the one that `hf auth login` stored, or that of the variable HF_TOKEN.

    Args:
        source: folder of a released version, folder that save_pretrained wrote, or NAME or NAME/VERSION of a model
        repository: the repository
        private: make it visible to its owner alone
        revision: branch of the repository, made if it is not there; by default the main one
        message: message of the commit; by default it names the model and the version of matcaps
    """
    folder = find_local(source)
    if folder is None:
        raise nothing_local(source)
    folder = folder.resolve()
    name = f"{folder.parent.name}/{folder.name}" if VERSION.fullmatch(folder.name) else folder.name
    address = push(
        folder,
        repository,
        private=private,
        revision=revision,
        message=message or f"Upload {name} with matcaps {__version__}",
    )
    print(f"{name} is at {address}")
    if not (folder / CARD).is_file():
        print(f"matcaps push: {folder} has no model card {CARD}, so none was uploaded", file=sys.stderr)
