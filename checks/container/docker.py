"""Builds and runs images with Docker."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from checks.container.engine import BASE, Container, build_arguments, output_of, run


class Docker:
    """Docker's engine."""

    name = "docker"

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str]) -> None:
        subprocess.run(["docker", "build", "--tag", tag, *build_arguments(arguments), folder], check=True)

    def config(self, tag: str) -> dict[str, Any]:
        return dict(json.loads(output_of(["docker", "image", "inspect", tag]))[0]["Config"])

    def files(self, tag: str) -> list[str]:
        return output_of(["docker", "run", "--rm", "--entrypoint", "find", tag, "/", "-xdev"]).splitlines()

    def added_bytes(self, tag: str) -> int:
        image, base = (
            int(output_of(["docker", "image", "inspect", "--format", "{{.Size}}", name])) for name in (tag, BASE)
        )
        return image - base

    def run(self, tag: str, port: int, environment: Mapping[str, str]) -> Container:
        inside = dict(self._environment(tag))["MATCAPS_PORT"]
        options = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        publish = f"127.0.0.1:{port}:{inside}"
        return DockerContainer(output_of(["docker", "run", "--detach", "--publish", publish, *options, tag]).strip())

    def _environment(self, tag: str) -> Iterator[tuple[str, str]]:
        for entry in self.config(tag)["Env"]:
            name, _, value = entry.partition("=")
            yield name, value


class DockerContainer:
    """A container of Docker, by its id."""

    def __init__(self, id_: str) -> None:
        self._id = id_

    def wait(self, limit_s: float) -> int:
        return int(
            subprocess.run(
                ["docker", "wait", self._id], check=True, capture_output=True, text=True, timeout=limit_s
            ).stdout
        )

    def terminate(self) -> None:
        output_of(["docker", "kill", "--signal", "TERM", self._id])

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return run(["docker", "exec", self._id, *command])

    def changes(self) -> list[str]:
        return output_of(["docker", "diff", self._id]).splitlines()

    def log(self) -> str:
        told = run(["docker", "logs", self._id])
        return told.stdout + told.stderr

    def remove(self) -> None:
        run(["docker", "rm", "--force", self._id])
