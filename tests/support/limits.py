"""Makes writes fail: limits the size of files, and runs commands on a small or read-only disk or without rights."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

# Runs commands of matcaps in one process, as a start takes seconds; prints their statuses.
COMMANDS = """
import json, sys
from matcaps.cli import main
print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]))
"""
NO_MOUNT = 99
WITHOUT_OVERRIDE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def on_disk(folder: Path, options: str, command: Sequence[str], after: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with a disk in memory on a folder; skips the test where none can be mounted.

    Args:
        folder: Where the disk is mounted, in a name space of its own.
        options: Options of the mount, such as ``size=64k`` or ``ro``.
        command: The command.
        after: A line of shell that runs at the end, while the disk is still mounted.
    """
    mount = f'mount -t tmpfs -o {options} disk "$1" || exit {NO_MOUNT}'
    script = f'{mount}\nshift\n"$@"\nstatus=$?\n{after}\nexit $status'
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("unshare cannot make a name space here")
    ended = _run(["unshare", "-rm", "bash", "-c", script, "bash", str(folder), *command])
    if ended.returncode == NO_MOUNT:
        pytest.skip(f"no disk can be mounted here: {ended.stderr}")
    return ended


def without_rights(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command for which the permissions of folders count, which root passes over."""
    if os.geteuid():
        return _run(command)
    if not shutil.which("setpriv"):
        pytest.skip("root cannot give up its rights without setpriv")
    return _run([*WITHOUT_OVERRIDE, *command])


def matcaps(*commands: Sequence[str]) -> list[str]:
    """The words that run commands of matcaps one after the other."""
    return [sys.executable, "-c", COMMANDS, json.dumps(commands)]


def statuses(ended: subprocess.CompletedProcess[str]) -> list[int]:
    """The statuses of the commands of ``matcaps``."""
    found: list[int] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
