"""Several places are tried in turn; each failure ends in the next place or in one clear line."""

import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from matcaps.training.cli.download import main
from matcaps.training.data.download import fetch
from matcaps.training.data.sources import SOURCES, Source
from matcaps.training.data.transfer import CHUNK_BYTES
from tests.support.file_server import Host, file_server

MATRICES = {"train-dat.mat": bytes(range(256)) * (2 * CHUNK_BYTES // 256), "test-dat.mat": b"0123456789"}
FILES = {f"{name}.gz": b"compressed " + content for name, content in MATRICES.items()}
FIRST = "/set/train-dat.mat.gz"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The server, without any proxy of the environment."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server(FILES) as host:
        yield host


def source(host: Host, *mirrors: str) -> Source:
    """The files of the host at /set/, then the mirrors."""
    return Source(
        host.url,
        {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
        mirrors,
        {name: hashlib.md5(content).hexdigest() for name, content in MATRICES.items()},
    )


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive of the files, in a folder."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"smallnorb/{name}", content)
    return buffer.getvalue()


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, temporary ones included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def refuse(host: Host) -> None:
    """The first place answers 403."""
    host.refused.add("set")


def cut(host: Host) -> None:
    """The first place ends the connection early."""
    host.cut_at[FIRST] = 7


def damage(host: Host) -> None:
    """The first place has another file of this name."""
    host.files[FIRST] = b"<html>moved</html>"


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (refuse, "cannot be downloaded: 403 Client Error"),
        (cut, r"cannot be downloaded: .*7 bytes read"),
        (damage, "does not have the published checksum"),
    ],
)
def test_the_next_place_serves(host: Host, tmp_path: Path, fail: Callable[[Host], None], reason: str) -> None:
    """A line says why the first place did not serve, and another which place did."""
    fail(host)
    said: list[str] = []
    fetch(source(host, host.place("mirror")), tmp_path, progress=False, say=said.append)
    assert content(tmp_path) == FILES
    because, served = said
    assert because.startswith(f"{host.url}train-dat.mat.gz ")
    assert because.endswith(f"; trying {host.place('mirror')}")
    assert re.search(reason, because)
    assert served == f"2 of 2 files came from {host.place('mirror')}"


def test_a_trickle_ends_in_the_next_place(host: Host, tmp_path: Path) -> None:
    """A server that sends less than 2,000 bytes per second for a minute is given up."""
    clock = itertools.chain([0.0], itertools.repeat(1e6))  # the first piece takes 11 days
    said: list[str] = []
    fetch(source(host, host.place("mirror")), tmp_path, progress=False, say=said.append, clock=lambda: next(clock))
    assert content(tmp_path) == FILES
    assert "the server sent" in said[0]
    assert said[0].endswith(f"bytes in 1000000 s; trying {host.place('mirror')}")


def test_files_of_the_first_place_are_kept(host: Host, tmp_path: Path) -> None:
    """The next place is asked for the missing files alone, and both are named."""
    host.files["/set/test-dat.mat.gz"] = b"damaged"
    said: list[str] = []
    fetch(source(host, host.place("mirror")), tmp_path, progress=False, say=said.append)
    assert content(tmp_path) == FILES
    assert host.requests == [FIRST, "/set/test-dat.mat.gz", "/mirror/test-dat.mat.gz"]
    assert said[0] == f"1 of 2 files came from {host.url}"
    assert said[2] == f"1 of 2 files came from {host.place('mirror')}"


def test_all_failures_stand_in_one_line(host: Host, tmp_path: Path) -> None:
    """If no place serves, the error has the missing files, and each place with its reason."""
    host.refused |= {"set", "mirror"}
    with pytest.raises(OSError, match=r"no place has train-dat\.mat\.gz, test-dat\.mat\.gz") as error:
        fetch(source(host, host.place("mirror")), tmp_path, progress=False)
    for place in (host.url, host.place("mirror")):
        assert f"{place}train-dat.mat.gz cannot be downloaded: 403" in str(error.value)
    assert content(tmp_path) == {}


@pytest.mark.parametrize("files", [MATRICES, FILES])
def test_an_archive_holds_the_files_as_they_are_or_unpacked(
    host: Host, tmp_path: Path, files: dict[str, bytes]
) -> None:
    """Each file is taken under its own name; those that are there are not fetched again."""
    refuse(host)
    host.files["/mirror/train.zip"] = zipped({name: files[name] for name in files if name.startswith("train")})
    host.files["/mirror/test.zip"] = zipped({name: files[name] for name in files if name.startswith("test")})
    archives = [f"{host.place('mirror')}{split}.zip" for split in ("train", "test")]
    fetch(source(host, *archives), tmp_path, progress=False)
    assert content(tmp_path) == files
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
    host.requests.clear()
    fetch(source(host, *archives), tmp_path, progress=False)
    assert host.requests == []


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zipped({"train-dat.mat": b"other", "test-dat.mat": b"other"}), "does not have the published checksum: .*md5"),
        (zipped({"readme.txt": b"moved"}), r"it holds none of train-dat\.mat\.gz, test-dat\.mat\.gz"),
        (zipped(MATRICES)[:-30], "it is no complete zip archive"),
        (b"<html>moved</html>", "it is no complete zip archive"),
    ],
)
def test_a_wrong_archive_leaves_nothing(host: Host, tmp_path: Path, archive: bytes, message: str) -> None:
    """The error has its URL and the reason, and neither a file nor the new folder is left."""
    host.files["all.zip"] = archive
    place = f"{host.url}all.zip"
    with pytest.raises((OSError, ValueError), match=message) as error:
        fetch(source(host)._replace(base_url=place), tmp_path / "new", progress=False)
    assert str(error.value).startswith(place)
    assert not (tmp_path / "new").exists()


def test_the_command_takes_places_of_the_user(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--from replaces the known places; which one served stands on standard error."""
    monkeypatch.setitem(SOURCES, "smallnorb", source(host)._replace(base_url="http://127.0.0.1:1/"))
    host.files["all.zip"] = zipped({"test-dat.mat": MATRICES["test-dat.mat"]})
    host.cut_at[FIRST] = 3
    places = [host.url, f"{host.url}all.zip", host.place("mirror")]
    assert main(["smallnorb", "--to", str(tmp_path), "--from", *places]) == 0
    found = capsys.readouterr()
    assert found.out == f"smallnorb is in {tmp_path / 'smallnorb'}\n"
    assert f"1 of 2 files came from {places[1]}\n" in found.err
    assert f"1 of 2 files came from {places[2]}\n" in found.err
    assert set(content(tmp_path / "smallnorb")) == {"test-dat.mat", "train-dat.mat.gz"}


def test_a_place_that_is_no_url_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails with the place and what is wrong with it."""
    assert main(["mnist", "--to", str(tmp_path), "--from", "data/elsewhere"]) == 1
    error = capsys.readouterr().err
    assert "data/elsewhere/train-images-idx3-ubyte.gz cannot be downloaded: Invalid URL" in error
    assert error.count("\n") == 1


def test_every_mirror_is_https_and_every_matrix_has_a_sum() -> None:
    """The known mirrors cannot be replaced on the way, and each unpacked file belongs to a published one."""
    for known in SOURCES.values():
        assert known.mirrors
        assert all(place.startswith("https://") and place.endswith(("/", ".zip")) for place in known.mirrors)
        assert not known.unpacked or {f"{name}.gz" for name in known.unpacked} == set(known.files)
        assert all(len(bytes.fromhex(sum_)) == 16 for sum_ in known.unpacked.values())
