"""API keys: how they are made, stored and compared, and when they are required."""

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


def test_each_key_has_its_own_owner(file: Path) -> None:
    """Two keys have two owners, and no other text has an owner, not even a key's hash."""
    keys = Keys(file)
    owners = [keys.owner("first"), keys.owner("second")]
    assert len({*owners, None}) == 3
    for wrong in ("", "First", "first ", "firs", "ann", hashed("first"), "\udcff", "é" * 10_000):
        assert keys.owner(wrong) is None


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    """Without a setting there are no keys; a file that is set must exist."""
    assert not Keys(None)
    assert Keys(None).owner("first") is None
    with pytest.raises(StartError, match="cannot read the file of API keys keys: No such file"):
        Keys(tmp_path / "keys")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "needs at least one API key"),
        (b"# none\n", "needs at least one API key"),
        (b"ann first", "line 1 of keys must be NAME sha256:HASH"),
        (b"\nann sha256:abc", "line 2 of keys must be NAME sha256:HASH"),
        (b"ann sha1:" + b"0" * 64, "line 1 of keys must be NAME sha256:HASH"),
        (b"\xff\xfe", "not a text file"),
    ],
)
def test_a_malformed_file_is_rejected_by_line(tmp_path: Path, content: bytes, what: str) -> None:
    """A malformed file is an error that names the line, but does not repeat its content."""
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(StartError, match=what) as error:
        Keys(path)
    assert "first" not in str(error.value)


def test_refresh_reads_the_file_again(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A refresh adds new keys and removes old ones; a malformed file changes nothing."""
    keys = Keys(file)
    file.write_text(f"eve {hashed('third')}")
    keys.refresh()
    assert keys.owner("third") is not None
    assert keys.owner("first") is None
    file.write_text("eve third")
    keys.refresh()
    assert keys.owner("third") is not None
    assert "are unchanged" in caplog.text


def test_a_made_key_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed line makes the printed key valid, and no two keys are the same."""
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
def test_anything_but_one_name_prints_the_usage(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything but one name prints the usage."""
    assert main(arguments) == status
    assert "usage: matcaps keys NAME" in capsys.readouterr().err


def test_an_open_address_needs_keys_or_consent(file: Path) -> None:
    """An address that other machines reach needs keys or MATCAPS_ALLOW_ANONYMOUS; loopback needs neither."""
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        check_exposure(host, Keys(None), allow_anonymous=False)
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.com", ""):
        check_exposure(host, Keys(file), allow_anonymous=False)
        check_exposure(host, Keys(None), allow_anonymous=True)
        with pytest.raises(StartError, match="MATCAPS_API_KEYS"):
            check_exposure(host, Keys(None), allow_anonymous=False)
