"""The files that the words of matcaps predict name."""

import os
from pathlib import Path

import pytest

from matcaps.predict.pictures import find, read, shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in a folder and its subfolders, beside hidden ones and other files."""
    for name in (
        "b.png",
        "a.JPG",
        "notes.txt",
        ".hidden.png",
        "sub/c.tiff",
        "sub/deep/d.webp",
        ".git/e.png",
        "empty/x",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_a_folder_means_the_pictures_in_it_and_below(folder: Path) -> None:
    """They come in alphabetical order, without hidden ones and other files."""
    found = find([str(folder)])
    assert [os.path.relpath(file, folder) for file in found.files] == [
        "a.JPG",
        "b.png",
        "sub/c.tiff",
        "sub/deep/d.webp",
    ]
    assert found.failures == []


def test_a_file_is_taken_whatever_its_name_is(folder: Path) -> None:
    """Files that are named, and standard input, keep the order of the words."""
    words = [str(folder / "notes.txt"), "-", str(folder / "nowhere.png"), str(folder / ".git" / "e.png")]
    assert find(words) == (words, [])


def test_a_folder_without_pictures_is_a_failure(folder: Path) -> None:
    """The line names the folder and the endings that count."""
    found = find([str(folder / "empty")])
    assert found.files == []
    assert found.failures[0].startswith(f"{folder / 'empty'}: no pictures in this folder (.bmp, ")


def test_reading_a_file_gives_its_bytes(folder: Path) -> None:
    """A missing file is an error of the system."""
    assert read(str(folder / "b.png")) == b"x"
    with pytest.raises(FileNotFoundError):
        read(str(folder / "nowhere.png"))


def test_a_name_is_shown_in_one_line() -> None:
    """Line breaks, escape characters and bytes that are no text become replacement characters."""
    assert shown("ä/b.png") == "ä/b.png"
    assert shown("a\nb\x1b[2J.png") == "a�b�[2J.png"
    assert shown(os.fsdecode(b"\xff.png")) == "�.png"
