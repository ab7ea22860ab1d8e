"""The protocols of an engine that builds images and of a container, and the commands behind them."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

BASE = "docker.io/library/python:3.13.16-slim-trixie"  # as in the Dockerfile


class Container(Protocol):
    """A container that runs the image's command."""

    def wait(self, limit_s: float) -> int:
        """The exit status of the image's command, once it has ended."""

    def terminate(self) -> None:
        """Send SIGTERM to the image's command."""

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run another command in the container, with the image's user and environment."""

    def changes(self) -> list[str]:
        """Files of the root file system that the run changed."""

    def log(self) -> str:
        """Output of the image's command."""

    def remove(self) -> None:
        """End the container if it runs, and remove it."""


class Engine(Protocol):
    """Builds images and runs them."""

    name: str

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """Build a folder's Dockerfile; its output goes to standard error."""

    def config(self, tag: str) -> dict[str, Any]:
        """User, environment, command and health check of an image, as Docker names them."""

    def files(self, tag: str) -> list[str]:
        """All files of an image."""

    def added_bytes(self, tag: str) -> int:
        """Size of the image above its base image."""

    def run(self, tag: str, port: int, environment: Mapping[str, str]) -> Container:
        """Run the image's command, so that it answers at a port of the loopback interface."""


def build_arguments(arguments: Mapping[str, str]) -> list[str]:
    """Options of a build."""
    return [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command, whatever its exit status."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def output_of(command: Sequence[str]) -> str:
    """Standard output of a command.

    Raises:
        RuntimeError: Its exit status is not 0.
    """
    done = run(command)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
