"""The C++ kernel in the service: it answers only after it was compared with onnxruntime, and says so."""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from matcaps.model import CapsNet, tiny
from matcaps.model.config import RoutingConfig
from matcaps.model.export import export
from matcaps.model.pretrained import contents
from matcaps.service.app import create_app
from matcaps.service.backends import kernel
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.open import open_sessions
from matcaps.service.backends.routed import RoutedNetwork
from matcaps.service.engine.loader import opener_of
from matcaps.service.errors import StartError
from matcaps.service.settings import Settings
from tests.support.doubles import client_of, grey

FORMAT_1 = Path(__file__).parents[3] / "data" / "format-1.onnx"
OTHER = replace(
    tiny(),
    channels=2,
    image_size=30,
    crop_size=24,
    resolution=20,
    pooled_channels=4,
    coordinate_addition=False,
    routing=RoutingConfig(
        iterations=2, mass="absolute", final_inverse_temperature=0.01, density_temperature=4.0, competition="positions"
    ),
)
"""A network that differs from the tiny one in all that routing depends on."""


def save_weights(network: CapsNet, folder: Path, without: str = "") -> None:
    """Replace the weights."""
    weights = {name: values.contiguous() for name, values in network.state_dict().items() if name != without}
    save_file(weights, folder / "model.safetensors")


