"""Settings of the routing benchmark."""

import pytest

from benchmarks.routing.report import Settings


def test_routing_settings_reject_numbers_below_one() -> None:
    """The error names the setting and the value."""
    with pytest.raises(ValueError, match=r"batch must be at least 1, got \(8, 0\)"):
        Settings(batch=(8, 0))
    with pytest.raises(ValueError, match="threads must hold at least one value"):
        Settings(threads=())
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        Settings(rounds=0)
