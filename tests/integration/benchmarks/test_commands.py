"""``python -m benchmarks`` and the checks as programs: each explains its options."""

import runpy
import sys

import pytest

PROGRAMS = [
    *("checks.fuzz", "checks.replicas"),
    *("checks.load.overload", "checks.load.reloads", "checks.load.restarts", "checks.load.soak"),
]


def help_of(program: str, *arguments: str) -> None:
    """Run a module as ``python -m`` does, with ``--help``."""
    argv, sys.argv = sys.argv, [program, *arguments, "--help"]
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = argv
    assert ended.value.code in (0, None)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize("name", ["routing", "training", "serving"])
def test_each_benchmark_explains_the_files_that_it_writes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` names --json and --picture."""
    help_of("benchmarks", name)
    printed = capsys.readouterr().out
    assert "--json" in printed
    assert "--picture" in printed


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize(("program", "option"), [("slider", "--count"), ("predict", "--rounds")])
def test_the_figures_of_the_explorer_page_explain_their_options(
    program: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--help`` names them."""
    help_of(f"benchmarks.explorer.{program}")
    assert option in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_check_explains_its_options_by_the_name_of_its_script(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--help`` begins with the script."""
    help_of(program)
    assert "scripts/check-" in capsys.readouterr().out
