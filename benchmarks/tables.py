"""Markdown tables, and how numbers and places are written in them."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """A Markdown table; columns from ``numbers`` on are aligned to the right."""
    rule = ["---" if column < numbers else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def short(number: float) -> str:
    """Three digits, or all before the point.

    >>> short(0.01234), short(4.56), short(123.4), short(1135.2)
    ('0.0123', '4.56', '123', '1135')
    """
    return f"{number:.0f}" if number >= 100 else f"{number:#.3g}"


def place(threads: int | None) -> str:
    """Where something ran: on ``threads`` threads of the CPU, or on the GPU (None).

    >>> place(1), place(2), place(None)
    ('1 thread', '2 threads', 'GPU')
    """
    return "GPU" if threads is None else f"{threads} thread{'s' if threads > 1 else ''}"
