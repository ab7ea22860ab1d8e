"""A network that runs batches of a few fixed sizes, each with buffers on the device that never move."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.cuda_graphs import GATE, CaptureGate
from matcaps.service.backends.onnx import RUNTIME, Arrays, Loaded, TrialError, black_and_white, reason_of, warm_up
from matcaps.service.errors import StartError

T = TypeVar("T")

GRAPH = "gpu_graph_id"  # the run option that says which recorded graph a run is
NO_GRAPH = "-1"
RUNS_TO_RECORD = 3  # two ordinary ones, in which memory is found, and the one that is recorded
CLOSE = 1e-3  # of the largest element: a graph that replays the wrong thing is off by far more


def bucket_sizes(max_batch: int) -> list[int]:
    """Powers of two, up to the largest batch, which is the last whatever it is.

    >>> bucket_sizes(12)
    [1, 2, 4, 8, 12]
    """
    sizes = [1 << power for power in range(max_batch.bit_length())]
    return sizes if sizes[-1] == max_batch else [*sizes, max_batch]


class Bucket:
    """One batch size: its buffers, and the binding of the network's input and outputs to them.

    Args:
        session: Of onnxruntime.
        size: Images of a full batch.
        images: One image.
        answer: All outputs for it, whose rows have the shape of any batch's.
        device: As onnxruntime names it, and its number.
        graph: Whether runs are recorded, and replayed from then on.
        runtime: The onnxruntime module, or what stands for it in tests.
    """

    def __init__(
        self,
        session: Any,
        size: int,
        images: NDArray[np.uint8],
        answer: Arrays,
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
        self._outputs = {name: buffer(values) for name, values in answer.items()}
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("images", self._images)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._options = runtime.RunOptions()
        if graph:
            self._options.add_run_config_entry(GRAPH, str(self.size))

    def run(self, images: NDArray[np.uint8], names: Sequence[str]) -> Arrays:
        """The named outputs for as many images as the bucket holds, or fewer."""
        rows = len(images)
        if rows < self.size:
            self._padded[:rows] = images
            self._padded[rows:] = 0
            images = self._padded
        self._images.update_inplace(images)  # returns when the copy is done
        self._session.run_with_iobinding(self._binding, self._options)
        # Copied: where the device is the CPU, the array is the buffer, and the next batch overwrites it.
        return {name: np.array(self._outputs[name].numpy()[:rows]) for name in names}


class BucketSession:
    """A network whose batches are padded up to buckets; all are warm when this returns.

    Args:
        loaded: The network.
        device: As onnxruntime names it (``cuda``, ``cpu``), and its number.
        max_batch: The largest bucket; larger batches are run in pieces.
        graphs: Record each bucket as a CUDA graph. Recordings belong to the thread that made them, so a session
            with graphs does all its work in a thread of its own.
        runtime: The onnxruntime module, or what stands for it in tests.
        gate: Keeps recordings apart from all else.

    Raises:
        TrialError: The network fails, or the device has no room for its buffers.
        ValueError: It answers numbers that are not finite, or another number of rows.
        StartError: A recorded graph answers otherwise than an ordinary run.
    """

    workers = 1  # whose batches follow each other on the device

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
        self._loaded, self._graphs, self._runtime, self._gate = loaded, graphs, runtime, gate
        self._thread = ThreadPoolExecutor(1, "cuda") if graphs else None
        try:
            self._buckets = self._apart(lambda: self._warm_up(device, bucket_sizes(max_batch)))
        except BaseException:
            if self._thread is not None:
                self._thread.shutdown(wait=False)
            raise

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        names = self._loaded.outputs if outputs is None else list(outputs)
        return self._apart(lambda: self._run(images, names))

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

    def _apart(self, work: Callable[[], T]) -> T:
        return work() if self._thread is None else self._thread.submit(work).result()

    def _warm_up(self, device: tuple[str, int], sizes: Sequence[int]) -> list[Bucket]:
        session, graph, runtime = self._loaded.session, self._graphs, self._runtime
        with self._gate.running():
            one = black_and_white(self.metadata, 1)
            answer = warm_up(self._plainly, one)
            try:
                buckets = [Bucket(session, size, one, answer, device, graph=graph, runtime=runtime) for size in sizes]
            except Exception as error:  # the runtime's own, of many kinds
                raise TrialError(
                    f"there is no room for its batches of up to {sizes[-1]}: {reason_of(error)}"
                ) from error
        # The largest first: the arena grows once, and the smaller ones find room in it.
        for bucket in reversed(buckets):
            images = black_and_white(self.metadata, bucket.size)
            run = partial(bucket.run, names=self._loaded.outputs)
            if not graph:
                with self._gate.running():
                    warm_up(run, images)
                continue
            with self._gate.running():
                expected = warm_up(self._plainly, images)
            with self._gate.capturing():
                for _ in range(RUNS_TO_RECORD):
                    warm_up(run, ~images)
            with self._gate.running():
                _compare(warm_up(run, images), expected, bucket.size)
        return buckets

    def _plainly(self, images: NDArray[np.uint8]) -> Arrays:
        """All outputs, without bound buffers and without a graph."""
        options = self._runtime.RunOptions()
        if self._graphs:
            options.add_run_config_entry(GRAPH, NO_GRAPH)
        values = self._loaded.session.run(self._loaded.outputs, {"images": images}, options)
        return dict(zip(self._loaded.outputs, values, strict=True))


def _compare(found: Arrays, expected: Arrays, size: int) -> None:
    for name, values in expected.items():
        allowed = CLOSE * max(1.0, float(np.abs(values).max()))
        if not np.allclose(found[name], values, rtol=0, atol=allowed):
            raise StartError(
                f"output {name} of a recorded CUDA graph (batch {size}) is not that of an ordinary run; "
                f"set MATCAPS_CUDA_GRAPHS=false"
            )
