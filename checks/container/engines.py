"""What builds an image and runs it: Docker, or buildah where there is no engine."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

CERTIFICATES = Path("/etc/ssl/certs")
BASE = "docker.io/library/python:3.13.16-slim-trixie"  # as in the Dockerfile
BASE_SUITE = "trixie"  # the Debian of the base image; its Python is 3.13 too
BASE_PACKAGES = "python3,python3-pip,ca-certificates"


class Container(Protocol):
    """A container that runs the image's own command."""

    def wait(self, limit_s: float) -> int:
        """The exit status of the image's command, once it has ended."""

    def terminate(self) -> None:
        """Send SIGTERM to the image's command."""

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run another command beside it, as the image's user and in its environment."""

    def changes(self) -> list[str]:
        """What the run has changed of the root file system."""

    def log(self) -> str:
        """What the image's command has written."""

    def remove(self) -> None:
        """End it, if it runs, and forget it."""


class Engine(Protocol):
    """Builds and runs."""

    name: str

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """Build a folder's Dockerfile, with what it says on standard error."""

    def config(self, tag: str) -> dict[str, Any]:
        """User, environment, command and health check of an image, as Docker names them."""

    def files(self, tag: str) -> list[str]:
        """All files of an image."""

    def added_bytes(self, tag: str) -> int:
        """What the image's files take above those of its base image."""

    def run(self, tag: str, port: int, environment: Mapping[str, str]) -> Container:
        """Run the image's command, so that it answers at that port of the loopback interface."""


def choose() -> Engine:
    """Docker where an engine answers, else buildah.

    Raises:
        RuntimeError: There is neither.
    """
    if shutil.which("docker") and _quietly(["docker", "info"]).returncode == 0:
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise RuntimeError("there is neither a Docker engine nor buildah; on Debian: apt-get install buildah debootstrap")


class Docker:
    """The engine of that name."""

    name = "docker"

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str]) -> None:
        subprocess.run(["docker", "build", "--tag", tag, *_build_arguments(arguments), folder], check=True)

    def config(self, tag: str) -> dict[str, Any]:
        return dict(json.loads(_output(["docker", "image", "inspect", tag]))[0]["Config"])

    def files(self, tag: str) -> list[str]:
        return _output(["docker", "run", "--rm", "--entrypoint", "find", tag, "/", "-xdev"]).splitlines()

    def added_bytes(self, tag: str) -> int:
        image, base = (
            int(_output(["docker", "image", "inspect", "--format", "{{.Size}}", name])) for name in (tag, BASE)
        )
        return image - base

    def run(self, tag: str, port: int, environment: Mapping[str, str]) -> Container:
        inside = dict(self._environment(tag))["MATCAPS_PORT"]
        options = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        publish = f"127.0.0.1:{port}:{inside}"
        return DockerContainer(_output(["docker", "run", "--detach", "--publish", publish, *options, tag]).strip())

    def _environment(self, tag: str) -> Iterator[tuple[str, str]]:
        for entry in self.config(tag)["Env"]:
            name, _, value = entry.partition("=")
            yield name, value


class DockerContainer:
    """A container by its id."""

    def __init__(self, id_: str) -> None:
        self._id = id_

    def wait(self, limit_s: float) -> int:
        return int(
            subprocess.run(
                ["docker", "wait", self._id], check=True, capture_output=True, text=True, timeout=limit_s
            ).stdout
        )

    def terminate(self) -> None:
        _output(["docker", "kill", "--signal", "TERM", self._id])

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return _quietly(["docker", "exec", self._id, *command])

    def changes(self) -> list[str]:
        return _output(["docker", "diff", self._id]).splitlines()

    def log(self) -> str:
        told = _quietly(["docker", "logs", self._id])
        return told.stdout + told.stderr

    def remove(self) -> None:
        _quietly(["docker", "rm", "--force", self._id])


