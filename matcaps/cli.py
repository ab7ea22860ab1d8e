"""The command ``matcaps``. It imports only the module of the chosen subcommand, so that serving never loads torch."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from matcaps import __version__


class Command(NamedTuple):
    """A subcommand: the module of its ``main(arguments) -> exit status``, and the extra that it needs."""

    module: str
    extra: str
    help: str

    @property
    def part(self) -> str:
        """The part of the package that holds the module, such as ``matcaps.training``."""
        return ".".join(self.module.split(".")[:2])

    @property
    def installed(self) -> bool:
        """Whether that part is here; the container image has no ``matcaps.training``."""
        return find_spec(self.part) is not None


COMMANDS = {
    "serve": Command("matcaps.service.__main__", "cpu (or gpu)", "serve the models of a folder over HTTP"),
    "predict": Command("matcaps.predict.command", "cpu (or gpu)", "ask a model about pictures, here or at a service"),
    "keys": Command("matcaps.service.keys", "cpu (or gpu)", "make an API key for the service"),
    "download": Command("matcaps.training.cli.download", "training", "fetch a public data set and check it"),
    "train": Command("matcaps.training.cli.train", "training", "train a network"),
    "folds": Command("matcaps.training.cli.folds", "training", "train the runs that judge a smallNORB recipe"),
    "evaluate": Command("matcaps.training.cli.evaluate", "training", "measure a trained network or a released model"),
    "release": Command("matcaps.training.cli.release", "training", "export a trained network for the service"),
    "push": Command("matcaps.training.cli.push", "training,hub", "upload a released model to the Hugging Face Hub"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: The words after ``matcaps``; by default those of this process.

    Returns:
        The exit status: that of the subcommand, 0 for help, 2 for an unknown subcommand, 1 if a package or a part of
        this one is missing.
    """
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
    except BaseException as error:
        # Printing fails here only without buffering. Errors of files have a name.
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            _give_up_output(error)
            return 1
        _flush_output()
        raise
    return status if _flush_output() else status or 1


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        with suppress(BrokenPipeError):  # raised here only without buffering; see _flush_output
            print(_usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"matcaps {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        print(f"matcaps: unknown command {name!r}; the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    if not command.installed:
        print(f"matcaps {name} is not in this installation, which lacks {command.part}", file=sys.stderr)
        return 1
    try:
        run: Callable[[list[str]], int] = import_module(command.module).main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("matcaps"):
            raise
        extra = command.extra.partition(" ")[0]
        print(f"matcaps {name} needs the package {error.name}: pip install 'matcaps[{extra}]'", file=sys.stderr)
        return 1
    return run(rest)


def _flush_output() -> bool:
    """Flush standard output; false if it is full. A closed pipe is no failure, as in ``matcaps --help | head -1``."""
    try:
        if sys.stdout:  # None in a process without standard output
            sys.stdout.flush()
    except OSError as error:
        return _give_up_output(error)
    return True


def _give_up_output(error: OSError) -> bool:
    """Discard what is left of standard output, with a line unless its pipe was closed; returns whether it was."""
    # Python flushes once more when it exits, and that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return True
    print(f"matcaps: cannot write to standard output: {error.strerror}", file=sys.stderr)
    return False


def _usage() -> str:
    here = {name: command for name, command in COMMANDS.items() if command.installed}
    width = max(map(len, here), default=0)
    lines = [f"  {name:<{width}}  {command.help}" for name, command in here.items()]
    return "\n".join(
        [
            "usage: matcaps COMMAND [options]",
            "",
            "Matrix capsules with EM routing: train, export to ONNX, serve over HTTP.",
            "",
            "commands:",
            *lines,
            "",
            "matcaps COMMAND --help lists a command's options; matcaps --version prints the version.",
        ]
    )
