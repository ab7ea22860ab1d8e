"""The model versions that serve, and which of them a request means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.errors import NotFoundError, NotReadyError

Key = tuple[str, int]


@dataclass(frozen=True)
class ModelIndex:
    """All versions in the folder, sorted by name and version.

    Attributes:
        default: Name of the default model.
        loaded: The versions that serve.
        refused: Name, version and reason of each file that cannot be served. The version is a text, the name of its
            folder, where that is no version.
        unloaded: Name and version of each file of a model that was unloaded.
    """

    default: str
    loaded: Sequence[ModelVersion]
    refused: Sequence[tuple[str, int | str, str]]
    unloaded: Sequence[tuple[str, int]]

    def versions(self, name: str) -> list[int]:
        """The versions of a model that are loaded."""
        return [version.version for version in self.loaded if version.name == name]


class VersionTable:
    """The loaded versions by name and number.

    Requests come from the event loop, and changes from one other thread at a time. So the dictionary of loaded versions
    is replaced, and never changed in place.

    Args:
        default: Name of the model that answers requests that name none.
    """

    def __init__(self, default: str) -> None:
        self._default = default
        self._loaded: Mapping[Key, ModelVersion] = {}

    @property
    def ready(self) -> bool:
        """Whether the default model is loaded."""
        return any(name == self._default for name, _ in self._loaded)

    def find(self, model: ModelRef) -> ModelVersion:
        """The loaded version that a request means.

        Raises:
            NotFoundError: There is no such model or version.
        """
        name = self._default if model.name is None else model.name
        loaded = self._loaded
        versions = sorted(version for known, version in loaded if known == name)
        if not versions:
            raise NotFoundError(f"no model {name[:80]!r}; there are {self._names()}")
        version = versions[-1] if model.version is None else model.version
        if version not in versions:
            raise NotFoundError(f"{name} has no version {version}; there are {', '.join(map(str, versions))}")
        return loaded[name, version]

    def acquire(self, model: ModelRef) -> ModelVersion:
        """The version that ``find`` finds, which serves until it is released, replaced or not.

        Raises:
            NotFoundError: There is no such model or version.
            NotReadyError: The versions have been closed.
        """
        version = self.find(model)
        while not version.acquire():
            again = self.find(model)
            if again is version:
                raise NotReadyError("the service is draining")
            version = again
        return version

    def _names(self) -> str:
        return ", ".join(sorted({name for name, _ in self._loaded})) or "none"
