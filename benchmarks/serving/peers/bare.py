"""A FastAPI handler that runs the network in the event loop, without batches, limits or metrics."""

import io
import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image

CLASSES = ["animal", "human", "airplane", "truck", "car"]


def main(model: str, port: int) -> None:
    """Serve with uvicorn as it is usually installed, ``uvicorn[standard]``: uvloop and httptools."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> Any:
        pixels = np.asarray(Image.open(io.BytesIO(await request.body())).convert("L"))
        (activations,) = session.run(["activations"], {"images": pixels[None, None]})
        scores = activations[0].tolist()
        return {
            "label": CLASSES[int(np.argmax(scores))],
            "activations": dict(zip(CLASSES, scores, strict=True)),
        }

    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
