"""The log of a run: a progress bar, TensorBoard scalars and ``metrics.jsonl``."""

import json
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from matcaps.training.engine.events import EventFile
from matcaps.training.writing import append, write_atomically


class RunLogger:
    """Writes the log of a run, in its main process; in others (``active=False``) it writes nothing.

    Args:
        folder: The run's folder.
        steps: Length of the whole run.
        step: Steps taken so far. Later entries of an interrupted process are dropped, as their steps are taken again.
        active: Whether this process writes.

    Raises:
        WriteError: The log cannot be written; so do its methods.
    """

    def __init__(self, folder: Path, steps: int, step: int, *, active: bool) -> None:
        self.path = folder / "metrics.jsonl"
        self.events: EventFile | None = None
        if active:
            kept = [line for line in _lines(self.path) if json.loads(line)["step"] <= step]
            write_atomically(self.path, lambda file: file.write("".join(kept).encode()))
            self.events = EventFile(folder / "tensorboard", step + 1)
        self.bar = tqdm(total=steps, initial=step, unit="step", disable=not active, smoothing=0.05)

    def step(self, epoch: int, loss: float, accuracy: float, images_per_s: float, *, steps: int) -> None:
        """Advance the progress bar by ``steps``."""
        self.bar.set_description(f"epoch {epoch}", refresh=False)
        self.bar.set_postfix_str(
            f"loss {loss:.3f}, accuracy {accuracy:.1%}, {images_per_s:.0f} images/s", refresh=False
        )
        self.bar.update(steps)

    def log(self, step: int, **values: float) -> None:
        """Write the metrics of a step."""
        if self.events is not None:
            append(self.path, f"{json.dumps({'step': step, **values})}\n".encode())
            self.events.log(step, **values)

    def print(self, text: str) -> None:
        """Print a line above the progress bar."""
        if self.events is not None:
            tqdm.write(text)

    def __enter__(self) -> "RunLogger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()


def _lines(path: Path) -> list[str]:
    """The complete lines of a file; a killed process may have left an incomplete last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
