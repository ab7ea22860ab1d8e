"""Where a network comes from: a local folder, the name of a released model, or a repository of the Hugging Face Hub."""

import re
from pathlib import Path

from matcaps.model.pretrained import CONFIG_FILE, WEIGHTS_FILE

MODELS = "model_repository"
VERSION = re.compile(r"[1-9][0-9]{0,17}")  # the folders that the service reads as versions
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def find_folder(source: str | Path, revision: str | None = None) -> Path:
    """The local folder of a network. Only a repository of the Hub, which is nothing local, is downloaded to it.

    Args:
        source: What ``find_local`` takes, or a ``str`` of the form ``user/repo``.
        revision: Branch, tag or commit of that repository.

    Raises:
        FileNotFoundError: There is no such folder, model or repository, or one of the two files is missing in it.
        ValueError: A revision was given for something local.
        ModuleNotFoundError: A repository needs the package huggingface_hub.
        OSError: The Hub does not give the files; one line that says why.
    """
    folder = find_local(source)
    if folder is None:
        if isinstance(source, str) and REPOSITORY.fullmatch(source):
            return _download(source, revision)
        raise nothing_local(source)
    if revision is not None:
        raise ValueError(f"revision= is for a repository of the Hub, but {source} is the local folder {folder}")
    return folder


def find_local(source: str | Path) -> Path | None:
    """The folder of a network on this machine; None if nothing here has that name.

    Args:
        source: A folder with the two files, a folder of versions, of which the highest counts, or, as a ``str``, the
            NAME or NAME/VERSION of a released model. A folder goes before a released model of the same name.

    Raises:
        FileNotFoundError: The folder lacks a file, or the model has no such version.
    """
    if not (folder := Path(source)).is_dir():
        found = _find_released(source) if isinstance(source, str) else None
        if found is None:
            return None
        folder = found
    if not any((folder / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE)) and (versions := _versions(folder)):
        folder /= str(versions[-1])
    if missing := [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]:
        raise FileNotFoundError(f"{folder} lacks {' and '.join(missing)}; {_EXPECTED}")
    return folder


def nothing_local(source: str | Path) -> FileNotFoundError:
    """The error for a source that is nothing on this machine."""
    if not isinstance(source, str) or "/" in source:
        return FileNotFoundError(f"there is no folder {source}; {_EXPECTED}")
    if names := sorted(_released()):
        return FileNotFoundError(f"no folder and no released model {source!r}; the models are {', '.join(names)}")
    return FileNotFoundError(
        f"no folder and no released model {source!r}: there is no folder {MODELS} here, and an installed package has "
        f"none; {_EXPECTED}"
    )


_EXPECTED = (
    f"expected the folder of a released version, such as {MODELS}/smallnorb/6, or one that save_pretrained wrote"
)


def _find_released(source: str) -> Path | None:
    """The folder of a released model, NAME, or of one of its versions, NAME/VERSION."""
    name, slash, version = source.partition("/")
    model = _released().get(name)
    if model is None or not slash:
        return model
    if not VERSION.fullmatch(version):
        return None
    if int(version) not in (versions := _versions(model)):
        found = ", ".join(map(str, versions))
        raise FileNotFoundError(f"{name} has no version {version} in {model.parent}; there are {found}")
    return model / version


def _released() -> dict[str, Path]:
    """The folders of the released models by name: of the current folder, then of the checkout that this file is in."""
    models: dict[str, Path] = {}
    for repository in (Path(MODELS), Path(__file__).resolve().parents[1] / MODELS):
        for folder in sorted(repository.glob("*")):
            if _versions(folder):
                models.setdefault(folder.name, folder)
    return models


def _versions(folder: Path) -> list[int]:
    """The versions in the folder of a model, the highest last."""
    return sorted(int(path.name) for path in folder.glob("*") if VERSION.fullmatch(path.name) and path.is_dir())


def _download(repository: str, revision: str | None) -> Path:
    try:
        from matcaps.model.hub import download
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise ModuleNotFoundError(
            f"nothing here is called {repository!r}, and a repository of the Hugging Face Hub needs the package "
            f"huggingface_hub: pip install 'matcaps[hub]'",
            name=error.name,
        ) from None
    return download(repository, revision, (CONFIG_FILE, WEIGHTS_FILE))
