"""What matcaps predict prints."""

import io
from typing import Any

import numpy as np
import pytest

from matcaps.predict.output import Output
from matcaps.predict.place import Title

TITLE = Title("norb/1", "here", ["cat", "elephant"], 1)
ANSWER: dict[str, Any] = {
    "model": {"name": "norb", "version": 1},
    "predictions": [
        {"label": "elephant", "activations": {"cat": 0.25, "elephant": 0.75}, "poses": {"cat": np.zeros((4, 4))}}
    ],
}


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_table_is_aligned_and_has_as_many_classes_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """The columns fit the longest file and the longest class; more classes than there are means all."""
    samples = [("a.png",), ("longer.png",)]
    with Output(TITLE, samples, top=9, json=False).open() as output:
        for files in samples:
            output.answer(files, ANSWER)
    assert capsys.readouterr().out.splitlines() == [
        "model norb/1, here",
        "file        label     activation  2.        activation",
        "a.png       elephant  0.7500      cat       0.2500",
        "longer.png  elephant  0.7500      cat       0.2500",
    ]


def test_json_is_a_line_for_each_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """It has the files first and no title; arrays are lists."""
    with Output(TITLE, [("a", "b")], top=1, json=True).open() as output:
        output.answer(("a", "b"), ANSWER)
    assert capsys.readouterr().out.startswith('{"files":["a","b"],"model":{"name":"norb","version":1},"predictions":')


def test_failures_are_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason of several lines becomes one; the output knows that something failed."""
    with Output(TITLE, [("a",)], top=1, json=True).open() as output:
        assert not output.failed
        output.refuse(("a",), "it is\nbroken")
        assert output.failed
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a: it is broken\n")


@pytest.mark.parametrize(("terminal", "samples", "shown"), [(True, 3, True), (True, 1, False), (False, 3, False)])
def test_many_pictures_have_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, samples: int, shown: bool
) -> None:
    """The bar counts pictures on standard error, and is removed at the end."""
    error = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", error)
    files = [(str(number),) for number in range(samples)]
    with Output(TITLE, files, top=1, json=False).open() as output:
        for one in files:
            output.answer(one, ANSWER)
    assert (f"0/{samples} [" in error.getvalue()) is shown
    assert not error.getvalue() or error.getvalue().endswith("\r")


def test_a_line_on_a_terminal_takes_the_place_of_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar is wiped before the line and drawn again below it."""
    error = Terminal()
    monkeypatch.setattr("sys.stderr", error)
    with Output(TITLE, [("a",), ("b",)], top=1, json=True).open() as output:
        output.refuse(("a",), "broken")
    before, after = error.getvalue().split("a: broken\n")
    assert before.endswith(" \r")
    assert "0/2 [" in after
