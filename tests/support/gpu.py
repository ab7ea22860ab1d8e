"""A test double of onnxruntime with GPUs: it checks the calls, and computes on the CPU."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnxruntime

from matcaps.service.backends.cuda_graphs import CaptureGate
from matcaps.service.backends.onnx import CPU, CUDA

CAPTURED_AT = 3  # the run of one graph in one thread that is captured


@dataclass(frozen=True)
class Run:
    """One run on bound buffers."""

    graph: str | None
    thread: int
    binding: Any
    alone: bool
    """Whether all other CUDA calls had to wait."""


class SessionOnGpu:
    """A session that captures graphs as onnxruntime does on CUDA: separately for each thread."""

    def __init__(self, path: str, provider: str, runtime: "RuntimeWithGpu") -> None:
        self._session = onnxruntime.InferenceSession(path, providers=[CPU])
        self._provider, self._runtime = provider, runtime
        self.get_modelmeta = self._session.get_modelmeta
        self.get_inputs, self.get_outputs = self._session.get_inputs, self._session.get_outputs
        self.io_binding = self._session.io_binding

    def get_providers(self) -> list[str]:
        return [self._provider, CPU]

    def run(self, names: Sequence[str], feeds: Any, options: Any = None) -> Any:
        if options is not None:
            self._runtime.plain_graphs.append(graph_of(options))
        if self._provider == CUDA and self._runtime.run_failure:
            raise self._runtime.run_failure
        return self._session.run(names, feeds)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        run = Run(graph_of(options), threading.get_ident(), binding, self._runtime.gate._capturing)
        runs = self._runtime.runs
        runs.append(run)
        before = [other for other in runs if (other.graph, other.thread) == (run.graph, run.thread)]
        if run.graph is not None:
            assert all(other.binding is binding for other in before), "a graph has one binding"
        if self._runtime.replays_nothing and len(before) > CAPTURED_AT:
            return
        self._session.run_with_iobinding(binding, options)


class RuntimeWithGpu:
    """The onnxruntime module on a machine with GPUs.

    Args:
        available: The providers that it offers.
        taken: The provider that a session reports, whichever was requested.
        failure: The error of opening a session on CUDA, on the device ``fails_on`` or on all.
        fails_on: The number of the device that ``failure`` is limited to.
        run_failure: The error of running on CUDA.
        room_failure: The error of allocating a buffer on CUDA.
        replays_nothing: Captured graphs leave the outputs unchanged.
    """

    SessionOptions = onnxruntime.SessionOptions
    RunOptions = onnxruntime.RunOptions

    def __init__(
        self,
        available: Sequence[str],
        taken: str | None = None,
        failure: Exception | None = None,
        fails_on: str | None = None,
        run_failure: Exception | None = None,
        room_failure: Exception | None = None,
        replays_nothing: bool = False,
    ) -> None:
        self.available, self.taken, self.failure, self.fails_on = list(available), taken, failure, fails_on
        self.run_failure, self.room_failure, self.replays_nothing = run_failure, room_failure, replays_nothing
        self.preloaded = 0
        self.asked: list[Any] = []
        self.buffers: list[tuple[tuple[int, ...], str, int]] = []
        self.runs: list[Run] = []
        self.plain_graphs: list[str | None] = []
        self.gate = CaptureGate()
        self.OrtValue = self

    def get_available_providers(self) -> list[str]:
        return self.available

    def preload_dlls(self) -> None:
        self.preloaded += 1

    def ortvalue_from_shape_and_type(self, shape: tuple[int, ...], kind: Any, device: str, device_id: int) -> Any:
        if self.room_failure is not None and device == "cuda":
            raise self.room_failure
        self.buffers.append((tuple(shape), device, device_id))
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cpu", 0)

    def InferenceSession(self, path: str, options: Any, *, providers: list[Any], enable_fallback: int) -> SessionOnGpu:  # noqa: N802
        assert enable_fallback == 0, "onnxruntime must not fall back to another provider"
        assert isinstance(options, onnxruntime.SessionOptions)
        self.asked.append(providers[0])
        wanted, told = (providers[0], {}) if isinstance(providers[0], str) else providers[0]
        if wanted == CUDA:
            assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
            assert all(isinstance(value, str) for value in told.values()), "options are strings"
            if self.failure and self.fails_on in (None, told["device_id"]):
                raise self.failure
        return SessionOnGpu(path, self.taken or wanted, self)


def graph_of(options: Any) -> str | None:
    """The id of the graph that a run captures or replays."""
    try:
        return str(options.get_run_config_entry("gpu_graph_id"))
    except RuntimeError:
        return None
