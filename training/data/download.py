"""Downloads the public data sets from the places that are known, and verifies each file by a published checksum."""

import errno
import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, NamedTuple
from zipfile import BadZipFile, ZipFile

import pooch

from matcaps.training.data.sources import SOURCES, Source
from matcaps.training.data.transfer import CHUNK_BYTES, Downloader
from matcaps.training.writing import WriteError, new_folder, write_atomically, writing


def _silent(line: str) -> None:
    """Say nothing."""


def download(
    name: str,
    to: Path,
    *,
    places: Sequence[str] = (),
    progress: bool = True,
    say: Callable[[str], object] = _silent,
) -> Path:
    """Download the missing files of a public data set, both splits, and return the folder ``to/name``.

    Args:
        name: smallnorb, mnist or fashion-mnist.
        to: Folder that holds the data sets, one folder each.
        places: Tried instead of the known places: folders that hold the same files, or zip archives of them.
        progress: Show a progress bar for each file.
        say: Gets a line for each place that served, and for each that did not while another one is left.

    Raises:
        ValueError: The name is unknown, or a file does not have the published checksum.
        OSError: A file cannot be downloaded or written.
    """
    if name not in SOURCES:
        raise ValueError(f"the data set must be one of {', '.join(SOURCES)}, got {name}")
    source = SOURCES[name]
    if places:
        first, *others = places
        source = source._replace(base_url=first, mirrors=tuple(others))
    fetch(source, to / name, progress=progress, say=say)
    return to / name


def fetch(
    source: Source,
    folder: Path,
    *,
    progress: bool = True,
    say: Callable[[str], object] = _silent,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Download a source's files into a folder, from the first place that has them.

    A file appears under its name only when it is complete and its checksum is right. A file with the right checksum is
    kept, any other is replaced.

    Raises:
        ValueError: The only place left has a file without the published checksum.
        OSError: A file cannot be downloaded from any place, or cannot be written.
    """
    failures: list[OSError | ValueError] = []
    for place in (source.base_url, *source.mirrors):
        missing = [name for name in source.files if not _is_there(source, folder, name)]
        if not missing:
            return
        if failures:
            say(f"{failures[-1]}; trying {place}")
        take = _from_archive if place.endswith(".zip") else _from_folder
        try:
            take(source, place, folder, missing, lambda name: Downloader(name, progress, clock))
        except WriteError:
            raise
        except (OSError, ValueError) as error:
            failures.append(error)
        left = [name for name in missing if not _is_there(source, folder, name)]
        if len(left) < len(missing):
            say(f"{len(missing) - len(left)} of {len(source.files)} files came from {place}")
    if left and len(failures) == 1:
        raise failures[0]
    if left:
        raise OSError(f"no place has {', '.join(left)}: {'; '.join(map(str, failures))}")


def _is_there(source: Source, folder: Path, name: str) -> bool:
    """Whether a file has its checksum, as it is published or unpacked."""
    plain = name.removesuffix(".gz")
    sums = {name: ("sha256", source.files[name]), plain: ("md5", source.unpacked.get(plain))}
    for path, (algorithm, expected) in sums.items():
        if expected and os.path.isfile(folder / path):
            with _naming("", folder / path):
                if pooch.file_hash(str(folder / path), algorithm) == expected:
                    return True
    return False


def _from_folder(
    source: Source, url: str, folder: Path, missing: list[str], downloader: Callable[[str], Downloader]
) -> None:
    """Download files from a folder that holds them as they are."""
    for name in missing:
        of_file = url.rstrip("/") + "/" + name
        with _naming(of_file, folder / name):
            pooch.retrieve(of_file, f"sha256:{source.files[name]}", name, folder, downloader=downloader(name))


def _from_archive(
    source: Source, url: str, folder: Path, missing: list[str], downloader: Callable[[str], Downloader]
) -> None:
    """Download a zip archive, and take from it the files that it has, as they are or unpacked."""
    archive_name = url.rpartition("/")[2]
    with _naming(url, folder / archive_name), new_folder(folder), NamedTemporaryFile(dir=folder, suffix=".zip") as file:
        downloader(archive_name)(url, file.name)
        try:
            with ZipFile(file.name) as archive:
                members = {member.rpartition("/")[2]: member for member in archive.namelist()}
                wanted = [(name, "sha256", source.files[name]) for name in missing]
                wanted += [(name, "md5", sum_) for name, sum_ in source.unpacked.items() if f"{name}.gz" in missing]
                found = [choice for choice in wanted if choice[0] in members]
                for name, algorithm, expected in found:
                    with archive.open(members[name]) as member:
                        write_atomically(folder / name, _Verified(member, algorithm, expected).copy)
        except (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise OSError(f"it is no complete zip archive: {error}") from error
        if not found:
            raise OSError(f"it holds none of {', '.join(missing)}")


class _Verified(NamedTuple):
    """A file in an archive, and its checksum."""

    member: IO[bytes]
    algorithm: str
    expected: str

    def copy(self, file: IO[bytes]) -> None:
        """Copy it.

        Raises:
            ValueError: It has another checksum.
        """
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        while chunk := self.member.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        if digest.hexdigest() != self.expected:
            raise ValueError(f"{self.member.name} has {self.algorithm} {digest.hexdigest()}, expected {self.expected}")


@contextmanager
def _naming(url: str, path: Path) -> Iterator[None]:
    """Name the URL in errors of the network and of checksums, and the path in those of this machine."""
    try:
        yield
    except PermissionError as error:  # pooch words it anew, without its number
        raise WriteError(errno.EACCES, f"cannot write into {path.parent}: permission denied") from error
    except OSError as error:
        if error.errno is not None:  # of this machine; the exceptions of requests have no number
            with writing(path):
                raise
        raise OSError(f"{url} cannot be downloaded: {error}") from error
    except ValueError as error:
        raise ValueError(f"{url} does not have the published checksum: {error}") from error
