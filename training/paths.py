"""Paths among the options of a command, of which ``~`` is the home folder; other values keep their ``~``.

The shell expands ``--run-folder ~/x``, but not ``--run-folder=~/x``.
"""

import os
from pathlib import Path
from typing import Annotated

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo


class NoHomeError(LookupError):
    """There is no such user, or no home folder; tyro would replace a ``ValueError`` by a message of its own."""


def with_home(path: str) -> str:
    """Replace ``~`` or ``~user`` at the start of a path.

    Raises:
        NoHomeError: There is no such user, or no home folder.
    """
    expanded = os.path.expanduser(path)
    if path.startswith("~") and expanded == path:
        raise NoHomeError(
            f"{path.partition('/')[0]} is no home folder of a user; write ./{path} for a folder of that name"
        )
    return expanded


NameOrFolder = Annotated[
    str,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="STR",
        instance_from_str=lambda words: with_home(words[0]),
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda name: [name],
    ),
]
"""The name of a data set, or the path of a folder of images."""

PATHS = ConstructorRegistry()
"""Reads every ``Path`` among the options of a command."""


@PATHS.primitive_rule
def _path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: Path(with_home(words[0])),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )
