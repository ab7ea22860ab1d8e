"""The load generator wrk."""

import json

import pytest

from benchmarks.serving.wrk import SCRIPT, Load, MissingWrkError, check_wrk, parse

FIGURES = {
    "requests": 100,
    "duration_us": 2_000_000,
    "p50_us": 1500,
    "p99_us": 20_000,
    "largest_us": 30_000,
    "refused": 2,
    "broken": 1,
}


def test_the_last_line_of_wrk_holds_its_figures() -> None:
    """Lines before it are ignored; microseconds become milliseconds and seconds."""
    load = parse(f"Running 2s test\n  1 threads\n{json.dumps(FIGURES)}\n", wrk_cpu_s=0.5)
    assert load == Load(100, 2.0, 1.5, 20.0, 30.0, refused=2, broken=1, wrk_cpu_s=0.5)
    assert load.per_s == 50
    assert SCRIPT.exists()


def test_output_without_figures_is_an_error_that_quotes_it() -> None:
    """Missing figures do not become zeros."""
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_a_missing_wrk_is_an_error_that_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is on the PATH."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingWrkError, match="apt-get install wrk"):
        check_wrk()
