"""mosec: a front in Rust, processes of Python behind it, with its dynamic batches."""

import io
import os
from typing import Any

import mosec
import numpy as np
import onnxruntime
from PIL import Image

CLASSES = ["animal", "human", "airplane", "truck", "car"]


class Predict(mosec.Worker):  # type: ignore[misc, unused-ignore]
    """One network."""

    def __init__(self) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    def deserialize(self, data: bytes) -> Any:
        """One PNG to pixels."""
        return np.asarray(Image.open(io.BytesIO(data)).convert("L"))

    def forward(self, data: Any) -> Any:
        """Label and activations of each image."""
        (activations,) = self._session.run(["activations"], {"images": np.stack(data)[:, None]})
        return [
            {"label": CLASSES[int(np.argmax(scores))], "activations": dict(zip(CLASSES, scores, strict=True))}
            for scores in activations.tolist()
        ]


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Predict, num=int(os.environ["WORKERS"]), max_batch_size=32, max_wait_time=1)
    server.run()
