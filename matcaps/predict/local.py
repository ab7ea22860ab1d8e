"""A model in this process: the service's engine and decoder, without HTTP and without torch."""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from matcaps.predict.place import Answer, PlaceError, RefusedError, Title
from matcaps.service.backends.artefact import CLASS_OUTPUTS
from matcaps.service.engine.loader import local_loader, opener_of
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.versions import parse_version
from matcaps.service.errors import ServiceError, StartError
from matcaps.service.http.responses import predictions
from matcaps.service.images.pool import DecoderPool
from matcaps.service.settings import Settings


class Local:
    """The place in this process. Of the folder of models it loads one file.

    Args:
        settings: Folder of models, default model, device, threads and limits, as the service has them.
        name: Name of the model; None for the default model.
        version: Its version; None for the highest that can be served.

    Raises:
        PlaceError: There is no such model, or it cannot be served.
    """

    def __init__(self, settings: Settings, name: str | None, version: int | None) -> None:
        name = settings.default_model if name is None else name
        self._version = _load(settings, name, _chosen(settings.models, name, version))
        self._decoder = DecoderPool(settings.max_pixels, settings.max_queue)
        self.at_once = 2 * settings.max_batch  # a batch that runs, and the next one
        metadata = self._version.metadata
        model = f"{name}/{self._version.version}"
        self.title = Title(model, f"in this process ({settings.models})", metadata.classes, metadata.image.channels)

    async def predict(self, contents: list[bytes]) -> Answer:
        metadata = self._version.metadata
        try:
            images = await self._decoder.samples(metadata.image, contents, math.inf)
            arrays = (await self._version.run(images, CLASS_OUTPUTS)).arrays
        except ServiceError as error:
            raise RefusedError(str(error)) from None
        # Without an id, because no poses are kept.
        return {"model": self._version.reference, "predictions": predictions(metadata, arrays)}

    async def close(self) -> None:
        self._decoder.close()
        self._version.close()


def _chosen(folder: Path, name: str, version: int | None) -> Mapping[int, Path]:
    """The files of a model by version, the one that is wanted or else all, the highest first."""
    if not folder.is_dir():
        raise PlaceError(f"there is no folder of models at {folder}; name one by --models, or a service by --url")
    files: dict[str, dict[int, Path]] = {}
    for path in folder.glob("*/*/model.onnx"):
        if (number := parse_version(path.parent.name)) is not None:
            files.setdefault(path.parent.parent.name, {})[number] = path
    if name not in files:
        raise PlaceError(f"no model {name!r} in {folder}; there are {', '.join(sorted(files)) or 'none'}")
    versions = dict(sorted(files[name].items(), reverse=True))
    if version is None:
        return versions
    if version not in versions:
        raise PlaceError(f"{name} has no version {version}; there are {', '.join(map(str, reversed(versions)))}")
    return {version: versions[version]}


def _load(settings: Settings, name: str, files: Mapping[int, Path]) -> ModelVersion:
    """The first version that can be served; a line on standard error for each higher one, as in the service's log."""
    # onnxruntime has answered before the kernel would be compiled and compared.
    settings = settings.model_copy(update={"cpu_kernel": "off"})
    load = local_loader(settings, opener_of(settings), time.monotonic)
    reasons = []
    for number, path in files.items():
        try:
            loaded = load(name, number, path, ())
        except StartError as error:
            raise PlaceError(str(error)) from None
        except ValueError as error:
            reasons.append(f"{name}/{number} cannot be served: {error}")
        else:
            for reason in reasons:
                print(f"matcaps predict: {reason}", file=sys.stderr)
            return loaded
    raise PlaceError("; ".join(reasons))
