"""Which children each parent sees, compared with the definition of a strided window."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matcaps.model.windows import Windows
from tests.support.reference import windows_by_definition

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], int]:
    """A grid, a kernel that fits it, and any stride."""
    rows, columns = draw(SIZES)
    kernel = draw(st.tuples(st.integers(1, rows), st.integers(1, columns)))
    return (rows, columns), kernel, draw(st.integers(1, 5))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(geometries())
def test_parents_see_what_the_definition_says(
    geometry: tuple[tuple[int, int], tuple[int, int], int],
) -> None:
    """Each parent site sees the child sites of its window, row by row, and the counts follow from that."""
    grid, kernel, stride = geometry
    windows = Windows(grid, kernel, stride)
    expected = windows_by_definition(grid, kernel, stride)
    seen = [[row * grid[1] + column for row, column in sites] for sites in expected.values()]
    assert windows.seen.tolist() == seen
    assert windows.parent_grid == (len({row for row, _ in expected}), len({column for _, column in expected}))
    assert (windows.parent_sites, windows.positions) == (len(expected), kernel[0] * kernel[1])
    assert (windows.child_grid, windows.child_sites) == (grid, grid[0] * grid[1])
    counts = [sum(child in sites for sites in seen) for child in range(windows.child_sites)]
    assert windows.windows_of_child.tolist() == counts
    assert windows.reached_sites == sum(count > 0 for count in counts)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(geometries())
def test_slots_lead_back_to_every_parent_of_a_child(
    geometry: tuple[tuple[int, int], tuple[int, int], int],
) -> None:
    """A child's slots are all places that show it, each once; unused places have the number of slots."""
    windows = Windows(*geometry)
    shown = windows.seen.flatten().tolist()
    assert windows.slots.shape == (windows.child_sites, int(windows.windows_of_child.max()))
    for child, slots in enumerate(windows.slots.tolist()):
        places = [slot for slot, site in enumerate(shown) if site == child]
        assert sorted(slot for slot in slots if slot != len(shown)) == places
        assert slots.count(len(shown)) == len(slots) - len(places)


@pytest.mark.parametrize(
    ("grid", "kernel", "stride", "orphans"),
    [(14, 3, 2, 27), (12, 3, 2, 23), (6, 3, 1, 0), (4, 4, 1, 0), (5, 1, 2, 16), (7, 2, 3, 33)],
)
def test_a_stride_leaves_sites_without_a_window(grid: int, kernel: int, stride: int, orphans: int) -> None:
    """It leaves out the last row and column of an even grid, and steps over sites if the kernel is smaller."""
    windows = Windows((grid, grid), (kernel, kernel), stride)
    assert windows.child_sites - windows.reached_sites == orphans
    assert (windows.windows_of_child == 0).sum() == orphans


def test_tables_move_with_the_module_and_stay_out_of_checkpoints() -> None:
    """Geometry follows from the config: buffers move with the module and are not saved."""
    windows = Windows((3, 3), (2, 2), 1, torch.zeros(4, 2))
    assert set(dict(windows.named_buffers())) == {"seen", "slots", "windows_of_child", "coordinates"}
    assert not windows.state_dict()
    assert Windows((3, 3), (2, 2), 1).coordinates is None


@pytest.mark.parametrize(
    ("grid", "kernel", "stride"),
    [((0, 3), (1, 1), 1), ((3, 3), (1, 0), 1), ((3, 3), (1, 1), 0), ((3, -1), (1, 1), 2)],
)
def test_numbers_below_1_are_an_error_that_names_them(
    grid: tuple[int, int], kernel: tuple[int, int], stride: int
) -> None:
    """The error has the grid, the kernel and the stride."""
    with pytest.raises(ValueError, match="at least 1") as error:
        Windows(grid, kernel, stride)
    assert f"{grid}, {kernel}, {stride}" in str(error.value)


@pytest.mark.parametrize("kernel", [(4, 1), (1, 6), (4, 6)])
def test_a_window_larger_than_the_grid_is_an_error_that_names_both(kernel: tuple[int, int]) -> None:
    """The error has both sizes."""
    with pytest.raises(ValueError, match=rf"{kernel[0]}×{kernel[1]} window does not fit a 3×5 grid"):
        Windows((3, 5), kernel, 1)
