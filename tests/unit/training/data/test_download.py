"""After a download a file is complete and right, or absent; against a server on the loopback."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from matcaps.training.data.download import download, fetch
from matcaps.training.data.sources import SOURCES, Source
from matcaps.training.data.transfer import CHUNK_BYTES
from matcaps.training.writing import WriteError
from tests.support.file_server import Host, file_server
from tests.support.limits import file_limit
from tests.support.writers import TEST, TRAIN

FILES = {"images.gz": bytes(range(256)) * (3 * CHUNK_BYTES // 256), "labels.gz": b"0123456789"}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The server, without any proxy of the environment."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server(FILES) as host:
        yield host


def source(host: Host) -> Source:
    """The files of the host, with the right checksums."""
    return Source(host.url, {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()})


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, temporary ones included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def test_files_are_downloaded_completely(host: Host, tmp_path: Path) -> None:
    """The folder has every file of the source, still compressed, and no other."""
    fetch(source(host), tmp_path / "new" / "set")
    assert content(tmp_path / "new" / "set") == FILES
    assert host.requests == ["/set/images.gz", "/set/labels.gz"]


def test_every_user_may_read_the_files(host: Host, tmp_path: Path) -> None:
    """The permissions are those of ordinary files."""
    fetch(source(host), tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_a_file_with_the_right_checksum_is_kept(host: Host, tmp_path: Path) -> None:
    """Only the other files are requested."""
    (tmp_path / "images.gz").write_bytes(FILES["images.gz"])
    fetch(source(host), tmp_path)
    assert host.requests == ["/set/labels.gz"]
    fetch(source(host), tmp_path)
    assert host.requests == ["/set/labels.gz"]
    assert content(tmp_path) == FILES


def test_a_damaged_file_is_replaced(host: Host, tmp_path: Path) -> None:
    """A file with another checksum, such as a truncated one, is downloaded again."""
    (tmp_path / "images.gz").write_bytes(FILES["images.gz"][:-1])
    fetch(source(host), tmp_path)
    assert content(tmp_path) == FILES


@pytest.mark.parametrize(
    "damaged", [b"", FILES["images.gz"][:-1], b"x" + FILES["images.gz"][1:], b"<html>moved</html>"]
)
def test_content_with_another_checksum_is_rejected(host: Host, tmp_path: Path, damaged: bytes) -> None:
    """The error has the URL and both checksums, and no file is left."""
    host.files["images.gz"] = damaged
    with pytest.raises(ValueError, match=r"images\.gz does not have the published checksum") as error:
        fetch(source(host), tmp_path)
    assert f"{host.url}images.gz" in str(error.value)
    assert hashlib.sha256(damaged).hexdigest() in str(error.value)
    assert hashlib.sha256(FILES["images.gz"]).hexdigest() in str(error.value)
    assert content(tmp_path) == {}


def test_a_file_missing_on_the_host_is_named(host: Host, tmp_path: Path) -> None:
    """The error has the URL and the status; earlier files are complete."""
    del host.files["labels.gz"]
    with pytest.raises(OSError, match=r"labels\.gz cannot be downloaded: 404") as error:
        fetch(source(host), tmp_path)
    assert f"{host.url}labels.gz" in str(error.value)
    assert content(tmp_path) == {"images.gz": FILES["images.gz"]}


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(FILES["images.gz"]) - 1])
def test_a_broken_connection_leaves_no_file(host: Host, tmp_path: Path, length: int) -> None:
    """A connection that ends early is an error with the URL."""
    host.cut_at["images.gz"] = length
    with pytest.raises(OSError, match=r"images\.gz cannot be downloaded") as error:
        fetch(source(host), tmp_path)
    assert f"{host.url}images.gz" in str(error.value)
    assert f"{length} bytes read" in str(error.value)
    assert content(tmp_path) == {}


def test_a_reset_connection_is_an_error_of_the_network(host: Host, tmp_path: Path) -> None:
    """Its number is that of a socket; the error has the URL, not the file."""
    host.cut_at["images.gz"], host.reset = 7, True
    with pytest.raises(OSError, match=r"images\.gz cannot be downloaded: .*reset") as error:
        fetch(source(host), tmp_path)
    assert not isinstance(error.value, WriteError)
    assert f"{host.url}images.gz" in str(error.value)
    assert content(tmp_path) == {}


def test_a_file_that_does_not_fit_is_an_error_of_this_machine(host: Host, tmp_path: Path) -> None:
    """The error has the file and the free space, not the URL; the old file is unchanged."""
    (tmp_path / "images.gz").write_bytes(b"old")
    expected = (
        rf"^\[Errno \d+\] cannot write {tmp_path / 'images.gz'}: File too large; [0-9.]+ MB are free on its disk$"
    )
    with file_limit(1000), pytest.raises(WriteError, match=expected):
        fetch(source(host), tmp_path)
    assert content(tmp_path) == {"images.gz": b"old"}


def test_a_file_in_place_of_the_folder_is_an_error_of_this_machine(host: Host, tmp_path: Path) -> None:
    """Nothing is requested."""
    (tmp_path / "set").touch()
    with pytest.raises(WriteError, match=f"expected a folder at {tmp_path / 'set'}, found a file"):
        fetch(source(host), tmp_path / "set")
    assert host.requests == []


def test_a_failed_replacement_keeps_the_old_file(host: Host, tmp_path: Path) -> None:
    """A file that cannot be downloaded again is unchanged."""
    (tmp_path / "images.gz").write_bytes(b"old")
    host.cut_at["images.gz"] = 7
    with pytest.raises(OSError, match=r"images\.gz cannot be downloaded"):
        fetch(source(host), tmp_path)
    assert content(tmp_path) == {"images.gz": b"old"}


def test_a_failed_download_can_be_repeated(host: Host, tmp_path: Path) -> None:
    """It continues with the missing files."""
    host.cut_at["labels.gz"] = 3
    with pytest.raises(OSError, match=r"labels\.gz cannot be downloaded"):
        fetch(source(host), tmp_path)
    host.cut_at.clear()
    fetch(source(host), tmp_path)
    assert content(tmp_path) == FILES
    assert host.requests == ["/set/images.gz", "/set/labels.gz", "/set/labels.gz"]


def test_an_unreachable_host_is_named(host: Host, tmp_path: Path) -> None:
    """The error has the URL, and no file is left."""
    unreachable = source(host)._replace(base_url="http://127.0.0.1:1/set/")
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1/set/images\.gz cannot be downloaded"):
        fetch(unreachable, tmp_path)
    assert content(tmp_path) == {}


def test_a_bar_shows_the_progress(host: Host, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A progress bar is shown on standard error, unless it is switched off."""
    fetch(source(host), tmp_path / "shown")
    assert "100%" in capfd.readouterr().err
    fetch(source(host), tmp_path / "silent", progress=False)
    assert "%" not in capfd.readouterr().err


