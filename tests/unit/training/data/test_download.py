"""Fetching data sets, against a server on the loopback: what is there afterwards is whole and right, or not there."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from matcaps.training.data.download import CHUNK_BYTES, SOURCES, Source, download, fetch
from tests.support.writers import TEST, TRAIN

FILES = {"images.gz": bytes(range(256)) * (3 * CHUNK_BYTES // 256), "labels.gz": b"0123456789"}


@dataclass
class Host:
    """A server of files; the server's threads read the answers and append to the requests."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    cut_at: dict[str, int] = field(default_factory=dict)
    """Names of files whose connection ends after so many bytes, although all were announced."""
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The server, in a thread; a proxy that the environment names is not asked for it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.requests.append(self.path)
            name = self.path.rpartition("/")[2]
            content = host.files.get(name)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: host.cut_at.get(name)])

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        host.url = f"http://127.0.0.1:{server.server_address[1]}/set/"
        yield host
        server.shutdown()
        thread.join()


def source(host: Host) -> Source:
    """What the host should serve, with the right sums."""
    return Source(host.url, {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()})


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, temporary ones included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def test_files_are_fetched_whole(host: Host, tmp_path: Path) -> None:
    """Every file of a source is there afterwards as the server has it, compressed as it was, and nothing else is."""
    fetch(source(host), tmp_path / "new" / "set")
    assert content(tmp_path / "new" / "set") == FILES
    assert host.requests == ["/set/images.gz", "/set/labels.gz"]


def test_others_may_read_what_was_fetched(host: Host, tmp_path: Path) -> None:
    """Files are readable by every user, as files made in the ordinary way are."""
    fetch(source(host), tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_what_is_there_is_not_fetched_again(host: Host, tmp_path: Path) -> None:
    """A file that is there with the right sum is left alone: only the others are asked for."""
    (tmp_path / "images.gz").write_bytes(FILES["images.gz"])
    fetch(source(host), tmp_path)
    assert host.requests == ["/set/labels.gz"]
    fetch(source(host), tmp_path)
    assert host.requests == ["/set/labels.gz"]
    assert content(tmp_path) == FILES


def test_a_damaged_file_is_replaced(host: Host, tmp_path: Path) -> None:
    """A file that is there with another sum, such as one cut short, is fetched again."""
    (tmp_path / "images.gz").write_bytes(FILES["images.gz"][:-1])
    fetch(source(host), tmp_path)
    assert content(tmp_path) == FILES


@pytest.mark.parametrize(
    "damaged", [b"", FILES["images.gz"][:-1], b"x" + FILES["images.gz"][1:], b"<html>moved</html>"]
)
def test_another_content_is_refused(host: Host, tmp_path: Path, damaged: bytes) -> None:
    """Content with another sum is rejected with the address and both sums, and nothing of it is left."""
    host.files["images.gz"] = damaged
    with pytest.raises(ValueError, match=r"images\.gz does not have the published checksum") as error:
        fetch(source(host), tmp_path)
    assert f"{host.url}images.gz" in str(error.value)
    assert hashlib.sha256(damaged).hexdigest() in str(error.value)
    assert hashlib.sha256(FILES["images.gz"]).hexdigest() in str(error.value)
    assert content(tmp_path) == {}


def test_a_file_that_the_host_lacks_is_named(host: Host, tmp_path: Path) -> None:
    """A file that is not found is named with its address and the host's answer; those before it are whole."""
    del host.files["labels.gz"]
    with pytest.raises(OSError, match=r"labels\.gz cannot be downloaded: 404") as error:
        fetch(source(host), tmp_path)
    assert f"{host.url}labels.gz" in str(error.value)
    assert content(tmp_path) == {"images.gz": FILES["images.gz"]}


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(FILES["images.gz"]) - 1])
def test_a_cut_connection_leaves_nothing(host: Host, tmp_path: Path, length: int) -> None:
    """A connection that ends before all announced bytes came is an error with the address, and leaves nothing."""
    host.cut_at["images.gz"] = length
    with pytest.raises(OSError, match=r"images\.gz cannot be downloaded") as error:
        fetch(source(host), tmp_path)
    assert f"{host.url}images.gz" in str(error.value)
    assert f"{length} bytes read" in str(error.value)
    assert content(tmp_path) == {}


def test_a_failure_keeps_the_file_that_was_there(host: Host, tmp_path: Path) -> None:
    """Where a file is to be replaced and cannot be downloaded, the old one stays as it was."""
    (tmp_path / "images.gz").write_bytes(b"old")
    host.cut_at["images.gz"] = 7
    with pytest.raises(OSError, match=r"images\.gz cannot be downloaded"):
        fetch(source(host), tmp_path)
    assert content(tmp_path) == {"images.gz": b"old"}


def test_after_a_failure_the_rest_is_fetched(host: Host, tmp_path: Path) -> None:
    """The command that failed can simply be given again: it goes on with what lacks."""
    host.cut_at["labels.gz"] = 3
    with pytest.raises(OSError, match=r"labels\.gz cannot be downloaded"):
        fetch(source(host), tmp_path)
    host.cut_at.clear()
    fetch(source(host), tmp_path)
    assert content(tmp_path) == FILES
    assert host.requests == ["/set/images.gz", "/set/labels.gz", "/set/labels.gz"]


def test_a_host_that_is_not_there_is_named(host: Host, tmp_path: Path) -> None:
    """Where nobody listens, the error says which address, and nothing is left."""
    nobody = source(host)._replace(base_url="http://127.0.0.1:1/set/")
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1/set/images\.gz cannot be downloaded"):
        fetch(nobody, tmp_path)
    assert content(tmp_path) == {}


def test_a_bar_shows_the_progress(host: Host, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A bar goes to the standard error up to the whole size, unless it is switched off."""
    fetch(source(host), tmp_path / "shown")
    assert "100%" in capfd.readouterr().err
    fetch(source(host), tmp_path / "silent", progress=False)
    assert "%" not in capfd.readouterr().err


def test_a_mirror_is_held_to_the_published_sums(host: Host, tmp_path: Path) -> None:
    """A set's own file names are asked of a mirror, with or without a slash, and its content is held to the sums."""
    host.files["train-images-idx3-ubyte.gz"] = b"not the digits"
    with pytest.raises(ValueError, match="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"):
        download("mnist", tmp_path, base_url=host.url.rstrip("/"))
    assert host.requests == ["/set/train-images-idx3-ubyte.gz"]
    assert content(tmp_path / "mnist") == {}


def test_a_set_is_put_into_a_folder_of_its_name(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set is fetched from where it is published into a folder of its name, which is returned."""
    monkeypatch.setitem(SOURCES, "mnist", source(host))
    assert download("mnist", tmp_path, progress=False) == tmp_path / "mnist"
    assert content(tmp_path / "mnist") == FILES


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    """Another name is rejected with those that are known."""
    with pytest.raises(ValueError, match="the data set must be one of smallnorb, mnist, fashion-mnist, got cifar"):
        download("cifar", tmp_path)


def test_both_splits_of_every_set_are_published() -> None:
    """Each source has all files that the loaders look for, compressed, with a sum of 256 bits each."""
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
def test_a_published_sum_is_that_of_a_real_file(real_data: Path) -> None:
    """The one prepared file that was never compressed anew, Fashion-MNIST's labels, has its published sum."""
    name = "train-labels-idx1-ubyte.gz"
    real = (real_data / "fashion-mnist" / name).read_bytes()
    assert hashlib.sha256(real).hexdigest() == SOURCES["fashion-mnist"].files[name]
