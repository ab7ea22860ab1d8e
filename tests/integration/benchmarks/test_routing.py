"""``python -m benchmarks routing`` writes every figure; no time is judged."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks import rounds
from benchmarks.__main__ import routing
from benchmarks.routing import growth, rates
from benchmarks.routing.implementations import IMPLEMENTATIONS, PRESETS
from benchmarks.routing.report import Settings
from matcaps.model import CapsNetConfig, tiny

FEW: dict[growth.Axis, tuple[int, ...]] = {"types": (8, 32), "grid": (8, 14), "iterations": (1, 3)}


def routed_once() -> CapsNetConfig:
    """The smallest network with one iteration, whose export takes a third of the time."""
    return replace(tiny(), routing=replace(tiny().routing, iterations=1))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON of the tiny network after one round, with smaller ceilings and fewer points of growth."""
    folder = tmp_path_factory.mktemp("benchmark")
    settings = Settings(presets=("tiny",), batch=(1, 9), threads=(1,), rounds=1, limit=1.0)
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "SHORTEST_SAMPLE_S", 0.001)
        patch.setattr(growth, "BATCH", 1)
        patch.setitem(PRESETS, "tiny", routed_once)
        for axis, values in FEW.items():
            patch.setitem(growth.AXES, axis, values)
        patch.setitem(rates.MATRIX, "cpu", 128)
        patch.setitem(rates.COPIED_BYTES, "cpu", 2**20)
        routing(settings, json_=folder / "routing.json", picture=folder / "routing.png")
        torch.set_num_threads(threads)
    assert (folder / "routing.png").read_bytes().startswith(b"\x89PNG")
    content: dict[str, Any] = json.loads((folder / "routing.json").read_bytes())
    return content


MEASURED = {(name, step) for name, implementation in IMPLEMENTATIONS.items() for step in implementation.steps}


def test_every_implementation_is_timed_at_every_batch(report: dict[str, Any]) -> None:
    """Forward and training step, with a spread around the median and the ratio to the textbook."""
    found = {(time["implementation"], time["step"], time["batch"]) for time in report["times"]}
    assert found == {(*case, batch) for case in MEASURED for batch in (1, 9)}
    for time in report["times"]:
        spread = time["per_image"]
        assert 0 < spread["fastest_ms"] <= spread["median_ms"] <= spread["slowest_ms"]
        assert spread["rounds"] == 1
        assert time["ratio"] > 0
        assert time["ratio"] == 1 or time["implementation"] != "textbook"
        assert time["measured_batch"] == IMPLEMENTATIONS[time["implementation"]].batch(time["step"], time["batch"])


def test_every_implementation_has_a_peak_of_memory_and_an_error(report: dict[str, Any]) -> None:
    """Memory is that of the largest batch; errors are those of float32, of gradients where there are any."""
    assert {(memory["implementation"], memory["step"]) for memory in report["memory"]} == MEASURED
    for memory in report["memory"]:
        assert memory["mib"] >= 0
        assert memory["batch"] == IMPLEMENTATIONS[memory["implementation"]].batch(memory["step"], 9)
    assert {error["implementation"] for error in report["errors"]} == set(IMPLEMENTATIONS)
    for error in report["errors"]:
        assert 0 < error["logits"] < 1e-4
        assert (error["gradients"] is None) == IMPLEMENTATIONS[error["implementation"]].exported
        assert error["gradients"] is None or 0 < error["gradients"] < 1e-3


def test_arithmetic_stands_beside_the_machines_ceilings(report: dict[str, Any]) -> None:
    """Multiply-adds of the votes alone and with the sums are those of the tiny network's only M-step."""
    (rate,) = report["rates"]
    assert rate["pairs"] == 9 * 9 * 2 * 3 + 1 * 9 * 3 * 4 + 1 * 1 * 4 * 3
    assert rate["multiply_adds"] == 1 * 64 * rate["pairs"]
    assert rate["multiply_adds_with_sums"] == 1 * 96 * rate["pairs"]
    for figure in ("multiply_adds_per_s", "matrix_product_multiply_adds_per_s", "bytes_per_s", "copy_bytes_per_s"):
        assert rate[figure] > 0


def test_growth_follows_types_grid_and_iterations(report: dict[str, Any]) -> None:
    """Three curves of forward and training step; the same layer is a point of each."""
    points = {(growth["axis"], growth["value"], growth["step"]): growth for growth in report["growth"]}
    assert {axis for axis, _, _ in points} == {"types", "grid", "iterations"}
    for step in ("forward", "training"):
        base = [points[place]["per_image"] for place in (("types", 32, step), ("grid", 14, step))]
        assert base == [points["iterations", 3, step]["per_image"]] * 2


def test_the_report_names_command_machine_and_commit(report: dict[str, Any]) -> None:
    """Processor, cores, versions, commit and date are not empty."""
    assert report["command"].startswith("python -m benchmarks")
    assert all(report["machine"][fact] for fact in ("processor", "cores", "torch", "onnxruntime", "commit", "date"))
