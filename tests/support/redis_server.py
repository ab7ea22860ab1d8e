"""A real Redis server that a test can stop and start again."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType


class RedisServer:
    """Listens on a Unix socket in its own folder, not on the network, and writes nothing to disk."""

    def __init__(self) -> None:
        # Not pytest's folder: the path of a socket has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.url = f"unix://{self._folder / 'socket'}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, and return when it listens."""
        program = shutil.which("redis-server")
        assert program is not None, "the tests need redis-server; scripts/test installs it or says how to"
        options = {
            "--port": "0",
            "--unixsocket": str(self._folder / "socket"),
            "--save": "",
            "--dir": str(self._folder),
        }
        command = [program, *(word for option in options.items() for word in option)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        output = ""
        while "ready to accept connections" not in output.lower():
            line = self._process.stdout.readline()
            assert line, f"Redis ended unexpectedly: {output}"
            output += line

    def stop(self) -> None:
        """Kill the server, so that it loses all its data."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
