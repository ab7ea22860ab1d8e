"""Repositories of the Hugging Face Hub as local folders, and its failures as errors of one line.

Needs the extra ``hub``, so only what was asked for a repository imports this file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.errors import HTTPError as RequestError  # type: ignore[attr-defined]  # of its HTTP library

from matcaps import __version__

SENDER = "matcaps"  # in the header User-Agent of requests
LOG_IN = "`hf auth login` stores a token, and the variable HF_TOKEN may hold one"


def download(repository: str, revision: str | None, names: Sequence[str]) -> Path:
    """The folder with these files of a repository, in the cache of huggingface_hub.

    Only what the cache lacks is downloaded. What it has is also found without a network.

    Raises:
        FileNotFoundError: There is no such repository, or it lacks a file or the revision.
        OSError: Another failure, as in ``explained``.
    """
    with explained(repository, revision):
        found = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(names),
            library_name=SENDER,
            library_version=__version__,
        )
    folder = Path(found)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise FileNotFoundError(f"{repository} on the Hub lacks {' and '.join(missing)}; matcaps push uploads them")
    return folder


@contextmanager
def explained(repository: str, revision: str | None = None) -> Iterator[None]:
    """Turn each failure of the Hub into one line.

    Raises:
        FileNotFoundError: There is no such repository or revision.
        PermissionError: There is no token, or one that may not do this.
        ConnectionError: The Hub cannot be reached.
        OSError: It answered something else.
    """
    try:
        yield
    except (RequestError, OSError, RuntimeError) as error:
        # The library wraps what failed: the cause is the answer of the Hub, or the reason why there is none.
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__cause__) is not None:
            causes.append(cause)
        for cause in causes:
            if (explanation := _explain(repository, revision, cause)) is not None:
                raise explanation from error
        if isinstance(error, OSError):  # of the disk, or of this package
            raise
        raise OSError(f"{repository}: {': '.join(map(_one_line, causes))}") from error


def _explain(repository: str, revision: str | None, error: BaseException) -> OSError | None:
    hub = constants.ENDPOINT
    if isinstance(error, OfflineModeIsEnabled):
        return ConnectionError(f"{repository} is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub")
    if not isinstance(error, HfHubHTTPError):
        if isinstance(error, RequestError):
            return ConnectionError(f"{repository}: the Hub cannot be reached at {hub}: {_one_line(error)}")
        return None
    status, said = error.response.status_code, _one_line(error.server_message or error.response.reason_phrase)
    if isinstance(error, RevisionNotFoundError):
        return FileNotFoundError(f"{repository} has no revision {revision!r}; expected a branch, a tag or a commit")
    if isinstance(error, GatedRepoError):
        return PermissionError(f"{repository} is gated: ask for access at {hub}/{repository}")
    if isinstance(error, RepositoryNotFoundError):
        return FileNotFoundError(
            f"the Hub at {hub} has no repository {repository}, or it is private ({status}); for a private one: {LOG_IN}"
        )
    if status == 401:
        return PermissionError(f"{repository}: the Hub at {hub} does not accept the token (401: {said}); {LOG_IN}")
    if status == 403:
        return PermissionError(f"{repository}: the token does not permit this (403: {said}); {LOG_IN}")
    return OSError(f"{repository}: the Hub at {hub} answered {status}: {said}")


def _one_line(message: object) -> str:
    return " ".join(str(message).split()) or type(message).__name__
