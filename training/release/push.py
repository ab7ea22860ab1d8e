"""Uploads a released model to a repository of the Hugging Face Hub. Needs the extra ``hub``."""

from pathlib import Path
from urllib.parse import quote

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

from matcaps import __version__
from matcaps.model import CapsNet
from matcaps.model.hub import LOG_IN, SENDER, explained
from matcaps.model.pretrained import CONFIG_FILE, WEIGHTS_FILE
from matcaps.model.sources import REPOSITORY

GRAPH, CARD = "model.onnx", "README.md"


def push(folder: Path, repository: str, *, private: bool, revision: str | None, message: str) -> str:
    """Upload the files of a released model in one commit, into a repository that is made if it is not there.

    The weights and the configuration must be there; the graph and the model card are uploaded if they are. A graph of
    other weights, which the repository has from an earlier upload, is deleted. The token is that of huggingface_hub.

    Args:
        folder: The folder of a released version, or one that ``save_pretrained`` wrote.
        repository: Its name, ``user/repo``.
        private: Whether only its owner may see it.
        revision: Its branch, made from the main one if it is not there; by default the main one.
        message: Of the commit.

    Returns:
        The address of the repository or the branch.

    Raises:
        FileNotFoundError: The folder lacks a file.
        ValueError: The files do not fit together, the name is none, or the repository is public and must be private.
        PermissionError: There is no token, or one that may not do this.
        OSError: Another failure, as in ``explained``.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"expected the name of a repository, user/repo, got {repository!r}")
    CapsNet.from_pretrained(folder)  # what is uploaded can be loaded
    with explained(repository):
        if get_token() is None:
            raise PermissionError(f"there is no token for the Hub; {LOG_IN}")
        api = HfApi(library_name=SENDER, library_version=__version__)
        address = str(api.create_repo(repository, private=private or None, exist_ok=True))
        if private and not api.model_info(repository).private:
            raise ValueError(f"{repository} exists and is public; make it private at {address}/settings first")
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        names = [name for name in (CARD, CONFIG_FILE, GRAPH, WEIGHTS_FILE) if (folder / name).is_file()]
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(name, folder / name) for name in names
        ]
        if GRAPH not in names and api.file_exists(repository, GRAPH, revision=revision):
            operations.append(CommitOperationDelete(GRAPH))
        api.create_commit(repository, operations, commit_message=message, revision=revision)
    return address if revision is None else f"{address}/tree/{quote(revision)}"
