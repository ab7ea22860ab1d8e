"""The folder of models, NAME/VERSION/model.onnx, and what is served of it."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.errors import NotFoundError, NotReadyError, RefusedModelError, StartError

log = logging.getLogger("matcaps")

Key = tuple[str, int]
Stamp = tuple[int, int, int]
Open = Callable[[str, int, Path], ModelVersion]


class Repository:
    """The models that are served, brought in line with their folder at start and on every ``refresh``.

    A file that is new or has changed is loaded, checked and tried out while the old one serves, and takes its place
    only then; one that is refused changes nothing, and its reason is kept. Requests come from the event loop, changes
    from one other thread at a time: what is served is a dictionary that is replaced and never changed.

    Args:
        folder: Where the models lie.
        default: Name of the model that serves where none is named.
        open_: Makes a version ready to serve, or raises ValueError with the reason why not; StartError where it is the
            device that fails, which ends a start, and later on refuses the file.
        failed: Called with the name of a model and its version when a file of it is refused.

    Raises:
        StartError: There is no folder, or no model of the default's name that can be served.
    """

    def __init__(
        self, folder: Path, default: str, open_: Open, failed: Callable[[str, int], None] = lambda name, version: None
    ) -> None:
        if not folder.is_dir():
            raise StartError(f"there is no folder of models at {folder}; set MATCAPS_MODELS or --models")
        self.default = default
        self._folder, self._open, self._failed = folder, open_, failed
        self._changing = threading.Lock()
        self._served: Mapping[Key, ModelVersion] = {}
        self._refused: Mapping[Key, str] = {}
        self._stamps: dict[Key, Stamp] = {}
        self._misnamed: set[str] = set()
        self._unloaded: set[str] = set()
        self._put_away: Sequence[Key] = ()
        self._started = False
        self.refresh()
        if default not in self.names:
            found = ", ".join(self.names) or "none"
            self.close()
            raise StartError(
                f"no model {default!r} in {folder} that can be served (found: {found}); "
                f"set MATCAPS_DEFAULT_MODEL or --default-model"
            )
        self._started = True

    @property
    def names(self) -> list[str]:
        """The models of which a version is served."""
        return sorted({name for name, _ in self._served})

    @property
    def served(self) -> list[ModelVersion]:
        """All versions that are served, by name and version."""
        return [served for _, served in sorted(self._served.items())]

    @property
    def refused(self) -> list[tuple[str, int, str]]:
        """Name, version and reason of each file that is not served as it stands."""
        return [(name, version, reason) for (name, version), reason in sorted(self._refused.items())]

    @property
    def unloaded(self) -> list[tuple[str, int]]:
        """Name and version of each file whose model was unloaded."""
        return list(self._put_away)

    @property
    def ready(self) -> bool:
        """Whether the default model is served."""
        return any(name == self.default for name, _ in self._served)

    def versions(self, name: str) -> list[int]:
        """The versions of a model that are served."""
        return sorted(version for known, version in self._served if known == name)

    def find(self, name: str | None = None, version: int | None = None) -> ModelVersion:
        """A model as it is served now: the default one, in its highest version, unless named.

        Raises:
            NotFoundError: There is no such model or version.
        """
        name = self.default if name is None else name
        now = self._served
        versions = sorted(version for known, version in now if known == name)
        if not versions:
            raise NotFoundError(f"no model {name[:80]!r}; there are {', '.join(self.names)}")
        version = versions[-1] if version is None else version
        if version not in versions:
            raise NotFoundError(f"{name} has no version {version}; there are {', '.join(map(str, versions))}")
        return now[name, version]

    @contextmanager
    def use(self, name: str | None = None, version: int | None = None) -> Iterator[ModelVersion]:
        """A model as ``find`` has it, which goes on serving as long as this lasts, replaced or not.

        Raises:
            NotFoundError: There is no such model or version.
            NotReadyError: It is being taken out of service.
        """
        served = self.find(name, version)
        while not served.begin():
            again = self.find(name, version)
            if again is served:
                raise NotReadyError("the service is draining")
            served = again
        try:
            yield served
        finally:
            served.end()

    def refresh(self) -> None:
        """Serve what lies in the folder now. What is there but unchanged is left alone, refused or not."""
        with self._changing:
            self._refresh()

    def load(self, name: str) -> None:
        """Load all versions of a model anew, one that was unloaded too.

        Raises:
            NotFoundError: There is no such model in the folder.
            RefusedModelError: A version of it cannot be served; those that can, are.
        """
        with self._changing:
            self._unloaded.discard(name)
            for key in [key for key in self._stamps if key[0] == name]:
                del self._stamps[key]
            self._refresh()
            reasons = [f"version {version}: {reason}" for known, version, reason in self.refused if known == name]
            served = self.versions(name)
            if reasons:
                serves = f"; served: {', '.join(map(str, served))}" if served else ""
                raise RefusedModelError(f"model {name[:80]!r} cannot be loaded whole: {'; '.join(reasons)}{serves}")
            if not served:
                raise NotFoundError(f"no model {name[:80]!r} can be loaded: there is no file")

    def unload(self, name: str) -> None:
        """Serve a model no more until it is loaded again, whatever happens to its files.

        Raises:
            NotFoundError: It is not served.
        """
        with self._changing:
            if not self.versions(name):
                raise NotFoundError(f"no model {name[:80]!r}; there are {', '.join(self.names)}")
            self._unloaded.add(name)
            self._refresh()

    def close(self) -> None:
        """Run what waits everywhere, and end all threads."""
        with self._changing:
            for served in self._served.values():
                served.close()

    def _refresh(self) -> None:
        try:
            there = self._scan()
        except OSError as error:
            log.error("the folder of models cannot be read, nothing changes: %s", error.strerror)
            return
        found = {key: path for key, path in there.items() if key[0] not in self._unloaded}
        self._put_away = sorted(there.keys() - found.keys())
        for key in {*self._stamps, *self._served, *self._refused} - found.keys():  # load forgets stamps
            self._stamps.pop(key, None)
            self._drop(key)
        for key, path in found.items():
            try:
                stamp = _stamp(path)
            except OSError:
                continue  # gone since it was found: the next time says so
            if self._stamps.get(key) != stamp:
                self._stamps[key] = stamp
                self._take(key, path)

    def _scan(self) -> dict[Key, Path]:
        """The files in the folder; a folder that is gone is an error, so that all its models do not go with it."""
        found = {}
        for folder in sorted(self._folder.iterdir()):
            for path in sorted(folder.glob("*/model.onnx")):
                name, version = folder.name, path.parent.name
                if version.isascii() and version.isdigit() and not version.startswith("0"):
                    found[name, int(version)] = path
                elif f"{name}/{version}" not in self._misnamed:
                    self._misnamed.add(f"{name}/{version}")
                    log.error("refused %s/%s: a version is a positive integer", name, version)
        return found

    def _take(self, key: Key, path: Path) -> None:
        name, version = key
        try:
            served = self._open(name, version, path)
        except (ValueError, StartError) as error:
            if isinstance(error, StartError) and not self._started:
                raise
            kept = ", and the file before it goes on serving" if key in self._served else ""
            log.error("refused %s/%s%s: %s", name, version, kept, error)
            self._refused = {**self._refused, key: str(error)}
            self._failed(name, version)
            return
        before = self._served.get(key)
        self._refused = {other: reason for other, reason in self._refused.items() if other != key}
        self._served = {**self._served, key: served}
        log.info("serving %s/%s on %s", name, version, served.provider)
        if before is not None:
            before.retire()

    def _drop(self, key: Key) -> None:
        self._refused = {other: reason for other, reason in self._refused.items() if other != key}
        if (served := self._served.get(key)) is not None:
            self._served = {other: kept for other, kept in self._served.items() if other != key}
            log.info("no longer serving %s/%s", *key)
            served.retire()


def _stamp(path: Path) -> Stamp:
    """What changes with a file's content, for those who replace or rewrite it."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
