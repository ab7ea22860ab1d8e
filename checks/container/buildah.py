"""Builds and runs images with buildah, where no Docker engine runs."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from checks.container.engine import BASE, Container, build_arguments, output_of, run

CERTIFICATES = Path("/etc/ssl/certs")
BASE_SUITE = "trixie"  # the Debian whose Python is that of the base image
BASE_PACKAGES = "python3,python3-pip,ca-certificates"


class Buildah:
    """Buildah: no daemon and no namespaces, so it works inside a container too.

    Containers share the host's network and processes, so the service is told to listen on the loopback interface. If
    the base image cannot be pulled, a Debian with the same Python is made under its name.
    """

    name = "buildah"

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str]) -> None:
        self._need_base()
        # The machine's certificates, for a registry that has a private authority. They do not stay in the image.
        volumes = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.is_dir() else []
        options = ["--isolation", "chroot", "--format", "docker", "--pull-never", *volumes]
        command = ["buildah", "build", *options, "--tag", tag, *build_arguments(arguments), str(folder)]
        subprocess.run(command, check=True, stdout=2)

    def config(self, tag: str) -> dict[str, Any]:
        return dict(json.loads(output_of(["buildah", "inspect", "--type", "image", tag]))["Docker"]["config"])

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
        if run(["buildah", "inspect", "--type", "image", BASE]).returncode == 0:
            return
        if run(["buildah", "pull", BASE]).returncode == 0:
            return
        if not shutil.which("debootstrap"):
            raise RuntimeError(f"{BASE} cannot be pulled, and debootstrap, which can replace it, is not installed")
        print(f"{BASE} cannot be pulled: making a Debian {BASE_SUITE} with Python instead", flush=True)
        with tempfile.TemporaryDirectory(prefix="base-") as folder:
            bootstrap = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", BASE_SUITE, folder]
            subprocess.run(bootstrap, check=True, stdout=2)
            (Path(folder) / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            container = output_of(["buildah", "from", "scratch"]).strip()
            output_of(["buildah", "add", "--quiet", container, folder, "/"])
            output_of(["buildah", "commit", "--quiet", "--format", "docker", container, BASE])
            output_of(["buildah", "rm", container])


class Mounted:
    """The files of an image, mounted at a folder of the host while the context lasts."""

    def __init__(self, tag: str) -> None:
        self._tag = tag

    def __enter__(self) -> Path:
        self._container = output_of(["buildah", "from", "--pull-never", self._tag]).strip()
        return Path(output_of(["buildah", "mount", self._container]).strip())

    def __exit__(self, *error: object) -> None:
        output_of(["buildah", "rm", self._container])


class BuildahContainer:
    """A working container, in which the image's command runs as a child of this process.

    Args:
        tag: Tag of the image.
        config: Configuration of the image.
        environment: Variables that are added to the image's.
    """

    # Files that buildah itself writes to a running container.
    OF_BUILDAH = ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run", "/dev", "/proc", "/sys")

    def __init__(self, tag: str, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._container = output_of(["buildah", "from", "--pull-never", tag]).strip()
        self._root = Path(output_of(["buildah", "mount", self._container]).strip())
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
        return run([*self._prefix, *command])

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
        run(["buildah", "rm", self._container])

    def _service(self) -> int:
        """The process of the image's command: the last descendant of buildah's process."""
        process = self._process.pid
        while children := [
            child
            for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]:
            process = int(children[0])
        return process

    def _manifest(self) -> dict[str, tuple[int, ...]]:
        """Mode, owner, size and time of every file and folder except buildah's own."""
        found: dict[str, tuple[int, ...]] = {}
        for path in self._root.rglob("*"):
            name = f"/{path.relative_to(self._root)}"
            if not name.startswith(self.OF_BUILDAH):
                status = path.lstat()
                size = 0 if path.is_dir() else status.st_size
                found[name] = (status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns)
        return found
