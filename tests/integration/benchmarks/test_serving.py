"""What the serving benchmark and the stress checks compute from what they see; no speed is judged."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.machine import Machine
from benchmarks.serving import generator
from benchmarks.serving.against import Against, Split
from benchmarks.serving.contenders import BARE, BOUNDARY, OURS, contenders
from benchmarks.serving.figures import Answers, Rate, ratio
from benchmarks.serving.generator import Load, MissingGeneratorError, check_generator, parse
from benchmarks.serving.picture import picture
from benchmarks.serving.process import Running, StartError, cpu_s, free_port, memory_mib, serving
from benchmarks.serving.report import Report, Settings
from benchmarks.serving.stand_in import Sleeper, best_images_per_s
from benchmarks.serving.table import markdown
from benchmarks.serving.tensors import Tensors, request_of
from benchmarks.serving.trivial import CLASSES, png, write_model
from checks.client import Answer, Client, Outcome, at_rate, by_callers, post
from checks.fuzz import fuzz, mutants
from checks.load import overload, restarts, soak
from checks.replicas import replicas
from matcaps.service.backends.cpu import CpuSession

FIGURES = {
    "requests": 100,
    "duration_us": 2_000_000,
    "p50_us": 1500,
    "p99_us": 20_000,
    "largest_us": 30_000,
    "refused": 2,
    "broken": 1,
}


def loaded(per_s: float, p50_ms: float = 1.0, refused: int = 0) -> Load:
    return Load(round(per_s), 1.0, p50_ms, 2 * p50_ms, 9.0, refused, 0)


def test_the_generators_last_line_holds_its_figures() -> None:
    """Whatever wrk prints before it; microseconds become milliseconds and seconds."""
    load = parse(f"Running 2s test\n  1 threads\n{json.dumps(FIGURES)}\n", generator_cpu_s=0.5)
    assert load == Load(100, 2.0, 1.5, 20.0, 30.0, refused=2, broken=1, generator_cpu_s=0.5)
    assert load.per_s == 50


def test_a_generator_without_figures_is_an_error_that_says_what_it_printed() -> None:
    """Nothing is taken for zero."""
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_a_missing_generator_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingGeneratorError, match="apt-get install wrk"):
        check_generator()


def test_ratios_are_taken_within_rounds() -> None:
    """A round in which the machine was slow slows both down, and leaves the ratio as it is."""
    ours, theirs = [loaded(200), loaded(20), loaded(100)], [loaded(100), loaded(10), loaded(100, 3.0, refused=4)]
    answers = Answers.of("peer", 32, theirs, ours)
    assert answers.ratio == 2.0
    assert answers.per_s == Rate(100, 10, 100, rounds=3)
    assert (answers.p50_ms, answers.p99_ms, answers.failed) == (1.0, 2.0, 4)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_the_trivial_network_keeps_the_contract(tmp_path: Path) -> None:
    """The service takes it, and the stand-in answers as it does."""
    session = CpuSession(write_model(tmp_path))
    images = np.full((2, 1, 48, 48), 100, np.uint8)
    images[1] = 7
    expected = session.run(images)
    np.testing.assert_allclose(expected["activations"][:, 0], [0.100, 0.007], atol=1e-6)
    found = Sleeper(0.0, 0.0).run(images)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)
    assert best_images_per_s(2.0, 0.1, batch=64) == pytest.approx(64 / 8.4e-3)


def test_every_contender_is_asked_for_the_same_picture() -> None:
    """As the body, or as a field of a form; this service comes first."""
    ours, bare, *peers = contenders()
    assert [ours.name, bare.name] == [OURS, BARE]
    assert [peer.name for peer in peers] == ["LitServe", "BentoML", "mosec"]
    for contender in (ours, bare, *peers):
        assert png() in contender.body
        assert contender.form == (BOUNDARY in contender.headers["content-type"])


def test_binary_requests_say_how_long_their_head_is() -> None:
    """Behind it lie the pixels, a byte each."""
    body, headers = request_of(3)
    length = int(headers["inference-header-content-length"])
    assert json.loads(body[:length])["inputs"][0]["shape"] == [3, 1, 48, 48]
    assert len(body) - length == 3 * 48 * 48


def test_settings_refuse_what_cannot_be_measured() -> None:
    """The message names the setting and what was found."""
    with pytest.raises(ValueError, match="rounds must be at least 1, found 0"):
        Settings(rounds=0)
    with pytest.raises(ValueError, match=r"connections .* found \(\)"):
        Settings(connections=())


def test_a_report_becomes_a_table_and_a_picture() -> None:
    """What is missing is named, and has no number."""
    rate = Rate(1234.5, 1000.0, 1300.0, 3)
    report = Report(
        "python -m benchmarks serving",
        Machine.here(),
        Settings(),
        [Answers(OURS, number, rate, 0.5, 1.5, 0, 1.0) for number in (1, 32)],
        Tensors(64, 4, rate, 9.0, 0),
        [Against("smallNORB on the CPU", 1, 8, rate, rate, 0.875, Split(0.1, 0.2, 1.5), 0)],
        {"mosec": "not installed: scripts/make-peers"},
    )
    text = markdown(report)
    assert "| matcaps | 32 | 1234 (1000–1300) | 0.500 | 1.50 | 0 | 1.00× |" in text
    assert "| 88 % | 0.10 | 0.20 | 1.50 |" in text
    assert "* mosec: not installed" in text
    assert len(picture(report).axes) == 3


@pytest.mark.parametrize("name", ["routing", "serving"])
def test_each_benchmark_says_what_it_takes(name: str) -> None:
    """``--help`` names the files that are written."""
    command = [sys.executable, "-m", "benchmarks", name, "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "--json" in found.stdout
    assert "--picture" in found.stdout


@pytest.mark.parametrize("module", [overload, soak, restarts, replicas, fuzz])
def test_each_check_says_what_it_takes(module: object) -> None:
    """Each runs as a program of its own."""
    command = [sys.executable, "-m", module.__name__, "--help"]  # type: ignore[attr-defined]
    assert "scripts/check-" in subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service over a device that takes 5 ms an image, one after the other, with room for one that waits."""
    models, port = tmp_path_factory.mktemp("models"), free_port()
    write_model(models)
    options = ["--fixed-ms=0", "--image-ms=5", "--max-batch=1", "--max-queue=1"]
    command = [sys.executable, "-m", "benchmarks.serving.stand_in", str(port), str(models), *options]
    with serving(command, port, ("/health/ready", b"", {}), {}) as running:
        yield running


