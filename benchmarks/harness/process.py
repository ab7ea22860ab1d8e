"""A server as a process of its own on a free port of the loopback interface, and what it uses of the machine."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness.client import HOST, Request, ask

START_S = 120.0
STOP_S = 30.0
PROBE_S = 5.0
ROOT = Path(__file__).parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
READY = Request("/health/ready")


class StartError(Exception):
    """A server did not start; the message holds the end of its output."""


def free_port() -> int:
    """A port at which nothing listens now."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


class Process:
    """A program that is started at once, in a process group of its own, and ended with the context.

    Args:
        command: The program and its arguments.
        port: Where it will listen; 0 if it does not listen at a port.
        environment: Added to this process's environment, of which no ``MATCAPS_`` setting is passed on.
    """

    def __init__(self, command: Sequence[str], port: int = 0, environment: Mapping[str, str] | None = None) -> None:
        self.port = port
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdout=self._log,
            stderr=self._log,
            cwd=ROOT,
            env={**inherited, **(environment or {})},
            start_new_session=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://{HOST}:{self.port}{path}"

    def output(self) -> str:
        """Standard output and standard error so far."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace").strip()

    def wait_until_ready(self, probe: Request = READY) -> None:
        """Return when the server answers the probe with a status below 400.

        Raises:
            StartError: It ended, or did not answer in time.
        """
        until = time.monotonic() + START_S
        last: object = "no answer"
        while time.monotonic() < until:
            if (status := self._process.poll()) is not None:
                raise StartError(f"the server ended with status {status}: {self.output()[-800:]}")
            try:
                answer = ask(self.port, probe, PROBE_S)
                if answer.status < 400:
                    return
                last = f"status {answer.status}"
            except (OSError, TimeoutError) as error:
                last = error
            time.sleep(0.05)
        raise StartError(f"the server was not ready after {START_S:.0f} s ({last}): {self.output()[-800:]}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status.

        Raises:
            subprocess.TimeoutExpired: The process did not end within half a minute.
        """
        self._process.send_signal(number)
        return self._process.wait(STOP_S)

    def pause(self) -> None:
        """Let its process group do nothing until ``resume``."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let its process group go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Ask the process to end, kill what is left of its group, and close its log."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self._process.wait()
        self._log.close()


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process's main thread, and of all its other threads together."""
    main = others = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            if task.name == str(pid):
                main += seconds
            else:
                others += seconds
    return main, others


def with_children(pid: int) -> list[int]:
    """A process and those that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def memory_mib(pid: int) -> float:
    """Private memory that a process has written, in MiB: without mapped files, which it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/{pid}/smaps_rollup has no line Private_Dirty")
