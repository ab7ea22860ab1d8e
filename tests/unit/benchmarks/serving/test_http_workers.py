"""The tables of ``python -m benchmarks.serving.http_workers``."""

from benchmarks.serving.http_workers import beside_others, of_gpu
from benchmarks.serving.wrk import Load


def loads(*per_s: int, refused: int = 0) -> list[Load]:
    """One load of a second for each rate."""
    return [Load(rate, 1.0, 2.0, 9.0, 12.0, refused, 0) for rate in per_s]


def cells(table: str) -> list[list[str]]:
    """The rows below the head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_servers_are_compared_with_as_many_workers_and_with_one() -> None:
    """Ratios are the medians of the rounds' ratios."""
    table = beside_others(
        {
            ("matcaps", 1): loads(100, 200, 300),
            ("other", 1): loads(50, 100, 100, refused=1),
            ("matcaps", 2): loads(200, 400, 600),
            ("other", 2): loads(50, 100, 100),
        }
    )
    assert cells(table) == [
        ["matcaps", "1", "200 (100–300)", "2.00", "0", "1.00×", "1.00×"],
        ["other", "1", "100 (50.0–100)", "2.00", "3", "2.00×", "1.00×"],
        ["matcaps", "2", "400 (200–600)", "2.00", "0", "1.00×", "2.00×"],
        ["other", "2", "100 (50.0–100)", "2.00", "0", "4.00×", "1.00×"],
    ]


def test_the_share_of_the_gpu_is_the_median() -> None:
    """9,000 pictures a second are all of it."""
    table = of_gpu({("matcaps", 1): loads(900, 1800, 2700), ("matcaps", 4): loads(9000, 9000, 9000)})
    assert cells(table) == [["1", "1800", "20 %", "0"], ["4", "9000", "100 %", "0"]]