def test_a_server_that_ends_at_once_is_an_error_that_says_why() -> None:
    """With the end of what it wrote."""
    with (
        pytest.raises(StartError, match=r"status 3: no such thing"),
        serving([sys.executable, "-c", "print('no such thing'); exit(3)"], free_port(), ("/", b"", {}), {}),
    ):
        pass


def test_overload_is_refused_and_the_rest_answered(server: Running) -> None:
    """A load that does not wait gets 200 or 429, and at most what the device can do; callers who wait get 200."""
    request = post("/predict", png(), {"content-type": "image/png"})
    ticks: list[int] = []
    outcome = asyncio.run(at_rate(server.port, request, 600, 1.5, lambda: ticks.append(1)))
    assert set(outcome.statuses) == {200, 429}
    assert outcome.broken == outcome.unsent == 0
    assert 20 < outcome.per_s < 210
    assert len(ticks) == 1
    waiting = asyncio.run(by_callers(server.port, request, 1, 0.5))
    assert set(waiting.statuses) == {200}
    assert waiting.percentile_ms(50) > 5
    main, others = cpu_s(server.pid)
    assert main > 0
    assert others >= 0
    assert memory_mib(server.pid) > 1


def test_an_answer_may_take_its_connection_with_it(server: Running) -> None:
    """The next request finds another one."""

    async def ask() -> list[int]:
        client = Client(server.port)
        found = [
            (await client.ask(post("/health/live", b"", {"connection": kind}, "GET"))).status
            for kind in ("close", "keep-alive", "keep-alive")
        ]
        client.close()
        return found

    assert asyncio.run(ask()) == [200, 200, 200]


def outcome_of(good: int, latency_s: float, seconds: float = 1.0, **others: Any) -> Outcome:
    return Outcome(seconds, Counter({200: good, 429: 5}), [latency_s] * good, **others)


def test_overload_is_judged_by_what_was_promised() -> None:
    """p99 at most twice that at capacity, 95 % of the device, 429 for all others and an answer for everybody."""
    capacity = Outcome(1.0, Counter({200: 100}), [0.1] * 100)
    assert overload.judge(capacity, outcome_of(96, 0.15), best=100) == []
    (slow,) = overload.judge(capacity, outcome_of(96, 0.25), best=100)
    assert "p99 of accepted requests 250 ms, 200 allowed" in slow
    (few,) = overload.judge(capacity, outcome_of(90, 0.1), best=100)
    assert "90.0 images/s" in few
    (lost,) = overload.judge(capacity, outcome_of(96, 0.1, broken=1), best=100)
    assert "1 unanswered" in lost
    failed = outcome_of(96, 0.1)
    failed.statuses[503] += 1
    assert "{503: 1}" in overload.judge(capacity, failed, best=100)[0]
    refusing = Outcome(1.0, Counter({200: 100, 429: 1}), [0.1] * 100)
    assert "at capacity" in overload.judge(refusing, outcome_of(96, 0.15), best=100)[0]
    assert overload.judge(capacity, Outcome(1.0), best=100), "nothing answered is not a promise kept"


def test_percentiles_are_answers_that_were_given() -> None:
    """The smallest one that so many per cent do not exceed."""
    outcome = Outcome(latencies_s=[place / 1e3 for place in range(1, 201)])
    assert [outcome.percentile_ms(percent) for percent in (1, 50, 99, 100)] == [2.0, 100.0, 198.0, 200.0]


def test_restarts_know_a_wrong_answer() -> None:
    """Another picture's activations, a missing class, a status or a cut body."""
    right = {name: (100 + place) / 1000 for place, name in enumerate(CLASSES)}
    content = {"predictions": [{"label": CLASSES[-1], "activations": right}]}
    body = json.dumps(content).encode()
    assert restarts.is_right(Answer(200, body), 100)
    assert not restarts.is_right(Answer(200, body), 101)
    assert not restarts.is_right(Answer(200, body[:-3]), 100)
    assert not restarts.is_right(Answer(500, body), 100)
    assert not restarts.is_right(Answer(200, body.replace(b'"label": "car"', b'"label": "truck"')), 100)


def test_mutants_are_many_and_repeatable() -> None:
    """The same seed makes the same ones, and most are no longer what they were; each is framed rightly."""
    made = list(mutants.requests(300))
    assert made == list(mutants.requests(300))
    assert len(set(made)) > 290
    for request in made:
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head
    assert len(mutants.pictures()) > 15
    content = b"0123456789" * 10
    assert sum(mutants.mutate(content, random.Random(seed)) != content for seed in range(100)) > 90
    assert mutants.mutate(b"", random.Random(0)) == b""
    assert os.path.basename(fuzz.HOOKS).endswith(".py")
    assert fuzz.HOOKS.exists()
    assert generator.SCRIPT.exists()
