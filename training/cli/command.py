"""Runs one command: options in, one line per error, exit status out."""

import contextlib
import functools
import io
import re
import sys
from collections.abc import Callable
from typing import Any

import tyro

from matcaps.training.engine.loop import NonFiniteError
from matcaps.training.paths import PATHS, NoHomeError
from matcaps.training.writing import WriteError

SUCCESS, FAILED, BAD_OPTIONS, INTERRUPTED = 0, 1, 2, 130


def run(
    name: str,
    command: Callable[..., None] | dict[str, Callable[..., None]],
    arguments: list[str],
    *,
    description: str | None = None,
    interrupted: str = "interrupted",
) -> int:
    """Parse the options of a command and call it; an error prints one line.

    Args:
        name: Name of the command, for its help.
        command: A function whose parameters are the options, or several functions by the name of their subcommand.
        arguments: The words after the command.
        description: The first line of its help; by default that of the function.
        interrupted: The line to print after Ctrl-C.

    Returns:
        The exit status: 0 for success and help, 1 if the work failed, 2 for bad options, 130 if interrupted.
    """
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            call = _parse(f"matcaps {name}", command, arguments, description)
    except SystemExit as exit_:
        if exit_.code:
            return _error(f"{_one_line(errors.getvalue())}; see matcaps {name} --help", BAD_OPTIONS)
        return SUCCESS
    except NoHomeError as error:
        return _error(str(error), BAD_OPTIONS)
    try:
        call()
    except (ValueError, OSError, NonFiniteError) as error:
        return _error(_line_of(error), FAILED)
    except KeyboardInterrupt:
        return _error(interrupted, INTERRUPTED)
    return SUCCESS


def _parse(
    program: str,
    command: Callable[..., None] | dict[str, Callable[..., None]],
    arguments: list[str],
    description: str | None,
) -> Callable[[], None]:
    call: Callable[[], None]
    if isinstance(command, dict):
        subcommands = {name: _bound(function) for name, function in command.items()}
        call = tyro.extras.subcommand_cli_from_dict(
            subcommands, prog=program, description=description, args=arguments, registry=PATHS
        )
    else:
        call = tyro.cli(_bound(command), prog=program, description=description, args=arguments, registry=PATHS)
    return call


def _bound(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """The command with its options bound and not yet called, so that bad options differ from failed work."""

    @functools.wraps(command)
    def bind(*values: Any, **options: Any) -> Callable[[], None]:
        return lambda: command(*values, **options)

    return bind


def _one_line(text: str) -> str:
    """The message of tyro without the box that it is drawn in; the title of the box comes first."""
    text = re.sub(r"╭─ (.+?) ─+╮", r"\1:", text)
    words = re.sub(r"\s+", " ", re.sub(r"[╭╮╰╯│─]|-{3,}", " ", text)).strip()
    return words.partition(" For full helptext")[0]


def _line_of(error: Exception) -> str:
    text = error.strerror if isinstance(error, WriteError) else str(error)
    return " ".join(str(text).splitlines())


def _error(text: str, status: int) -> int:
    print(f"matcaps: {text}", file=sys.stderr)
    return status
