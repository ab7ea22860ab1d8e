"""TensorBoard's file of a run's scalars, written at once and by the caller's thread.

TensorBoard's own writer has a thread, which prints a traceback if the disk is full.
"""

import io
import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar

from matcaps.training.writing import append, writing


class EventFile:
    """A new file in a folder of event files.

    Args:
        folder: Made if it is not there.
        step: The first step of the file. TensorBoard drops entries of earlier files from this step on.

    Raises:
        WriteError: The file cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        # TensorBoard reads the files of a folder in the order of their names.
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        self._append(
            Event(file_version="brain.Event:2"), Event(step=step, session_log=SessionLog(status=SessionLog.START))
        )

    def log(self, step: int, **values: float) -> None:
        """Write the scalars of a step.

        Raises:
            WriteError: They cannot be written; the file is as it was.
        """
        self._append(*(Event(step=step, summary=scalar(name, value)) for name, value in values.items()))

    def _append(self, *events: Event) -> None:
        records = io.BytesIO()
        writer = RecordWriter(records)
        for event in events:
            event.wall_time = time.time()
            writer.write(event.SerializeToString())
        append(self.path, records.getvalue())
