"""Settings of the training benchmark."""

from typing import Any

import pytest

from benchmarks.training.report import Settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipes": ("cifar",)}, "got cifar"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"threads": (0,)}, r"threads must be one or more numbers of at least 1, got \(0,\)"),
    ],
)
def test_training_settings_reject_what_cannot_be_measured(values: dict[str, Any], message: str) -> None:
    """The error names the setting and the value."""
    with pytest.raises(ValueError, match=message):
        Settings(**values)