def write_version(folder: Path, network: CapsNet, graph: onnx.ModelProto) -> Path:
    """A version's folder with all files that the kernel needs."""
    folder.mkdir(parents=True)
    onnx.save(graph, folder / "model.onnx")
    for name, content in contents(network.config, network.state_dict()).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def version(network: CapsNet, exported: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny network; tests that change it work on a copy."""
    return write_version(tmp_path_factory.mktemp("tiny") / "tiny" / "1", network, exported)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the other network, which is calibrated."""
    torch.manual_seed(0)
    network = CapsNet(OTHER).eval()
    network.calibration.set(2.0, -1.5)
    return write_version(tmp_path_factory.mktemp("other") / "other" / "1", network, export(network))


@pytest.fixture
def copied(version: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be damaged."""
    return Path(shutil.copytree(version, tmp_path / "tiny" / "1"))


def wait_for_the_kernel() -> None:
    """Until the threads that compile and compare have ended."""
    for thread in threading.enumerate():
        if thread.name.startswith("kernel of "):
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("name", ["version", "other"])
def test_kernel_and_onnxruntime_agree_in_every_output(name: str, request: pytest.FixtureRequest) -> None:
    """All outputs of 64 pictures differ by rounding alone, in batches of any size and with any number of threads."""
    folder = request.getfixturevalue(name)
    session = CpuSession(folder / "model.onnx", threads=2)
    routed = RoutedNetwork(folder, session.metadata, threads=2)
    names = list(session.metadata.outputs())
    pictures = kernel.pictures_to_compare(session.metadata)
    assert len(np.unique(pictures.reshape(64, -1), axis=0)) == 64
    expected = session.run(pictures, names)
    for images, alone in ((pictures, False), (pictures[:1], True), (pictures[:9], True)):
        found = routed.run(images, names, alone=alone)
        assert list(found) == names
        for output in names:
            reference = expected[output][: len(images)]
            np.testing.assert_allclose(found[output], reference, atol=2e-5, rtol=2e-5, err_msg=output)


def test_only_the_outputs_that_are_asked_for_come(version: Path) -> None:
    """As from onnxruntime."""
    session = CpuSession(version / "model.onnx", threads=1)
    routed = RoutedNetwork(version, session.metadata, threads=1)
    images = kernel.pictures_to_compare(session.metadata)[:2]
    assert list(routed.run(images, ["poses"], alone=True)) == ["poses"]
    assert list(routed.run(images, ["pixels", "conv_caps_2_assignments"], alone=False)) == [
        "pixels",
        "conv_caps_2_assignments",
    ]


def test_on_answers_by_the_kernel_from_the_start(version: Path) -> None:
    """The session says so, and its answers are those of onnxruntime."""
    (session,) = open_sessions(version / "model.onnx", "cpu", 1, cpu_kernel="on")
    assert session.backend == ("routing-kernel", "")
    plain = CpuSession(version / "model.onnx", threads=1)
    images = kernel.pictures_to_compare(session.metadata)[:3]
    for name, values in plain.run(images).items():
        np.testing.assert_allclose(session.run(images)[name], values, atol=2e-5, rtol=2e-5)


def test_auto_answers_by_onnxruntime_until_the_kernel_is_ready(version: Path) -> None:
    """The session is usable at once; a thread compiles and compares."""
    (session,) = open_sessions(version / "model.onnx", "cpu", 1, cpu_kernel="auto")
    wait_for_the_kernel()
    assert session.backend == ("routing-kernel", "")


def test_a_model_of_format_1_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lacks the weights, which is found before the compiler would run for seconds."""
    compiled: list[bool] = []
    monkeypatch.setattr(kernel, "library", lambda: compiled.append(True))
    (session,) = open_sessions(FORMAT_1, "cpu", 1, cpu_kernel="auto")
    wait_for_the_kernel()
    reason = "there is no model.safetensors and no config.json beside model.onnx"
    assert session.backend == ("onnxruntime", reason)
    assert not compiled


COMPARING = """
import sys, threading
from pathlib import Path
from matcaps.service.backends import kernel
from matcaps.service.backends.open import open_sessions
from matcaps.service.backends.routed import RoutedNetwork

kernel.PICTURES = 800
began, run = threading.Event(), RoutedNetwork.run

def run_and_say(*arguments, **options):
    began.set()
    return run(*arguments, **options)

RoutedNetwork.run = run_and_say
open_sessions(Path(sys.argv[1]), "cpu", 1, cpu_kernel="auto")
assert began.wait(60)
"""
COMPILING = """
import sys
from pathlib import Path
from matcaps.service.backends.open import open_sessions

open_sessions(Path(sys.argv[1]), "cpu", 1, cpu_kernel="auto")
assert Path(sys.argv[2]).read_text() == "it runs\\n"
"""


def test_a_process_may_end_while_it_compares(version: Path) -> None:
    """It ends with status 0, and is not aborted by the thread that compares."""
    done = subprocess.run(
        [sys.executable, "-c", COMPARING, version / "model.onnx"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_may_end_while_it_compiles(version: Path, tmp_path: Path) -> None:
    """It does not wait for the compiler, here one that never ends by itself."""
    compiler, pipe = tmp_path / "compiler", tmp_path / "pipe"
    os.mkfifo(pipe)
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] || {{ echo "it runs" > {pipe}; exec cat; }}\n')
    compiler.chmod(0o755)
    environment = {**os.environ, "CXX": str(compiler), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", COMPILING, str(version / "model.onnx"), str(pipe)]
    # The compiler reads the other end of this pipe until it is closed, at the end of the test.
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_the_sessions_of_onnxruntime_are_freed_once_the_kernel_answers(version: Path) -> None:
    """They would hold as much memory as all that the kernel needs."""
    session = CpuSession(version / "model.onnx", threads=2)
    held = [weakref.ref(found) for found in (session._whole, session._single_thread, session._all_threads)]
    session.use(RoutedNetwork(version, session.metadata, threads=2))
    gc.collect()
    assert [reference() for reference in held] == [None] * 3
    assert session.run(np.zeros((3, 1, 24, 24), np.uint8))["poses"].shape == (3, 3, 4, 4)


def test_off_says_so(version: Path) -> None:
    """The reason names the setting."""
    (session,) = open_sessions(version / "model.onnx", "cpu", 1, cpu_kernel="off")
    assert session.backend == ("onnxruntime", "MATCAPS_CPU_KERNEL is off")


def other_weights(folder: Path) -> None:
    save_weights(CapsNet(tiny()), folder)


def other_routing(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["network"]["routing"]["density_temperature"] = 1.0
    (folder / "config.json").write_text(json.dumps(config))


def no_routing(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{'routing'")


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def fewer_weights(folder: Path) -> None:
    save_weights(CapsNet(tiny()), folder, without="class_caps.beta_u")


def wider_weights(folder: Path) -> None:
    save_weights(CapsNet(replace(tiny(), conv_types_1=4)), folder)


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


FAULTS: dict[Callable[[Path], None], str] = {
    other_weights: r"its answers to 64 pictures differ from onnxruntime's by ",
    other_routing: r"its answers to 64 pictures differ from onnxruntime's by ",
    no_routing: r"config\.json, network: Field required",
    no_json: r"config\.json is not JSON: ",
    cut_weights: r"model\.safetensors cannot be read: ",
    fewer_weights: r"model\.safetensors lacks class_caps\.beta_u",
    wider_weights: r"(must have|has) the shape |expected poses ",
    no_weights: r"there is no model\.safetensors beside model\.onnx",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_kernel_that_disagrees_or_lacks_a_file_never_answers(fault: Callable[[Path], None], copied: Path) -> None:
    """With ``auto`` onnxruntime stays, and the session says why; with ``on`` the service does not start."""
    fault(copied)
    reason = FAULTS[fault]
    (session,) = open_sessions(copied / "model.onnx", "cpu", 1, cpu_kernel="auto")
    wait_for_the_kernel()
    assert session.backend.name == "onnxruntime"
    assert np.isfinite(session.run(np.zeros((1, 1, 24, 24), np.uint8))["poses"]).all()
    assert re.search(reason, session.backend.reason), session.backend.reason
    with pytest.raises(StartError, match=rf"^MATCAPS_CPU_KERNEL is on, but .* cannot use the kernel: .*{reason}"):
        open_sessions(copied / "model.onnx", "cpu", 1, cpu_kernel="on")


def test_models_metrics_and_timing_say_what_answered(version: Path) -> None:
    """``/models``, the metric and ``Server-Timing`` name the kernel."""
    settings = Settings(models=version.parents[1], default_model="tiny", cpu_kernel="on", device="cpu", threads=1)
    with client_of(create_app(settings, opener_of(settings))) as client:
        answer = client.post("/predict", content=grey(9), headers={"content-type": "image/png"})
        assert answer.status_code == 200
        assert ";desc=routing-kernel" in answer.headers["server-timing"]
        assert client.get("/models/tiny").json()["backend"] == {"name": "routing-kernel", "reason": ""}
        metric = 'matcaps_model_backend{backend="routing-kernel",model="tiny",reason="",version="1"} 1.0'
        assert metric in client.get("/metrics").text
