"""Test doubles: sessions, a clock, small model files, images, and a client without a network."""

import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from matcaps.service.app import create_app
from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.session import ONNXRUNTIME, Backend, Session
from matcaps.service.settings import Settings

CLASSES = ["animal", "human", "airplane"]
GRIDS = {"primary_caps": (4, 3), "conv_caps_1": (2, 2), "conv_caps_2": (1, 2)}
TYPES = {"primary_caps": 2, "conv_caps_1": 3, "conv_caps_2": 2}
KERNELS = {"conv_caps_1": (3, 2), "conv_caps_2": (2, 1), "class_caps": (1, 2)}
CROP = {"top": 1, "left": 1, "height": 6, "width": 6}
PIXELS = (3, 3)  # rows and columns of the output `pixels`
SIDE = 8  # pixels of the images that the stand-ins take


def metadata_values(channels: int = 1, height: int = SIDE, width: int = SIDE) -> dict[str, Any]:
    """Metadata that keeps the contract, before it becomes JSON."""
    layers = [{"name": name, "grid": list(GRIDS[name]), "types": TYPES[name]} for name in GRIDS]
    layers.append({"name": "class_caps", "grid": [1, 1], "types": len(CLASSES)})
    for layer in layers:
        if layer["name"] in KERNELS:
            layer |= {"kernel": list(KERNELS[layer["name"]]), "stride": [1, 1]}
        layer["receptive_field"] = {"size": [3, 3], "stride": [1, 1], "offset": [0, 0]}
    return {
        "format": 2,
        "classes": CLASSES,
        "image": {"channels": channels, "height": height, "width": width},
        "pixels": {"height": PIXELS[0], "width": PIXELS[1], "crop": CROP},
        "layers": layers,
        "routing_iterations": 3,
        "training": {"data_set": "made up", "seed": 1},
        "parity": {"activations": 0.0},
    }


