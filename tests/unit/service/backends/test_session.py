"""Model files in onnxruntime: what is loaded, what is refused and why, and on which device."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from matcaps.service.backends.session import CPU, CUDA, CpuSession, choose_provider, open_session, open_sessions
from matcaps.service.errors import StartError
from tests.support.doubles import FakeSession, make_model, output_shapes, write_model
from tests.support.gpu import RuntimeWithGpu


def test_a_file_that_keeps_the_contract(tmp_path: Path) -> None:
    """A valid file answers all its outputs by name, for one image and for many."""
    session = open_session(write_model(tmp_path, "m", 1), "cpu")
    images = np.random.default_rng(1).integers(0, 256, (5, 1, 8, 8), np.uint8)
    arrays = session.run(images)
    assert {name: values.shape for name, values in arrays.items()} == {
        name: (5, *shape) for name, shape in output_shapes().items()
    }
    assert session.provider == CPU
    for name, values in FakeSession().run(images).items():
        np.testing.assert_allclose(arrays[name], values, rtol=1e-6)


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    """A run answers the outputs that it was asked for and no more."""
    session = open_session(write_model(tmp_path, "m", 1), "cpu", threads=1)
    assert list(session.run(np.zeros((1, 1, 8, 8), np.uint8), ["poses"])) == ["poses"]


@pytest.mark.parametrize("output", sorted(output_shapes()))
def test_missing_outputs_are_named(tmp_path: Path, output: str) -> None:
    """A file without one of the contract's outputs is refused by that output's name."""
    path = write_model(tmp_path, "m", 1, make_model(drop_outputs=[output]))
    with pytest.raises(ValueError, match=f"lacks the output {output}"):
        open_session(path, "cpu")


def test_wrong_shapes_are_named(tmp_path: Path) -> None:
    """An output of another shape is refused with the shape that was found."""
    path = write_model(tmp_path, "m", 1, make_model(shapes={"poses": (3, 16)}))
    with pytest.raises(ValueError, match=r"poses must be .*found .*16"):
        open_session(path, "cpu")


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    """Images of another type or another number of channels than the metadata says are refused."""
    floats = make_model(input_type=TensorProto.FLOAT)
    stereo = make_model(channels=2, properties={"matcaps.image": '{"channels": 1, "height": 8, "width": 8}'})
    for name, model in (("floats", floats), ("stereo", stereo)):
        with pytest.raises(ValueError, match="input images must be"):
            open_session(write_model(tmp_path, name, 1, model), "cpu")


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    """A file that takes one batch size alone cannot serve."""
    with pytest.raises(ValueError, match="input images must be"):
        open_session(write_model(tmp_path, "m", 1, make_model(batch=2)), "cpu")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A file that answers infinity or NaN in the trial run is refused."""
    path = write_model(tmp_path, "m", 1, make_model(scale=float("inf")))
    with pytest.raises(ValueError, match="not finite"):
        open_session(path, "cpu")


@pytest.mark.parametrize("content", [b"", b"not an ONNX file", b"\x08\x0a" * 50, None])
def test_broken_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    """An empty, foreign or truncated file is an error with a reason in one line."""
    whole = make_model().SerializeToString()
    path = write_model(tmp_path, "m", 1, whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match="not an ONNX file that can be run") as refused:
        open_session(path, "cpu")
    assert "\n" not in str(refused.value)


def test_cpu_is_the_cpu() -> None:
    """The device cpu never takes a GPU, and auto takes one only where onnxruntime offers it."""
    assert choose_provider("cpu", [CUDA, CPU]) == CPU
    assert choose_provider("auto", [CPU]) == CPU
    assert choose_provider("auto", [CUDA, CPU]) == CUDA
    assert choose_provider("cuda", [CUDA, CPU]) == CUDA


