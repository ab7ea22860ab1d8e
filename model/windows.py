"""The geometry of a routed layer: which children each parent sees."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class WindowTables(NamedTuple):
    """The windows through which parents see children, as index tables on one device.

    Every parent site sees ``positions`` child sites. A child site is in one or several windows. It is in none if the
    stride steps over it, or if the grid's last rows do not fill a window.
    """

    child_grid: tuple[int, int]
    parent_grid: tuple[int, int]
    child_sites: int
    parent_sites: int
    positions: int
    reached_sites: int
    """How many child sites are in a window."""
    seen: Int64[Tensor, "parent_site position"]
    """The child site at each position of each window."""
    slots: Int64[Tensor, "child_site window"]
    """The slots (parent_site · positions + position) of each child site; unused places have the number of slots."""
    windows_of_child: Int64[Tensor, " child_site"]
    """How many windows see each child site."""
    coordinates: Float[Tensor, "position 2"] | None
    """One (row, column) for each position, added to its votes, or None."""


class Windows(nn.Module):
    """The windows of a layer whose grid is fixed, as tables that move with the module's device.

    Args:
        child_grid: Rows and columns of the children.
        kernel: Rows and columns of a window.
        stride: Step between windows, in child sites; may exceed the kernel.
        coordinates: One (row, column) for each position, added to its votes, or None.

    Raises:
        ValueError: No window fits the grid, or a number is below 1.
    """

    seen: Tensor
    slots: Tensor
    windows_of_child: Tensor
    coordinates: Tensor | None

    def __init__(
        self,
        child_grid: tuple[int, int],
        kernel: tuple[int, int],
        stride: int,
        coordinates: Float[Tensor, "position 2"] | None = None,
    ) -> None:
        super().__init__()
        tables = window_tables(child_grid, kernel, stride, coordinates)
        self.child_grid, self.parent_grid = tables.child_grid, tables.parent_grid
        self.kernel, self.stride = kernel, stride
        self.child_sites, self.parent_sites = tables.child_sites, tables.parent_sites
        self.positions, self.reached_sites = tables.positions, tables.reached_sites
        for name in ("seen", "slots", "windows_of_child", "coordinates"):
            self.register_buffer(name, getattr(tables, name), persistent=False)


Geometry = Windows | WindowTables


def even_mass(windows: Geometry, child_types: int, competing_types: int) -> float:
    """The mass of a parent if fully active children were shared evenly: children / parents that compete."""
    return windows.reached_sites * child_types / (windows.parent_sites * competing_types)


def window_tables(
    child_grid: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    coordinates: Float[Tensor, "position 2"] | None = None,
) -> WindowTables:
    """The tables on the CPU. Arguments and errors are those of ``Windows``.

    >>> window_tables((1, 3), (1, 2), 1).seen
    tensor([[0, 1],
            [1, 2]])
    """
    if min(*child_grid, *kernel, stride) < 1:
        raise ValueError(f"grid, kernel and stride must be at least 1, found {child_grid}, {kernel}, {stride}")
    rows, columns = ((size - extent) // stride + 1 for size, extent in zip(child_grid, kernel, strict=True))
    if rows < 1 or columns < 1:
        raise ValueError(f"a {kernel[0]}×{kernel[1]} window does not fit a {child_grid[0]}×{child_grid[1]} grid")
    child_sites, parent_sites = child_grid[0] * child_grid[1], rows * columns
    positions = kernel[0] * kernel[1]

    grid = torch.arange(child_sites).view(child_grid)
    windows = grid.unfold(0, kernel[0], stride).unfold(1, kernel[1], stride)
    children = windows.reshape(parent_sites, positions)
    counts = torch.bincount(children.flatten(), minlength=child_sites)

    # Slots sorted by their child site form one run for each child site.
    order = children.flatten().argsort(stable=True)
    begins = counts.cumsum(0) - counts
    place = torch.arange(int(counts.max()))
    used = place < counts[:, None]
    unused = children.numel()
    slots = torch.where(used, order[(begins[:, None] + place).clamp_max(unused - 1)], unused)

    return WindowTables(
        child_grid,
        (rows, columns),
        child_sites,
        parent_sites,
        positions,
        int((counts > 0).sum()),
        children,
        slots,
        counts,
        coordinates,
    )
