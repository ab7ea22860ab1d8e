"""A server as a process of its own, on a free port of this machine, and the time that its threads spend on cores."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_S = 90.0
STOP_S = 10.0
ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this machine by 127.0.0.1


class StartError(Exception):
    """A server did not come up; the message holds the end of what it wrote."""


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    pid: int
    port: int

    def url(self, path: str) -> str:
        """Where a path is answered."""
        return f"http://127.0.0.1:{self.port}{path}"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def serving(
    command: Sequence[str], port: int, probe: tuple[str, bytes, Mapping[str, str]], environment: Mapping[str, str]
) -> Iterator[Running]:
    """Start a server, wait until it answers the probe (path, body, headers), and end it and its children after use.

    Raises:
        StartError: It ended, or did not answer in time.
    """
    # None of the caller's own settings of the service reach it.
    others = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=ROOT, env={**others, **environment}, start_new_session=True
        )
        try:
            _wait(process, port, probe)
        except StartError as error:
            end(process)
            log.seek(0)
            raise StartError(f"{error}: {log.read()[-800:].decode(errors='replace').strip()}") from None
        try:
            yield Running(process.pid, port)
        finally:
            end(process)


def _wait(process: "subprocess.Popen[bytes]", port: int, probe: tuple[str, bytes, Mapping[str, str]]) -> None:
    path, body, headers = probe
    until = time.monotonic() + START_S
    last: object = "no answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise StartError(f"ended with status {process.returncode}")
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body or None, dict(headers))
        try:
            DIRECT.open(request, timeout=5).read()
            return
        except (OSError, urllib.error.URLError) as error:
            last = error
            time.sleep(0.05)
    raise StartError(f"did not answer within {START_S:.0f} s ({last})")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a server to end, and kill what is left of its group: each was started as a group of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    process.wait()


def cpu_s(pid: int) -> tuple[float, float]:
    """Seconds on a core of a process's main thread, and of all its other threads together."""
    main = others = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / TICKS
            if task.name == str(pid):
                main += seconds
            else:
                others += seconds
    return main, others


def memory_mib(pid: int) -> float:
    """Memory of a process that is in use, in MiB, without what it shares with others' files."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} does not say how much memory it has")
