"""BentoML, with its adaptive batches."""

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import onnxruntime
from PIL import Image

CLASSES = ["animal", "human", "airplane", "truck", "car"]


@bentoml.service(workers=int(os.environ["WORKERS"]), metrics={"enabled": False}, traffic={"timeout": 30})
class Predict:
    """One network."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)  # type: ignore[untyped-decorator, unused-ignore]
    def predict(self, images: list[Path]) -> list[dict[str, Any]]:
        """Label and activations of each image."""
        pixels = np.stack([np.asarray(Image.open(path).convert("L")) for path in images])[:, None]
        (activations,) = self._session.run(["activations"], {"images": pixels})
        return [
            {"label": CLASSES[int(np.argmax(scores))], "activations": dict(zip(CLASSES, scores, strict=True))}
            for scores in activations.tolist()
        ]
