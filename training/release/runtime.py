"""Runs a graph in onnxruntime on the CPU, without log output or telemetry."""

import os
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
import onnxruntime

VERSION: str = onnxruntime.__version__


class Graph:
    """An exported network in onnxruntime on the CPU, by default on all cores."""

    def __init__(self, proto: onnx.ModelProto, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.shapes: dict[str, list[int | str]] = {
            tensor.name: tensor.shape for tensor in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> dict[str, NDArray[np.float32]]:
        """Run uint8 images [batch, channels, height, width]; returns the named outputs (None: all)."""
        names = self.outputs if outputs is None else list(outputs)
        return dict(zip(names, self._session.run(names, {"images": images}), strict=True))
