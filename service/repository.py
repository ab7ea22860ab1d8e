"""The folder of models: NAME/VERSION/model.onnx, VERSION a positive integer."""

import logging
from collections.abc import Callable
from pathlib import Path

from service.errors import StartError, UnknownError
from service.session import Session

log = logging.getLogger("emcaps")

Load = Callable[[Path], Session]


class Repository:
    """The models that are served. Read-only once made, so any thread may look into it.

    Args:
        folder: Where the models lie.
        default: Name of the model that serves where none is named.
        load: Makes a session of a file, or raises ValueError with the reason why not.

    Raises:
        StartError: There is no folder, or no model of the default's name that can be served.
    """

    def __init__(self, folder: Path, default: str, load: Load) -> None:
        if not folder.is_dir():
            raise StartError(f"there is no folder of models at {folder}; set EMCAPS_MODELS or --models")
        self.default = default
        self.sessions: dict[str, dict[int, Session]] = {}
        for path in sorted(folder.glob("*/*/model.onnx")):
            name, version = path.parent.parent.name, path.parent.name
            if not version.isascii() or not version.isdigit() or int(version) < 1 or version.startswith("0"):
                log.error("refused %s/%s: a version is a positive integer", name, version)
                continue
            try:
                session = load(path)
            except ValueError as error:
                log.error("refused %s/%s: %s", name, version, error)
                continue
            self.sessions.setdefault(name, {})[int(version)] = session
            log.info("serving %s/%s on %s", name, version, session.provider)
        if default not in self.sessions:
            found = ", ".join(self.sessions) or "none"
            raise StartError(
                f"no model {default!r} in {folder} that can be served (found: {found}); "
                f"set EMCAPS_DEFAULT_MODEL or --default-model"
            )

    def find(self, name: str | None = None, version: int | None = None) -> tuple[str, int, Session]:
        """Name, version and session of a model: the default one, in its highest version, unless named.

        Raises:
            UnknownError: There is no such model or version.
        """
        name = self.default if name is None else name
        versions = self.sessions.get(name)
        if versions is None:
            raise UnknownError(f"no model {name[:80]!r}; there are {', '.join(self.sessions)}")
        version = max(versions) if version is None else version
        if version not in versions:
            raise UnknownError(f"{name} has no version {version}; there are {', '.join(map(str, versions))}")
        return name, version, versions[version]
