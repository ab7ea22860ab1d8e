"""The geometry of a routed layer: which children each parent sees, as index tables."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WindowTables:
    """The windows through which parents see children.

    Every parent site sees ``positions`` child sites. A child site is in one or several windows. It is in none if the
    stride steps over it, or if the grid's last rows do not fill a window.
    """

    child_grid: tuple[int, int]
    parent_grid: tuple[int, int]
    seen: NDArray[np.int64]
    """[parent site, position]: the child site at each position of each window."""
    slots: NDArray[np.int64]
    """[child site, window]: the slots (parent_site · positions + position) of each child site; unused places have the
    number of slots."""
    windows_of_child: NDArray[np.int64]
    """[child site]: how many windows see each child site."""

    @classmethod
    def of(cls, child_grid: tuple[int, int], kernel: tuple[int, int], stride: int) -> Self:
        """The tables of a grid.

        Args:
            child_grid: Rows and columns of the children.
            kernel: Rows and columns of a window.
            stride: Step between windows, in child sites; may exceed the kernel.

        Raises:
            ValueError: No window fits the grid, or a number is below 1.
        """
        if min(*child_grid, *kernel, stride) < 1:
            raise ValueError(f"grid, kernel and stride must be at least 1, found {child_grid}, {kernel}, {stride}")
        if any(extent > size for extent, size in zip(kernel, child_grid, strict=True)):
            raise ValueError(f"a {kernel[0]}×{kernel[1]} window does not fit a {child_grid[0]}×{child_grid[1]} grid")
        grid = np.arange(child_grid[0] * child_grid[1], dtype=np.int64).reshape(child_grid)
        windows = np.lib.stride_tricks.sliding_window_view(grid, kernel)[::stride, ::stride]
        rows, columns = windows.shape[:2]
        seen = windows.reshape(rows * columns, kernel[0] * kernel[1]).copy()
        counts = np.bincount(seen.ravel(), minlength=grid.size)

        # Slots sorted by their child site form one run for each child site.
        order = seen.ravel().argsort(kind="stable")
        begins = counts.cumsum() - counts
        place = np.arange(counts.max())
        unused = seen.size
        slots = np.where(
            place < counts[:, None], order[np.minimum(begins[:, None] + place, unused - 1)], np.int64(unused)
        )
        return cls(child_grid, (rows, columns), seen, slots, counts)

    @property
    def child_sites(self) -> int:
        return len(self.slots)

    @property
    def parent_sites(self) -> int:
        return len(self.seen)

    @property
    def positions(self) -> int:
        return int(self.seen.shape[1])

    @property
    def reached_sites(self) -> int:
        """How many child sites any window sees."""
        return int((self.windows_of_child > 0).sum())


class Sites(Protocol):
    """The numbers of sites of a layer, as ``WindowTables`` and the windows of ``matcaps.model`` have them."""

    @property
    def parent_sites(self) -> int: ...

    @property
    def reached_sites(self) -> int: ...


def even_mass(windows: Sites, child_types: int, competing_types: int) -> float:
    """The mass of a parent if fully active children were shared evenly: children / parents that compete."""
    return windows.reached_sites * child_types / (windows.parent_sites * competing_types)
