"""The geometry of a routed layer as a module: its index tables move with the module's device."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from matcaps.kernels.windows import WindowTables as ArrayTables


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
    tables = ArrayTables.of(child_grid, kernel, stride)
    return WindowTables(
        child_grid,
        tables.parent_grid,
        tables.child_sites,
        tables.parent_sites,
        tables.positions,
        tables.reached_sites,
        torch.from_numpy(tables.seen),
        torch.from_numpy(tables.slots),
        torch.from_numpy(tables.windows_of_child),
        coordinates,
    )