def output_shapes(channels: int = 1) -> dict[str, tuple[int, ...]]:
    """The shapes of all outputs, without the batch."""
    shapes: dict[str, tuple[int, ...]] = {"activations": (len(CLASSES),), "poses": (len(CLASSES), 4, 4)}
    for name, (rows, columns) in GRIDS.items():
        shapes[f"{name}_activations"] = (rows * columns, TYPES[name])
        shapes[f"{name}_poses"] = (rows * columns, TYPES[name], 4, 4)
    shapes["class_assignments"] = (2, 2, len(CLASSES))
    shapes["conv_caps_1_assignments"] = (4, 6, 2, 3)
    shapes["conv_caps_2_assignments"] = (2, 2, 3, 2)
    shapes["pixels"] = (channels, *PIXELS)
    return shapes


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class FakeSession:
    """Answers from the pixels alone: element k of each output of a sample is (mean pixel + k) / 1000."""

    def __init__(self, channels: int = 1, height: int = SIDE, width: int = SIDE) -> None:
        self.metadata = Metadata.model_validate(metadata_values(channels, height, width))
        self.provider = "FakeProvider"
        self.backend = Backend(ONNXRUNTIME, "")
        self.workers = 1
        self.batches: list[NDArray[np.uint8]] = []
        self.failure: Exception | None = None
        self.last_element = 0.0

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Mapping[str, NDArray[np.float32]]:
        if self.failure is not None:
            raise self.failure
        self.batches.append(images)
        shapes = output_shapes(self.metadata.image.channels)
        return {name: self._output(images, shapes[name]) for name in outputs or shapes}

    def padding(self, images: int) -> int:
        return 0

    def _output(self, images: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
        elements = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        means = images.reshape(len(images), -1).mean(1, dtype=np.float64).astype(np.float32)
        values: NDArray[np.float32] = (means.reshape(-1, *([1] * len(shape))) + elements) / np.float32(1000)
        values.reshape(len(images), -1)[:, -1] += self.last_element
        return values


class GatedSession(FakeSession):
    """Answers as ``FakeSession`` does, but each batch waits until a test lets it through."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.gate = threading.Semaphore(0), threading.Semaphore(0)

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Mapping[str, NDArray[np.float32]]:
        self.entered.release()
        assert self.gate.acquire(timeout=30), "no test let the batch through"
        return super().run(images, outputs)

    def wait_until_entered(self) -> None:
        """Block until the next batch has come."""
        assert self.entered.acquire(timeout=30), "no batch came"


def make_model(
    *,
    channels: int = 1,
    drop_outputs: Sequence[str] = (),
    properties: Mapping[str, str | None] | None = None,
    input_type: int = TensorProto.UINT8,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    batch: str | int = "batch",
    scale: float = 1 / 1000,
) -> onnx.ModelProto:
    """A model file that answers as ``FakeSession`` does, and keeps the contract unless an argument breaks it.

    Args:
        channels: Channels of the images.
        drop_outputs: Outputs to leave out.
        properties: Metadata entries to replace; None leaves an entry out.
        input_type: Element type of ``images``.
        shapes: Shapes of outputs (without the batch) to replace.
        batch: A name for a dynamic first dimension, or a number.
        scale: Factor of the outputs; infinity makes them not finite.
    """
    images = helper.make_tensor_value_info("images", input_type, [batch, channels, SIDE, SIDE])
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
        numpy_helper.from_array(np.array(scale, np.float32), "scale"),
    ]
    outputs = []
    for name, shape in {**output_shapes(channels), **(shapes or {})}.items():
        if name in drop_outputs:
            continue
        elements = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        column = np.array([-1, *([1] * len(shape))])
        constants.append(numpy_helper.from_array(elements, f"{name}_elements"))
        constants.append(numpy_helper.from_array(column, f"{name}_column"))
        nodes.append(helper.make_node("Reshape", ["means", f"{name}_column"], [f"{name}_means"]))
        nodes.append(helper.make_node("Add", [f"{name}_means", f"{name}_elements"], [f"{name}_sum"]))
        nodes.append(helper.make_node("Mul", [f"{name}_sum", "scale"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape]))
    graph = helper.make_graph(nodes, "stand_in", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    entries = {f"matcaps.{name}": json.dumps(value) for name, value in metadata_values(channels).items()}
    chosen = {**entries, **(properties or {})}
    helper.set_model_props(model, {key: value for key, value in chosen.items() if value is not None})
    return model


def write_model(folder: Path, name: str, version: int | str, model: onnx.ModelProto | bytes | None = None) -> Path:
    """Write a model file (or any bytes) at its place in a folder of models."""
    path = folder / name / str(version) / "model.onnx"
    path.parent.mkdir(parents=True)
    model = make_model() if model is None else model
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def fake_models(folder: Path, sessions: Mapping[str, Session]) -> Callable[[Path], list[Session]]:
    """Write an empty file for each ``NAME/VERSION``; returns the function that opens it as the session of that name."""
    for name in sessions:
        path = folder / name / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return lambda path: [sessions[path.parent.relative_to(folder).as_posix()]]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An encoded image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(level: int, width: int = SIDE, height: int = SIDE) -> bytes:
    """A PNG of one grey level."""
    return encoded(Image.new("L", (width, height), level))


class Client:
    """Sends requests to an application in an event loop of its own, without a network; raises its exceptions."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient) -> None:
        self._portal, self._client = portal, client

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            return await self._client.request(method, path, **options)

        return self._portal.call(send)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def post_png(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        """Send one image as a raw body."""
        return self.post(path, content=content, headers={"content-type": "image/png", **headers})


@contextmanager
def client_of(app: FastAPI, started: bool = True) -> Iterator[Client]:
    """A client of an application; runs its lifespan too, unless ``started`` is false."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app) if started else nullcontext(),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            yield client

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connect()) as client:
        yield Client(portal, client)


@contextmanager
def serve(
    folder: Path, sessions: Mapping[str, Session], clock: FakeClock | None = None, **settings: Any
) -> Iterator[Client]:
    """A client of a service over fake sessions; the first one is the default model."""
    default = next(iter(sessions)).partition("/")[0]
    chosen = Settings(models=folder, default_model=default, **settings)
    app = create_app(chosen, fake_models(folder, sessions), *([clock] if clock else []))
    with client_of(app) as client:
        yield client
