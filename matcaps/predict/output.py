"""What the command prints: lines of a table or of JSON on standard output, failures and a bar on standard error."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import orjson
from tqdm import tqdm

from matcaps.predict.pictures import shown
from matcaps.predict.place import Answer, Title


class Output:
    """Prints answers as they come.

    Args:
        title: What is asked.
        samples: The files of each sample, for the width of the first column.
        top: Classes in a row of the table.
        json: Whether to print JSON instead of a table.
    """

    def __init__(self, title: Title, samples: Sequence[tuple[str, ...]], top: int, json: bool) -> None:
        self._top, self._json = min(top, len(title.classes)), json
        self._widths = (
            max([len(names_of(files)) for files in samples] + [4]),
            max([len(shown(name)) for name in title.classes] + [5]),
        )
        self.failed = False
        self._bar = tqdm(
            total=len(samples),
            unit="pair" if title.pictures == 2 else "picture",
            leave=False,
            disable=None if len(samples) > 1 else True,  # None: where standard error is no terminal
        )
        if samples and not json:
            self._print(f"model {title.model}, {title.where}")
            heads = ["label", *(f"{rank}." for rank in range(2, self._top + 1))]
            self._row("file", [(head, "activation") for head in heads])

    def answer(self, files: tuple[str, ...], answer: Answer) -> None:
        """Print the answer for one sample."""
        if self._json:
            line = {"files": [shown(file) for file in files], **answer}
            self._print(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY).decode())
        else:
            activations = answer["predictions"][0]["activations"]
            best = sorted(activations, key=lambda name: -activations[name])[: self._top]
            self._row(names_of(files), [(shown(name), f"{activations[name]:.4f}") for name in best])
        self._bar.update()

    def failure(self, line: str) -> None:
        """Print a line of its own on standard error."""
        self.failed = True
        self._print(line, error=True)

    def refuse(self, files: tuple[str, ...], reason: str) -> None:
        """Print why a sample has no answer."""
        self.failure(f"{names_of(files)}: {' '.join(reason.split())}")
        self._bar.update()

    @contextmanager
    def open(self) -> Iterator["Output"]:
        """Remove the bar at the end."""
        try:
            yield self
        finally:
            self._bar.close()

    def _row(self, name: str, cells: Sequence[tuple[str, str]]) -> None:
        first, second = self._widths
        text = "  ".join([f"{name:<{first}}", *(f"{label:<{second}}  {value:<10}" for label, value in cells)])
        self._print(text.rstrip())

    def _print(self, line: str, error: bool = False) -> None:
        file = sys.stderr if error else sys.stdout
        # On a terminal the bar is removed for as long as it takes.
        with tqdm.external_write_mode(file=file) if file.isatty() else nullcontext():
            print(line, file=file)


def names_of(files: Sequence[str]) -> str:
    """The files of a sample in one line."""
    return ", ".join(map(shown, files))