def test_cuda_without_a_gpu_build(tmp_path: Path) -> None:
    """The device cuda fails at start, and says what to install, where onnxruntime has no GPU provider."""
    with pytest.raises(StartError, match=r"no CUDAExecutionProvider.*matcaps\[gpu\]"):
        open_session(write_model(tmp_path, "m", 1), "cuda", runtime=RuntimeWithGpu([CPU]))


def test_cuda_that_does_not_start(tmp_path: Path) -> None:
    """The device cuda fails at start where the provider is offered, but the session took another or none."""
    path = write_model(tmp_path, "m", 1)
    with pytest.raises(StartError, match="onnxruntime took CPUExecutionProvider"):
        open_session(path, "cuda", runtime=RuntimeWithGpu([CUDA, CPU], taken=CPU))
    with pytest.raises(StartError, match="no CUDA-capable device"):
        open_session(path, "cuda", runtime=RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("no CUDA-capable device")))


def test_a_broken_file_is_not_the_gpus_fault(tmp_path: Path) -> None:
    """A broken file on a machine with a GPU is refused like any other, and does not stop the service."""
    path = write_model(tmp_path, "m", 1, b"not an ONNX file")
    with pytest.raises(ValueError, match="not an ONNX file that can be run"):
        open_session(path, "cuda", runtime=RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("Protobuf parsing failed")))


def test_auto_falls_back_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The device auto serves on the CPU where the GPU does not start, and logs the reason."""
    runtime = RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("no CUDA-capable device"))
    assert open_session(write_model(tmp_path, "m", 1), "auto", runtime=runtime).provider == CPU
    assert "no CUDA-capable device" in caplog.text


def test_cuda_that_starts(tmp_path: Path) -> None:
    """On a GPU the libraries are loaded first, TF32 is off, and the provider in use is CUDA's."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    assert open_session(write_model(tmp_path, "m", 1), "cuda", runtime=runtime).provider == CUDA
    assert runtime.preloaded == 1
    [(provider, options)] = runtime.asked
    assert provider == CUDA
    assert options["use_tf32"] == "0"


def test_one_session_on_each_gpu(tmp_path: Path) -> None:
    """Every GPU that the driver counts gets a session; where it counts none, the first is tried all the same."""
    path = write_model(tmp_path, "m", 1)
    for gpus, opened in ((lambda: 3, ["0", "1", "2"]), (lambda: 0, ["0"])):
        runtime = RuntimeWithGpu([CUDA, CPU])
        sessions = open_sessions(path, "cuda", runtime=runtime, gpus=gpus)
        assert [session.provider for session in sessions] == [CUDA] * len(opened)
        assert [options["device_id"] for _, options in runtime.asked] == opened


def test_one_session_on_the_cpu(tmp_path: Path) -> None:
    """On the CPU there is one session, and no row of it is padding."""
    [session] = open_sessions(write_model(tmp_path, "m", 1), "cpu", gpus=lambda: 3)
    assert session.provider == CPU
    assert session.padding(3) == 0


def test_a_gpu_among_several_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The device cuda wants every GPU; auto serves on those that do, and logs which one does not and why."""
    path = write_model(tmp_path, "m", 1)
    runtime = RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("out of memory"), fails_on="1")
    with pytest.raises(StartError, match="out of memory"):
        open_sessions(path, "cuda", runtime=runtime, gpus=lambda: 3)
    sessions = open_sessions(path, "auto", runtime=runtime, gpus=lambda: 3)
    assert [session.provider for session in sessions] == [CUDA, CUDA]
    assert "GPU 1: the network cannot run on the GPU: out of memory" in caplog.text


def test_a_session_that_fails_in_its_trial(tmp_path: Path) -> None:
    """A file that loads but does not run is refused, not served."""
    model = make_model()
    column = next(constant for constant in model.graph.initializer if constant.name == "poses_column")
    column.CopyFrom(numpy_helper.from_array(np.array([5, 5, 1, 1]), "poses_column"))
    with pytest.raises(ValueError, match=r"fails on a batch of 1|cannot be|can be run"):
        CpuSession(write_model(tmp_path, "m", 1, model))
