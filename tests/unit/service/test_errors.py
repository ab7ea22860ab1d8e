"""The tree of errors."""

from matcaps.service import errors
from matcaps.service.errors import STATUS, ServiceError

CASES = ServiceError.__subclasses__()


def test_the_drawing_names_every_error() -> None:
    """The module's docstring is complete, and names nothing else."""
    drawing = errors.__doc__ or ""
    drawn = {line.split()[1] for line in drawing.splitlines() if line.startswith(("├── ", "└── "))}
    assert drawn == {case.__name__ for case in CASES}


def test_every_error_has_a_status() -> None:
    """It is one of the client or one that says to try again: no request is answered with 500."""
    assert set(STATUS) == set(CASES)
    assert all(400 <= status < 500 or status in (503, 504) for status in STATUS.values())
