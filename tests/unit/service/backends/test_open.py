"""Model files in onnxruntime: what is loaded, what is rejected and why, and on which device."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.onnx import CPU, CUDA, reason_of
from matcaps.service.backends.open import choose_provider, open_session, open_sessions
from matcaps.service.errors import StartError
from tests.support.doubles import FakeSession, make_model, output_shapes, write_model
from tests.support.gpu import RuntimeWithGpu


def test_a_valid_file_gives_all_outputs(tmp_path: Path) -> None:
    """A file that keeps the contract gives all its outputs by name, for one image and for many."""
    session = open_session(write_model(tmp_path, "m", 1), "cpu")
    images = np.random.default_rng(1).integers(0, 256, (5, 1, 8, 8), np.uint8)
    arrays = session.run(images)
    assert {name: values.shape for name, values in arrays.items()} == {
        name: (5, *shape) for name, shape in output_shapes().items()
    }
    assert session.provider == CPU
    for name, values in FakeSession().run(images).items():
        np.testing.assert_allclose(arrays[name], values, rtol=1e-6)


def test_a_run_gives_only_the_requested_outputs(tmp_path: Path) -> None:
    """A run computes the requested outputs and no others."""
    session = open_session(write_model(tmp_path, "m", 1), "cpu", threads=1)
    assert list(session.run(np.zeros((1, 1, 8, 8), np.uint8), ["poses"])) == ["poses"]


@pytest.mark.parametrize("output", sorted(output_shapes()))
def test_missing_outputs_are_named(tmp_path: Path, output: str) -> None:
    """A file that lacks an output of the contract is rejected, and the message names that output."""
    path = write_model(tmp_path, "m", 1, make_model(drop_outputs=[output]))
    with pytest.raises(ValueError, match=f"lacks the output {output}"):
        open_session(path, "cpu")


def test_a_wrong_output_shape_is_named(tmp_path: Path) -> None:
    """An output of another shape is rejected, and the message names the shape found."""
    path = write_model(tmp_path, "m", 1, make_model(shapes={"poses": (3, 16)}))
    with pytest.raises(ValueError, match=r"poses must be .*got .*16"):
        open_session(path, "cpu")


def test_a_wrong_input_is_rejected(tmp_path: Path) -> None:
    """Images of another type or another number of channels than the metadata says are rejected."""
    floats = make_model(input_type=TensorProto.FLOAT)
    stereo = make_model(channels=2, properties={"matcaps.image": '{"channels": 1, "height": 8, "width": 8}'})
    for name, model in (("floats", floats), ("stereo", stereo)):
        with pytest.raises(ValueError, match="input images must be"):
            open_session(write_model(tmp_path, name, 1, model), "cpu")


def test_a_fixed_batch_size_is_rejected(tmp_path: Path) -> None:
    """A file with a fixed batch size is rejected."""
    with pytest.raises(ValueError, match="input images must be"):
        open_session(write_model(tmp_path, "m", 1, make_model(batch=2)), "cpu")


def test_outputs_that_are_not_finite_are_rejected(tmp_path: Path) -> None:
    """A file whose outputs are infinite or NaN during warm-up is rejected."""
    path = write_model(tmp_path, "m", 1, make_model(scale=float("inf")))
    with pytest.raises(ValueError, match="not finite"):
        open_session(path, "cpu")


def with_opset(version: int) -> onnx.ModelProto:
    model = make_model()
    model.opset_import[0].version = version
    return model


def with_ir(version: int) -> onnx.ModelProto:
    model = make_model()
    model.ir_version = version
    return model


def with_operator(name: str) -> onnx.ModelProto:
    """One node of the graph has another operator."""
    model = make_model()
    model.graph.node[1].op_type = name
    return model


def with_external_data(file: str) -> onnx.ModelProto:
    """One constant is in another file, which is not there."""
    model = make_model()
    constant = model.graph.initializer[2]
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    constant.external_data.add(key="location", value=file)
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (with_ir(99), "Unsupported model IR version: 99, max supported IR version: "),
        (with_opset(99), "Opset 99 is under development"),
        (with_opset(99), "official support for domain ai.onnx is till opset "),
        (with_operator("Nothing"), "No Op registered for Nothing"),
        (with_external_data("weights.bin"), 'External data path does not exist: "weights.bin"'),
    ],
)
@pytest.mark.parametrize("folder", ["models", "my models (new)"])
def test_a_reason_keeps_what_is_wrong(tmp_path: Path, folder: str, model: onnx.ModelProto, words: str) -> None:
    """It has neither a place in C++ nor a path of the machine."""
    with pytest.raises(ValueError, match="not an ONNX file that onnxruntime can run") as refused:
        open_session(write_model(tmp_path / folder, "m", 1, model), "cpu")
    reason = str(refused.value)
    assert words in reason
    assert "::" not in reason
    assert "/" not in reason
    assert ".cc" not in reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("/src/core/a.cc:12 virtual ns::Status ns::A<T>::Compute(ns::Context*) const [with T = float] no", "no"),
        (
            "/src/core/a.h:12 ns::A::operator()(std::function<void(int)>) const shape (2, 3) is wrong",
            "shape (2, 3) is wrong",
        ),
        ("a.cc:619 Validate The file (one) is wrong", "The file (one) is wrong"),
        ("cannot open /usr/lib/x/libcublas.so.12: no such file", "cannot open libcublas.so.12: no such file"),
        ("see https://onnx.ai/a/b for 1/2 and a/b", "see https://onnx.ai/a/b for 1/2 and a/b"),
        ("", ""),
    ],
)
def test_a_reason_loses_places_and_folders_only(message: str, reason: str) -> None:
    """The rest stays as the runtime wrote it."""
    assert reason_of(RuntimeError(message)) == reason


def test_a_long_reason_keeps_its_beginning_and_its_end() -> None:
    """The end says what is wrong."""
    reason = reason_of(RuntimeError("[ONNXRuntimeError] " + "node, " * 1000 + "no such operator"))
    assert reason.startswith("[ONNXRuntimeError] ")
    assert reason.endswith("no such operator")
    assert len(reason) <= 603


@pytest.mark.parametrize("content", [b"", b"not an ONNX file", b"\x08\x0a" * 50, None])
def test_broken_files_are_rejected(tmp_path: Path, content: bytes | None) -> None:
    """An empty, foreign or truncated file is rejected with a reason in one line."""
    whole = make_model().SerializeToString()
    path = write_model(tmp_path, "m", 1, whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match="not an ONNX file that onnxruntime can run") as refused:
        open_session(path, "cpu")
    assert "\n" not in str(refused.value)


def test_the_provider_follows_the_device() -> None:
    """The device cpu never uses a GPU; auto uses one only if onnxruntime offers CUDA."""
    assert choose_provider("cpu", [CUDA, CPU]) == CPU
    assert choose_provider("auto", [CPU]) == CPU
    assert choose_provider("auto", [CUDA, CPU]) == CUDA
    assert choose_provider("cuda", [CUDA, CPU]) == CUDA


def test_cuda_needs_the_gpu_build_of_onnxruntime(tmp_path: Path) -> None:
    """The device cuda fails at start if onnxruntime offers no CUDA, and the message says what to install."""
    with pytest.raises(StartError, match=r"needs CUDAExecutionProvider.*matcaps\[gpu\]"):
        open_session(write_model(tmp_path, "m", 1), "cuda", runtime=RuntimeWithGpu([CPU]))


def test_cuda_fails_if_the_session_does_not_use_it(tmp_path: Path) -> None:
    """The device cuda fails at start if the session fails or chooses another provider."""
    path = write_model(tmp_path, "m", 1)
    with pytest.raises(
        StartError, match="expected onnxruntime to use CUDAExecutionProvider, but it chose CPUExecutionProvider"
    ):
        open_session(path, "cuda", runtime=RuntimeWithGpu([CUDA, CPU], taken=CPU))
    with pytest.raises(StartError, match="no CUDA-capable device"):
        open_session(path, "cuda", runtime=RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("no CUDA-capable device")))


def test_a_broken_file_is_not_blamed_on_the_gpu(tmp_path: Path) -> None:
    """A broken file on a machine with a GPU is rejected as a file, and does not stop the service."""
    path = write_model(tmp_path, "m", 1, b"not an ONNX file")
    with pytest.raises(ValueError, match="not an ONNX file that onnxruntime can run"):
        open_session(path, "cuda", runtime=RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("Protobuf parsing failed")))


def test_auto_falls_back_to_the_cpu_and_logs_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The device auto serves on the CPU if the GPU does not start, and logs the reason."""
    runtime = RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("no CUDA-capable device"))
    assert open_session(write_model(tmp_path, "m", 1), "auto", runtime=runtime).provider == CPU
    assert "no CUDA-capable device" in caplog.text


