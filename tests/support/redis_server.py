"""A real Redis of a test's own, that it can end and start again."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType


class RedisServer:
    """Listens at a socket in a folder of its own, not on the network, and writes nothing to the disk."""

    def __init__(self) -> None:
        # Not pytest's folder: the path of a socket may have 107 characters.
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
        """Listen, and return when it does."""
        program = shutil.which("redis-server")
        assert program is not None, "the tests need redis-server; scripts/test installs it, or says how"
        options = {
            "--port": "0",
            "--unixsocket": str(self._folder / "socket"),
            "--save": "",
            "--dir": str(self._folder),
        }
        command = [program, *(word for option in options.items() for word in option)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = ""
        while "ready to accept connections" not in said.lower():
            line = self._process.stdout.readline()
            assert line, f"Redis ended by itself: {said}"
            said += line

    def stop(self) -> None:
        """End at once and forget everything, as a machine does that loses power."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