class Buildah:
    """Builds and runs without an engine and without namespaces, so that it works inside a container too.

    What runs has the host's network and processes: the service is told to listen on the loopback interface. Where the
    base image cannot be pulled, a Debian with the same Python takes its name.
    """

    name = "buildah"

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str]) -> None:
        self._need_base()
        # Certificates of the machine, for a registry that its own authority vouches for. They do not stay in the image.
        volumes = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.is_dir() else []
        options = ["--isolation", "chroot", "--format", "docker", "--pull-never", *volumes]
        command = ["buildah", "build", *options, "--tag", tag, *_build_arguments(arguments), str(folder)]
        subprocess.run(command, check=True, stdout=2)

    def config(self, tag: str) -> dict[str, Any]:
        return dict(json.loads(_output(["buildah", "inspect", "--type", "image", tag]))["Docker"]["config"])

    def files(self, tag: str) -> list[str]:
        with Mounted(tag) as root:
            return [f"/{path.relative_to(root)}" for path in root.rglob("*")]

    def added_bytes(self, tag: str) -> int:
        sizes = []
        for name in (tag, BASE):
            with Mounted(name) as root:
                sizes.append(sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()))
        return sizes[0] - sizes[1]

    def run(self, tag: str, port: int, environment: Mapping[str, str]) -> Container:
        own = {"MATCAPS_HOST": "127.0.0.1", "MATCAPS_PORT": str(port)}
        return BuildahContainer(tag, self.config(tag), {**environment, **own})

    def _need_base(self) -> None:
        if _quietly(["buildah", "inspect", "--type", "image", BASE]).returncode == 0:
            return
        if _quietly(["buildah", "pull", BASE]).returncode == 0:
            return
        if not shutil.which("debootstrap"):
            raise RuntimeError(f"{BASE} cannot be pulled, and there is no debootstrap to make one in its place")
        print(f"{BASE} cannot be pulled: making a Debian {BASE_SUITE} with Python in its place", flush=True)
        with tempfile.TemporaryDirectory(prefix="base-") as folder:
            bootstrap = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", BASE_SUITE, folder]
            subprocess.run(bootstrap, check=True, stdout=2)
            (Path(folder) / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            container = _output(["buildah", "from", "scratch"]).strip()
            # Not pip's own mark: in an image of Python's, pip may install where it likes.
            _output(["buildah", "add", "--quiet", container, folder, "/"])
            _output(["buildah", "commit", "--quiet", "--format", "docker", container, BASE])
            _output(["buildah", "rm", container])


class Mounted:
    """The files of an image, in a folder of the host's for a while."""

    def __init__(self, tag: str) -> None:
        self._tag = tag

    def __enter__(self) -> Path:
        self._container = _output(["buildah", "from", "--pull-never", self._tag]).strip()
        return Path(_output(["buildah", "mount", self._container]).strip())

    def __exit__(self, *error: object) -> None:
        _output(["buildah", "rm", self._container])


class BuildahContainer:
    """A working container of an image, in which its command runs as a child of this process.

    Args:
        tag: Of the image.
        config: The image's.
        environment: What is set besides it.
    """

    # What buildah itself lays into a container while something runs in it.
    LAID_IN = ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run", "/dev", "/proc", "/sys")

    def __init__(self, tag: str, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._container = _output(["buildah", "from", "--pull-never", tag]).strip()
        self._root = Path(_output(["buildah", "mount", self._container]).strip())
        self._before = self._manifest()
        options = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        self._prefix = ["buildah", "run", "--isolation", "chroot", *options, self._container, "--"]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [*self._prefix, *(config["Entrypoint"] or []), *(config["Cmd"] or [])]
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT, text=True)

    def wait(self, limit_s: float) -> int:
        return self._process.wait(limit_s)

    def terminate(self) -> None:
        os.kill(self._service(), signal.SIGTERM)

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return _quietly([*self._prefix, *command])

    def changes(self) -> list[str]:
        after = self._manifest()
        return sorted(path for path in self._before.keys() | after.keys() if self._before.get(path) != after.get(path))

    def log(self) -> str:
        self._output.seek(0)
        return self._output.read()

    def remove(self) -> None:
        if self._process.poll() is None:
            os.kill(self._service(), signal.SIGKILL)
            self._process.wait()
        _quietly(["buildah", "rm", self._container])

    def _service(self) -> int:
        """The process of the image's command: the last of the line that begins with buildah."""
        process = self._process.pid
        while children := [
            child
            for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]:
            process = int(children[0])
        return process

    def _manifest(self) -> dict[str, tuple[int, ...]]:
        """Mode, owner, size and time of every file and folder but those that buildah lays in."""
        found: dict[str, tuple[int, ...]] = {}
        for path in self._root.rglob("*"):
            name = f"/{path.relative_to(self._root)}"
            if not name.startswith(self.LAID_IN):
                status = path.lstat()
                size = 0 if path.is_dir() else status.st_size
                found[name] = (status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns)
        return found


def _build_arguments(arguments: Mapping[str, str]) -> list[str]:
    return [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]


def _quietly(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _output(command: Sequence[str]) -> str:
    done = _quietly(command)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
