"""A network that runs batches of a few fixed sizes (buckets), each with its own fixed buffers on the device."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.cuda_graphs import GATE, CaptureGate
from matcaps.service.backends.onnx import RUNTIME, Loaded, WarmUpError, black_and_white, reason_of, warm_up
from matcaps.service.backends.session import ONNXRUNTIME, Arrays, Backend
from matcaps.service.errors import StartError

T = TypeVar("T")

GRAPH_OPTION = "gpu_graph_id"  # the run option that selects a captured graph
NO_GRAPH = "-1"
RUNS_TO_CAPTURE = 3  # two ordinary runs that allocate memory, then the run that is captured
TOLERANCE = 1e-3  # relative to the largest element; a graph that replays the wrong thing differs by far more


def bucket_sizes(max_batch: int) -> list[int]:
    """Powers of two up to the largest batch, and the largest batch itself.

    >>> bucket_sizes(12)
    [1, 2, 4, 8, 12]
    """
    sizes = [1 << power for power in range(max_batch.bit_length())]
    return sizes if sizes[-1] == max_batch else [*sizes, max_batch]


class Bucket:
    """One batch size, with buffers that the network's input and outputs are bound to.

    Args:
        session: The onnxruntime session.
        size: Images of a full batch.
        images: A batch of one image.
        outputs: All outputs for that image; they give the shapes of the buffers.
        device: onnxruntime's name of the device, and its number.
        graph: Whether runs are captured as a CUDA graph and then replayed.
        runtime: The onnxruntime module, or a test double.
    """

    def __init__(
        self,
        session: Any,
        size: int,
        images: NDArray[np.uint8],
        outputs: Arrays,
        device: tuple[str, int],
        *,
        graph: bool,
        runtime: Any,
    ) -> None:
        self.size, self._session = size, session
        self._padded = images.repeat(size, axis=0)

        def buffer(row: NDArray[Any]) -> Any:
            return runtime.OrtValue.ortvalue_from_shape_and_type((size, *row.shape[1:]), row.dtype.type, *device)

        self._images = buffer(images)
        self._outputs = {name: buffer(values) for name, values in outputs.items()}
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("images", self._images)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._options = runtime.RunOptions()
        if graph:
            self._options.add_run_config_entry(GRAPH_OPTION, str(self.size))

    def run(self, images: NDArray[np.uint8], names: Sequence[str]) -> Arrays:
        """The named outputs for at most ``size`` images."""
        rows = len(images)
        if rows < self.size:
            self._padded[:rows] = images
            self._padded[rows:] = 0
            images = self._padded
        self._images.update_inplace(images)  # returns after the copy
        self._session.run_with_iobinding(self._binding, self._options)
        # Copied, because on the CPU the array is the buffer itself, and the next batch overwrites it.
        return {name: np.array(self._outputs[name].numpy()[:rows]) for name in names}


class BucketSession:
    """A network whose batches are padded to the next bucket; all buckets are warm once it is constructed.

    Args:
        loaded: The network.
        device: onnxruntime's name of the device (``cuda``, ``cpu``), and its number.
        max_batch: The largest bucket; larger batches are run in pieces.
        graphs: Capture a CUDA graph for each bucket. A graph can be replayed only by the thread that captured it, so
            a session with graphs runs everything in its own thread.
        runtime: The onnxruntime module, or a test double.
        gate: Keeps captures apart from all other CUDA calls.

    Raises:
        WarmUpError: The network fails, or the device has no room for its buffers.
        ValueError: An output is not finite, or has another number of rows.
        StartError: The outputs of a captured graph differ from those of an ordinary run.
    """

    workers = 1  # batches run one after another on the device

    def __init__(
        self,
        loaded: Loaded,
        device: tuple[str, int],
        *,
        max_batch: int,
        graphs: bool = False,
        runtime: Any = RUNTIME,
        gate: CaptureGate = GATE,
    ) -> None:
        self.provider, self.metadata = loaded.provider, loaded.metadata
        self.backend = Backend(ONNXRUNTIME, "")
        self._loaded, self._graphs, self._runtime, self._gate = loaded, graphs, runtime, gate
        self._thread = ThreadPoolExecutor(1, "cuda") if graphs else None
        try:
            self._buckets = self._in_thread(lambda: self._warm_up(device, bucket_sizes(max_batch)))
        except BaseException:
            if self._thread is not None:
                self._thread.shutdown(wait=False)
            raise

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        names = self._loaded.outputs if outputs is None else list(outputs)
        return self._in_thread(lambda: self._run(images, names))

    def padding(self, images: int) -> int:
        rest = images % self._buckets[-1].size
        return self._bucket(rest).size - rest if rest else 0

    def _run(self, images: NDArray[np.uint8], names: Sequence[str]) -> Arrays:
        largest = self._buckets[-1].size
        pieces = []
        for start in range(0, len(images), largest):
            piece = images[start : start + largest]
            with self._gate.running():
                pieces.append(self._bucket(len(piece)).run(piece, names))
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in names}

    def _bucket(self, images: int) -> Bucket:
        return next(bucket for bucket in self._buckets if bucket.size >= images)

    def _in_thread(self, work: Callable[[], T]) -> T:
        """Run work in the session's own thread, if it has one."""
        return work() if self._thread is None else self._thread.submit(work).result()

    def _warm_up(self, device: tuple[str, int], sizes: Sequence[int]) -> list[Bucket]:
        session, graph, runtime = self._loaded.session, self._graphs, self._runtime
        with self._gate.running():
            one = black_and_white(self.metadata, 1)
            outputs = warm_up(self._run_without_graph, one)
            try:
                buckets = [Bucket(session, size, one, outputs, device, graph=graph, runtime=runtime) for size in sizes]
            except Exception as error:  # the runtime raises errors of many types
                raise WarmUpError(
                    f"no room for buffers of batches of up to {sizes[-1]} images: {reason_of(error)}"
                ) from error
        # The largest bucket runs first: the arena grows once, and the smaller buckets fit into it.
        for bucket in reversed(buckets):
            images = black_and_white(self.metadata, bucket.size)
            run = partial(bucket.run, names=self._loaded.outputs)
            if not graph:
                with self._gate.running():
                    warm_up(run, images)
                continue
            with self._gate.running():
                expected = warm_up(self._run_without_graph, images)
            with self._gate.capturing():
                for _ in range(RUNS_TO_CAPTURE):
                    warm_up(run, ~images)
            with self._gate.running():
                _compare(warm_up(run, images), expected, bucket.size)
        return buckets

    def _run_without_graph(self, images: NDArray[np.uint8]) -> Arrays:
        """All outputs of an ordinary run: no bound buffers, no graph."""
        options = self._runtime.RunOptions()
        if self._graphs:
            options.add_run_config_entry(GRAPH_OPTION, NO_GRAPH)
        values = self._loaded.session.run(self._loaded.outputs, {"images": images}, options)
        return dict(zip(self._loaded.outputs, values, strict=True))


def _compare(found: Arrays, expected: Arrays, size: int) -> None:
    for name, values in expected.items():
        tolerance = TOLERANCE * max(1.0, float(np.abs(values).max()))
        if not np.allclose(found[name], values, rtol=0, atol=tolerance):
            raise StartError(
                f"output {name} of the CUDA graph for batches of {size} differs from an ordinary run; "
                f"set MATCAPS_CUDA_GRAPHS=false"
            )
