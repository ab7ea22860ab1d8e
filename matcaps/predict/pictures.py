"""The files that the words of the command name."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matcaps.images.formats import SUFFIXES

STANDARD_INPUT = "-"


class Found(NamedTuple):
    """The files in the order of the words, and a line for each word that names none."""

    files: list[str]
    failures: list[str]


def find(words: Sequence[str]) -> Found:
    """Files as they are; of folders all pictures in them and their subfolders, in alphabetical order.

    Hidden files and folders, and files whose name does not end like a picture's, are passed over inside folders.
    """
    found = Found([], [])
    for word in words:
        if word != STANDARD_INPUT and os.path.isdir(word):
            inside = _inside(word, found.failures)
            if not inside:
                found.failures.append(f"{shown(word)}: no pictures in this folder ({', '.join(sorted(SUFFIXES))})")
            found.files.extend(inside)
        else:
            found.files.append(word)
    return found


def read(file: str) -> bytes:
    """The bytes of a file, or of standard input.

    Raises:
        OSError: It cannot be read.
    """
    return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()


def shown(file: str) -> str:
    """A file's name in one line that every terminal can print."""
    text = os.fsencode(file).decode(errors="replace")
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _inside(folder: str, failures: list[str]) -> list[str]:
    def refuse(error: OSError) -> None:
        failures.append(f"{shown(str(error.filename))}: {error.strerror}")

    files = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [
            os.path.join(place, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return files
