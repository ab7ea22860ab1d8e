"""The yardstick measures the same thing, and the command writes every figure; no time is judged."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import routing, training
from benchmarks.routing.implementations import IMPLEMENTATIONS
from benchmarks.routing.report import Settings
from benchmarks.routing.textbook import textbook_routing
from benchmarks.training import report as steps
from matcaps.model import RoutingConfig
from matcaps.model.routing.eager import em_routing
from matcaps.model.windows import Windows


@pytest.mark.parametrize("mass", ["absolute", "relative"])
@pytest.mark.parametrize("located", [False, True])
def test_textbook_and_fast_routing_agree(mass: str, located: bool) -> None:
    """Logits, poses and assignments are equal to 1e-10 in float64, with and without coordinates."""
    torch.manual_seed(0)
    poses, activations = torch.randn(2, 25, 3, 4, 4).double(), torch.rand(2, 25, 3).double()
    weights, beta = torch.randn(9, 3, 4, 4, 4).double(), torch.randn(2, 4).double()
    windows = Windows((5, 5), (3, 3), 2, torch.rand(9, 2) if located else None)
    config = RoutingConfig(mass=mass)  # type: ignore[arg-type]
    arguments = (poses, activations, weights, beta[0], beta[1], windows, config)
    expected, found = textbook_routing(*arguments), em_routing(*arguments)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command writes of the tiny network: one round, seconds."""
    folder = tmp_path_factory.mktemp("benchmark")
    settings = Settings(presets=("tiny",), batch=(1, 9), threads=(1,), rounds=1, limit=1.0)
    threads = torch.get_num_threads()
    try:
        routing(settings, json_=folder / "routing.json", picture=folder / "routing.png")
    finally:
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
    """Memory at the largest batch that it takes; errors are those of float32, of gradients where there are any."""
    assert {(memory["implementation"], memory["step"]) for memory in report["memory"]} == MEASURED
    for memory in report["memory"]:
        assert memory["mib"] >= 0
        assert memory["batch"] == IMPLEMENTATIONS[memory["implementation"]].batch(memory["step"], 9)
    assert {error["implementation"] for error in report["errors"]} == set(IMPLEMENTATIONS)
    for error in report["errors"]:
        assert 0 < error["logits"] < 1e-4
        assert (error["gradients"] is None) == IMPLEMENTATIONS[error["implementation"]].exported
        assert error["gradients"] is None or 0 < error["gradients"] < 1e-3


def test_arithmetic_is_held_against_what_the_machine_reaches(report: dict[str, Any]) -> None:
    """Multiply-adds of the votes alone and with the sums, counted from the tiny network's five steps."""
    (rate,) = report["rates"]
    assert rate["pairs"] == 9 * 9 * 2 * 3 + 1 * 9 * 3 * 4 + 1 * 1 * 4 * 3
    assert rate["multiply_adds"] == 5 * 64 * rate["pairs"]
    assert rate["multiply_adds_with_sums"] == 5 * 96 * rate["pairs"]
    for figure in ("multiply_adds_per_s", "matrix_product_multiply_adds_per_s", "bytes_per_s", "copy_bytes_per_s"):
        assert rate[figure] > 0


def test_growth_follows_types_grid_and_iterations(report: dict[str, Any]) -> None:
    """Three curves of forward and training step, which meet in the same layer."""
    points = {(growth["axis"], growth["value"], growth["step"]): growth for growth in report["growth"]}
    assert {axis for axis, _, _ in points} == {"types", "grid", "iterations"}
    for step in ("forward", "training"):
        base = [points[place]["per_image"] for place in (("types", 32, step), ("grid", 14, step))]
        assert base == [points["iterations", 3, step]["per_image"]] * 2


def test_the_report_says_where_it_comes_from(report: dict[str, Any]) -> None:
    """Command, processor, versions, commit and date."""
    assert report["command"].startswith("python -m benchmarks")
    assert all(report["machine"][fact] for fact in ("processor", "cores", "torch", "onnxruntime", "commit", "date"))


def test_settings_refuse_what_cannot_be_measured() -> None:
    """The message names the setting and what was found."""
    with pytest.raises(ValueError, match=r"batch must be at least 1, found \(8, 0\)"):
        Settings(batch=(8, 0))
    with pytest.raises(ValueError, match="threads must hold at least one value"):
        Settings(threads=())
    with pytest.raises(ValueError, match="rounds must be at least 1, found 0"):
        Settings(rounds=0)


def test_whole_steps_are_timed_by_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a recipe's network and of the paper's CNN; as a table, as JSON and as a picture."""
    settings = steps.Settings(recipes=("mnist",), batch=2, threads=(1,), rounds=1, limit=1.0)
    threads = torch.get_num_threads()
    try:
        training(settings, json_=tmp_path / "steps.json", picture=tmp_path / "steps.png")
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "steps.json").read_bytes())["steps"]
    assert [step["network"] for step in found] == list(steps.COLOURS)
    for step in found:
        spread = step["per_image"]
        assert 0 < spread["fastest_ms"] <= spread["median_ms"] <= spread["slowest_ms"]
        assert (step["ratio"] == 1.0) == (step["network"] == steps.FLOAT32)
    assert "Training steps of 2 images: forward" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "message"),
    [({"recipes": ("cifar",)}, "found cifar"), ({"batch": 0}, "batch must"), ({"threads": (0,)}, "threads must")],
)
def test_steps_that_nobody_can_take_are_refused(values: dict[str, Any], message: str) -> None:
    """The error names what was found."""
    with pytest.raises(ValueError, match=message):
        steps.Settings(**values)