def test_a_mirror_is_verified_by_the_published_checksums(host: Host, tmp_path: Path) -> None:
    """A mirror has the same file names, and its content is checked."""
    host.files["train-images-idx3-ubyte.gz"] = b"not the digits"
    with pytest.raises(ValueError, match="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"):
        download("mnist", tmp_path, places=[host.url.rstrip("/")])
    assert host.requests == ["/set/train-images-idx3-ubyte.gz"]
    assert content(tmp_path / "mnist") == {}


def test_a_data_set_is_downloaded_to_a_folder_of_its_name(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is returned."""
    monkeypatch.setitem(SOURCES, "mnist", source(host))
    assert download("mnist", tmp_path, progress=False) == tmp_path / "mnist"
    assert content(tmp_path / "mnist") == FILES


def test_an_unknown_data_set_is_rejected(tmp_path: Path) -> None:
    """The error has the known names."""
    with pytest.raises(ValueError, match="the data set must be one of smallnorb, mnist, fashion-mnist, got cifar"):
        download("cifar", tmp_path)


def test_every_source_has_both_splits() -> None:
    """Each source has all files that the loaders read, compressed, with a SHA-256 each."""
    digits = {f"{stem}-{part}-ubyte.gz" for stem in ("train", "t10k") for part in ("images-idx3", "labels-idx1")}
    toys = {f"{stem}-{part}.mat.gz" for stem in (TRAIN, TEST) for part in ("dat", "cat", "info")}
    assert {name: set(source.files) for name, source in SOURCES.items()} == {
        "smallnorb": toys,
        "mnist": digits,
        "fashion-mnist": digits,
    }
    sums = [sum_ for source in SOURCES.values() for sum_ in source.files.values()]
    assert all(len(bytes.fromhex(sum_)) == 32 for sum_ in sums)
    assert len(set(sums)) == len(sums)


@pytest.mark.real_data
def test_a_real_file_has_the_published_checksum(real_data: Path) -> None:
    """Fashion-MNIST's labels are the one file here that was not compressed again."""
    name = "train-labels-idx1-ubyte.gz"
    real = (real_data / "fashion-mnist" / name).read_bytes()
    assert hashlib.sha256(real).hexdigest() == SOURCES["fashion-mnist"].files[name]
