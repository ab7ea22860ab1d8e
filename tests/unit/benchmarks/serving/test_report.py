"""Settings of the serving benchmark, and its report as a table and a plot."""

import pytest

from benchmarks.machine import Machine
from benchmarks.serving.against_network import Against, Split
from benchmarks.serving.figures import Answers, Rate
from benchmarks.serving.plot import picture
from benchmarks.serving.report import Report, Settings
from benchmarks.serving.table import markdown
from benchmarks.serving.tensor_requests import Tensors


def test_serving_settings_reject_numbers_below_one() -> None:
    """The error names the setting and the value."""
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        Settings(rounds=0)
    with pytest.raises(ValueError, match=r"connections .* got \(\)"):
        Settings(connections=())


def test_a_report_becomes_a_table_and_a_plot() -> None:
    """A server that is missing is named with the reason."""
    rate = Rate(1234.5, 1000.0, 1300.0, 3)
    report = Report(
        "python -m benchmarks serving",
        Machine.here(),
        Settings(),
        [Answers("matcaps", number, rate, 0.5, 1.5, 0, 1.0) for number in (1, 32)],
        Tensors(64, 4, rate, 9.0, 0),
        [Against("smallNORB on the CPU", 1, 8, rate, rate, 0.875, Split(0.1, 0.2, 1.5), 0)],
        {"mosec": "not installed; scripts/make-peers installs it"},
    )
    text = markdown(report)
    assert "| matcaps | 32 | 1234 (1000–1300) | 0.500 | 1.50 | 0 | 1.00× |" in text
    assert "| 88 % | 0.10 | 0.20 | 1.50 |" in text
    assert "* mosec: not installed" in text
    assert len(picture(report).axes) == 3