def test_cuda_preloads_libraries_and_keeps_tf32_off(tmp_path: Path) -> None:
    """On a GPU the CUDA libraries are loaded first, TF32 is off, and the provider in use is CUDA."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    assert open_session(write_model(tmp_path, "m", 1), "cuda", runtime=runtime).provider == CUDA
    assert runtime.preloaded == 1
    [(provider, options)] = runtime.asked
    assert provider == CUDA
    assert options["use_tf32"] == "0"


def test_one_session_on_each_gpu(tmp_path: Path) -> None:
    """Each GPU that the driver counts gets a session; if it counts none, the first GPU is tried anyway."""
    path = write_model(tmp_path, "m", 1)
    for gpus, opened in ((lambda: 3, ["0", "1", "2"]), (lambda: 0, ["0"])):
        runtime = RuntimeWithGpu([CUDA, CPU])
        sessions = open_sessions(path, "cuda", runtime=runtime, gpus=gpus)
        assert [session.provider for session in sessions] == [CUDA] * len(opened)
        assert [options["device_id"] for _, options in runtime.asked] == opened


def test_one_session_on_the_cpu(tmp_path: Path) -> None:
    """On the CPU there is one session, and it adds no padding."""
    [session] = open_sessions(write_model(tmp_path, "m", 1), "cpu", gpus=lambda: 3)
    assert session.provider == CPU
    assert session.padding(3) == 0


def test_one_failing_gpu_stops_cuda_but_not_auto(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The device cuda needs every GPU; auto serves without the failing one, and logs which one and why."""
    path = write_model(tmp_path, "m", 1)
    runtime = RuntimeWithGpu([CUDA, CPU], failure=RuntimeError("out of memory"), fails_on="1")
    with pytest.raises(StartError, match="out of memory"):
        open_sessions(path, "cuda", runtime=runtime, gpus=lambda: 3)
    sessions = open_sessions(path, "auto", runtime=runtime, gpus=lambda: 3)
    assert [session.provider for session in sessions] == [CUDA, CUDA]
    assert "without GPU 1: the network cannot run on the GPU: out of memory" in caplog.text


def test_a_file_that_fails_in_its_warm_up_is_rejected(tmp_path: Path) -> None:
    """A file that loads but does not run is rejected."""
    model = make_model()
    column = next(constant for constant in model.graph.initializer if constant.name == "poses_column")
    column.CopyFrom(numpy_helper.from_array(np.array([5, 5, 1, 1]), "poses_column"))
    with pytest.raises(ValueError, match=r"fails on a batch of 1|cannot be|can run"):
        CpuSession(write_model(tmp_path, "m", 1, model))
