"""The folder of models, NAME/VERSION/model.onnx, and the versions of it that are loaded."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.version_table import Key, ModelIndex, VersionTable
from matcaps.service.engine.versions import EXPECTED, parse_version
from matcaps.service.errors import NotFoundError, RefusedModelError, StartError

log = logging.getLogger("matcaps")

Stamp = tuple[int, int, int]
MISNAMED = f"a version is a positive integer: expected a folder named {EXPECTED}"


class Repository(VersionTable):
    """Loads the models of a folder at the start, and follows the folder on every ``refresh``.

    A file that is new or has changed is loaded, checked and warmed up while the old version serves, and replaces it
    after that. A file that is refused changes nothing; its reason is kept.

    Args:
        folder: The folder of models.
        default: Name of the model that answers requests that name none.
        load: Starts a version; raises ValueError with a reason if the file cannot be served. StartError means that the
            device failed: at the start it is raised, and later the file is refused.
        failed: Called with name and version of each file that is refused.

    Raises:
        StartError: There is no folder, or the default model cannot be served.
    """

    def __init__(
        self,
        folder: Path,
        default: str,
        load: Callable[[str, int, Path], ModelVersion],
        failed: Callable[[str, int], None] = lambda name, version: None,
    ) -> None:
        if not folder.is_dir():
            raise StartError(f"there is no folder of models at {folder}; set MATCAPS_MODELS or --models")
        super().__init__(default)
        self._folder, self._load, self._failed = folder, load, failed
        self._changing = threading.Lock()
        self._refused: Mapping[Key, str] = {}
        self._stamps: dict[Key, Stamp] = {}
        self._misnamed: Set[tuple[str, str]] = frozenset()
        self._unload_names: set[str] = set()
        self._unloaded: Sequence[Key] = ()
        self._started = False
        self.refresh()
        if not self.ready:
            found = self._names()
            self.close()
            raise StartError(
                f"no model {default!r} in {folder} that can be served (found: {found}); "
                f"set MATCAPS_DEFAULT_MODEL or --default-model"
            )
        self._started = True

    def index(self) -> ModelIndex:
        """All versions as they are now."""
        loaded = [version for _, version in sorted(self._loaded.items())]
        refused: list[tuple[str, int | str, str]] = [
            (name, version, reason) for (name, version), reason in sorted(self._refused.items())
        ]
        refused += [(name, version, MISNAMED) for name, version in sorted(self._misnamed)]
        refused.sort(key=lambda row: row[0])  # stable: the versions of a name stay in their order
        return ModelIndex(self._default, loaded, refused, self._unloaded)

    def refresh(self) -> None:
        """Load what is new in the folder and drop what is gone. Unchanged files are left alone, refused ones too."""
        with self._changing:
            self._refresh()

    def load(self, name: str) -> None:
        """Load all versions of a model again, also after it was unloaded.

        Raises:
            NotFoundError: The folder has no such model.
            RefusedModelError: A version cannot be served; the others are.
        """
        with self._changing:
            self._unload_names.discard(name)
            for key in [key for key in self._stamps if key[0] == name]:
                del self._stamps[key]
            self._refresh()
            index = self.index()
            versions = index.versions(name)
            reasons = [
                f"version {version}: {reason}"
                for known, version, reason in index.refused
                # A folder that names no version, such as a backup, matters only where nothing else is there.
                if known == name and (isinstance(version, int) or not versions)
            ]
            if reasons:
                serves = f"; loaded: {', '.join(map(str, versions))}" if versions else ""
                raise RefusedModelError(f"not all of model {name[:80]!r} can be loaded: {'; '.join(reasons)}{serves}")
            if not versions:
                raise NotFoundError(f"model {name[:80]!r} cannot be loaded: there is no file")

    def unload(self, name: str) -> None:
        """Stop serving a model until it is loaded again, whatever happens to its files.

        Raises:
            NotFoundError: It is not loaded.
        """
        with self._changing:
            if not self.index().versions(name):
                raise NotFoundError(f"no model {name[:80]!r}; there are {self._names()}")
            self._unload_names.add(name)
            self._refresh()

    def close(self) -> None:
        """Run what waits for any version, and end all threads."""
        with self._changing:
            for version in self._loaded.values():
                version.close()

    def _refresh(self) -> None:
        try:
            there = self._scan()
        except OSError as error:
            log.error("the folder of models cannot be read, nothing changes: %s", error.strerror)
            return
        found = {key: path for key, path in there.items() if key[0] not in self._unload_names}
        self._unloaded = sorted(there.keys() - found.keys())
        for key in {*self._stamps, *self._loaded, *self._refused} - found.keys():  # load() removes stamps
            self._stamps.pop(key, None)
            self._drop(key)
        for key, path in found.items():
            try:
                stamp = _stamp(path)
            except OSError:
                continue  # the file has gone since the scan; the next scan drops it
            if self._stamps.get(key) != stamp:
                self._stamps[key] = stamp
                self._take(key, path)

    def _scan(self) -> dict[Key, Path]:
        """The files in the folder. A missing folder is an error, so that its models are not dropped."""
        found, misnamed = {}, set[tuple[str, str]]()
        for folder in sorted(self._folder.iterdir()):
            for path in sorted(folder.glob("*/model.onnx")):
                name, version = folder.name, path.parent.name
                if (number := parse_version(version)) is not None:
                    found[name, number] = path
                elif not version.startswith("."):  # hidden: a release that is being written
                    misnamed.add((name, version.encode(errors="replace").decode()))
        for name, version in sorted(misnamed - self._misnamed):
            log.error("refused %s/%s: %s", name, version, MISNAMED)
        self._misnamed = misnamed
        return found

    def _take(self, key: Key, path: Path) -> None:
        name, number = key
        try:
            version = self._load(name, number, path)
        except (ValueError, StartError) as error:
            if isinstance(error, StartError) and not self._started:
                raise
            kept = ", and the old file still serves" if key in self._loaded else ""
            log.error("refused %s/%s%s: %s", name, number, kept, error)
            self._refused = {**self._refused, key: str(error)}
            self._failed(name, number)
            return
        before = self._loaded.get(key)
        self._refused = {other: reason for other, reason in self._refused.items() if other != key}
        self._loaded = {**self._loaded, key: version}
        log.info("serving %s/%s on %s", name, number, version.provider)
        if before is not None:
            before.retire()

    def _drop(self, key: Key) -> None:
        self._refused = {other: reason for other, reason in self._refused.items() if other != key}
        if (version := self._loaded.get(key)) is not None:
            self._loaded = {other: kept for other, kept in self._loaded.items() if other != key}
            log.info("no longer serving %s/%s", *key)
            version.retire()


def _stamp(path: Path) -> Stamp:
    """What changes when a file is replaced or rewritten."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
