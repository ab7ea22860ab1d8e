"""What the engine tells every HTTP worker: at its start everything, and later each change.

They travel pickled, from the engine to a worker only: the engine unpickles nothing, because workers read what strangers
send.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.session import Backend
from matcaps.service.settings import Settings


@dataclass(frozen=True)
class Described:
    """A loaded version. Its serial number is that of the loaded file: another file in its place has another one.

    What routes it may change while it keeps its number.
    """

    serial: int
    name: str
    version: int
    metadata: Metadata
    provider: str
    backend: Backend


@dataclass(frozen=True)
class Index:
    """The versions of ``ModelIndex``. The worker answers with the number of the index once it follows it."""

    number: int
    default: str
    loaded: Sequence[Described]
    refused: Sequence[tuple[str, int | str, str]]
    unloaded: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class State:
    """The state of the engine, as its properties of the same names say."""

    started: bool
    ready: bool
    alive: bool


@dataclass(frozen=True)
class Start:
    """The first thing that a worker hears."""

    settings: Settings
    keys: Mapping[str, str]
    state: State
    index: Index
