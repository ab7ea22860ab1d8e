"""API keys: how they are made, kept and compared, and when there must be some."""

import hashlib
from pathlib import Path

import pytest

from matcaps.service.errors import StartError
from matcaps.service.keys import Keys, check_exposure, main


def hashed(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# two keys\nann {hashed('first')}\n\nbob   {hashed('second')}  # of the laboratory\n")
    return path


def test_each_key_has_an_owner(file: Path) -> None:
    """Two keys stand for two owners, and no other text stands for one, their hashes included."""
    keys = Keys(file)
    owners = [keys.owner("first"), keys.owner("second")]
    assert len({*owners, None}) == 3
    for wrong in ("", "First", "first ", "firs", "ann", hashed("first"), "\udcff", "é" * 10_000):
        assert keys.owner(wrong) is None


def test_no_file(tmp_path: Path) -> None:
    """Without a file there are no keys; a file that is named must be there."""
    assert not Keys(None)
    assert Keys(None).owner("first") is None
    with pytest.raises(StartError, match="cannot be read: keys: No such file"):
        Keys(tmp_path / "keys")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "holds no API key"),
        (b"# none\n", "holds no API key"),
        (b"ann first", "line 1 of keys is no API key"),
        (b"\nann sha256:abc", "line 2 of keys is no API key"),
        (b"ann sha1:" + b"0" * 64, "line 1 of keys is no API key"),
        (b"\xff\xfe", "it is no text"),
    ],
)
def test_a_broken_file(tmp_path: Path, content: bytes, what: str) -> None:
    """A file that holds anything but keys is an error that names the line, and not what stands there."""
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(StartError, match=what) as error:
        Keys(path)
    assert "first" not in str(error.value)


def test_keys_change_while_the_service_runs(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A look at the file takes new keys in and old ones out; a broken file changes nothing."""
    keys = Keys(file)
    file.write_text(f"eve {hashed('third')}")
    keys.refresh()
    assert keys.owner("third") is not None
    assert keys.owner("first") is None
    file.write_text("eve third")
    keys.refresh()
    assert keys.owner("third") is not None
    assert "stay as they were" in caplog.text


def test_a_key_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed line admits the printed key; no two keys are the same."""
    made = []
    for _ in range(2):
        assert main(["ann@laboratory"]) == 0
        first, second = capsys.readouterr().out.splitlines()
        path = tmp_path / "keys"
        path.write_text(second.partition(":")[2])
        key = first.rpartition(" ")[2]
        assert Keys(path).owner(key) is not None
        made.append(key)
    assert made[0] != made[1]


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), ([], 2), (["a", "b"], 2), (["a b"], 2)])
def test_usage(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything but one name is answered with how to ask."""
    assert main(arguments) == status
    assert "usage: matcaps keys NAME" in capsys.readouterr().err


def test_no_door_is_open_by_mistake(file: Path) -> None:
    """An address that others reach needs keys or a word that none are wanted; loopback does not."""
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        check_exposure(host, Keys(None), allow_anonymous=False)
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.com", ""):
        check_exposure(host, Keys(file), allow_anonymous=False)
        check_exposure(host, Keys(None), allow_anonymous=True)
        with pytest.raises(StartError, match="MATCAPS_API_KEYS"):
            check_exposure(host, Keys(None), allow_anonymous=False)
