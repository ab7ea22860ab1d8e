"""A network that is ready to run, on a CPU or a GPU."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.artefact import Metadata, check_tensors, read_metadata
from service.errors import StartError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

Arrays = Mapping[str, NDArray[np.float32]]


class Session(Protocol):
    """What runs batches: the seam between HTTP and the network."""

    metadata: Metadata
    provider: str

    def run(self, images: NDArray[np.uint8]) -> Arrays:
        """All outputs by name for images [batch, channels, height, width]; blocks until they are there."""
        ...


def choose_provider(device: Literal["auto", "cpu", "cuda"]) -> str:
    """The execution provider for a device.

    Raises:
        StartError: CUDA is asked for, and this onnxruntime cannot offer it.
    """
    available = onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and CUDA not in available):
        return CPU
    if CUDA not in available:
        raise StartError(
            f"device cuda: onnxruntime {onnxruntime.__version__} offers {', '.join(available)} and no {CUDA}. "
            f"Install emcaps[gpu] into an environment without emcaps[cpu], or set EMCAPS_DEVICE=cpu"
        )
    return CUDA


class OnnxSession:
    """An exported network in onnxruntime.

    Args:
        path: The ``model.onnx``.
        provider: Where it runs; what does not run there is not run at all.

    Raises:
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
        StartError: The provider cannot be started on this machine.
    """

    def __init__(self, path: Path, provider: str) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        chosen: list[str | tuple[str, dict[str, str]]] = [provider]
        if provider == CUDA:
            onnxruntime.preload_dlls()
            chosen = [(CUDA, {"use_tf32": "0"})]
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        except Exception as error:  # onnxruntime's own kinds share no base class
            reason = str(error).replace(str(path), path.name).split("\n")[0]
            if provider == CUDA:
                raise StartError(f"the network cannot run on the GPU: {reason}") from error
            raise ValueError(f"not an ONNX file that can be run: {reason}") from error
        self.provider = self._session.get_providers()[0]
        if self.provider != provider:
            raise StartError(f"{provider} was asked for, but onnxruntime took {self.provider}: is there a GPU?")
        self.metadata = read_metadata(self._session.get_modelmeta().custom_metadata_map)
        check_tensors(self.metadata, self._session.get_inputs(), self._session.get_outputs())
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._warm_up()

    def run(self, images: NDArray[np.uint8]) -> Arrays:
        return dict(zip(self._outputs, self._session.run(None, {"images": images}), strict=True))

    def _warm_up(self) -> None:
        image = self.metadata.image
        grey = np.full((1, image.channels, image.height, image.width), 127, np.uint8)
        for name, values in self.run(grey).items():
            if not np.isfinite(values).all():
                raise ValueError(f"output {name} is not finite for an even grey image")
