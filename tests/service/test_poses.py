"""What is kept by id, for how long, and how much of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UnknownError
from service.poses import KeptPoses
from tests.service.doubles import FakeClock


def test_kept_answers_are_found() -> None:
    """An answer is found under its id, again and again."""
    kept = KeptPoses(10, 60.0, FakeClock())
    kept.keep("a", "answer")
    assert [kept.find("a"), kept.find("a")] == ["answer", "answer"]


def test_unknown_ids_are_refused() -> None:
    """An id that was never given out is an error that says how long poses are kept."""
    with pytest.raises(UnknownError, match="60 s"):
        KeptPoses(10, 60.0, FakeClock()).find("b")


def test_answers_age() -> None:
    """An answer is there just before its time is over, and gone from then on."""
    clock = FakeClock()
    kept = KeptPoses(10, 60.0, clock)
    kept.keep("a", "answer")
    clock.now_s += 59.9
    assert kept.find("a") == "answer"
    clock.now_s += 0.1
    with pytest.raises(UnknownError):
        kept.find("a")
    assert len(kept) == 0


def test_nothing_is_kept_where_none_may_be() -> None:
    """With a bound of zero, nothing can be read by id."""
    kept = KeptPoses(0, 60.0, FakeClock())
    kept.keep("a", "answer")
    assert len(kept) == 0


@given(st.integers(0, 20), st.lists(st.integers(1, 8), max_size=20))
def test_samples_are_bounded(number: int, sizes: list[int]) -> None:
    """Never are more samples kept than may be, and those that are kept are the latest."""
    kept = KeptPoses(number, 60.0, FakeClock())
    for index, size in enumerate(sizes):
        kept.keep(str(index), size, samples=size)
    fitting = 0
    while fitting < len(sizes) and sum(sizes[len(sizes) - fitting - 1 :]) <= number:
        fitting += 1
    assert len(kept) == fitting
    for index in range(len(sizes) - fitting, len(sizes)):
        assert kept.find(str(index)) == sizes[index]
