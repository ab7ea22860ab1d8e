"""LitServe, with its dynamic batches. It reads forms and JSON, so the picture comes as a field of a form."""

import os
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from PIL import Image

CLASSES = ["animal", "human", "airplane", "truck", "car"]


class Predict(litserve.LitAPI):  # type: ignore[misc, unused-ignore]
    """One network."""

    def __init__(self, model: str) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.0)
        self._model = model

    def setup(self, device: str) -> None:
        """Load the network, in the process that runs it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: Request) -> Any:
        """Pixels; what LitServe hands over here are the fields of the form."""
        return np.asarray(Image.open(request["images"].file).convert("L"))

    def batch(self, inputs: list[Any]) -> Any:
        """Images to one array."""
        return np.stack(inputs)[:, None]

    def predict(self, x: Any) -> Any:
        """The activations of each image."""
        return self._session.run(["activations"], {"images": x})[0]

    def unbatch(self, output: Any) -> Any:
        """One answer for each image."""
        return list(output)

    def encode_response(self, output: Any) -> Any:
        """As the other servers answer."""
        scores = output.tolist()
        return {"label": CLASSES[int(np.argmax(scores))], "activations": dict(zip(CLASSES, scores, strict=True))}


if __name__ == "__main__":
    server = litserve.LitServer(Predict(sys.argv[1]), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=int(os.environ["WORKERS"]),
        generate_client_file=False,
        log_level="warning",
    )
