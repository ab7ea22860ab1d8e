"""The geometry of a routed layer: which children each parent sees."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class Windows(nn.Module):
    """The windows through which parents see children, as index tables that move with the module's device.

    Every parent site sees ``positions`` child sites. A child site is in one or several windows. It is in none if the
    stride steps over it, or if the grid's last rows do not fill a window.

    Args:
        child_grid: Rows and columns of the children.
        kernel: Rows and columns of a window.
        stride: Step between windows, in child sites; may exceed the kernel.
        coordinates: One (row, column) for each position, added to its votes, or None.

    Raises:
        ValueError: No window fits the grid, or a number is below 1.
    """

    seen: Int64[Tensor, "parent_site position"]
    """The child site at each position of each window."""
    slots: Int64[Tensor, "child_site window"]
    """The slots (parent_site · positions + position) of each child site; unused places have the number of slots."""
    windows_of_child: Int64[Tensor, " child_site"]
    """How many windows see each child site."""
    coordinates: Float[Tensor, "position 2"] | None

    def __init__(
        self,
        child_grid: tuple[int, int],
        kernel: tuple[int, int],
        stride: int,
        coordinates: Float[Tensor, "position 2"] | None = None,
    ) -> None:
        super().__init__()
        if min(*child_grid, *kernel, stride) < 1:
            raise ValueError(f"grid, kernel and stride must be at least 1, found {child_grid}, {kernel}, {stride}")
        rows, columns = ((size - extent) // stride + 1 for size, extent in zip(child_grid, kernel, strict=True))
        if rows < 1 or columns < 1:
            raise ValueError(f"a {kernel[0]}×{kernel[1]} window does not fit a {child_grid[0]}×{child_grid[1]} grid")
        self.child_grid, self.parent_grid = child_grid, (rows, columns)
        self.kernel, self.stride = kernel, stride
        self.child_sites, self.parent_sites = child_grid[0] * child_grid[1], rows * columns
        self.positions = kernel[0] * kernel[1]

        grid = torch.arange(self.child_sites).view(child_grid)
        windows = grid.unfold(0, kernel[0], stride).unfold(1, kernel[1], stride)
        children = windows.reshape(self.parent_sites, self.positions)
        counts = torch.bincount(children.flatten(), minlength=self.child_sites)
        self.reached_sites = int((counts > 0).sum())

        # Slots sorted by their child site form one run for each child site.
        order = children.flatten().argsort(stable=True)
        begins = counts.cumsum(0) - counts
        place = torch.arange(int(counts.max()))
        used = place < counts[:, None]
        unused = children.numel()
        slots = torch.where(used, order[(begins[:, None] + place).clamp_max(unused - 1)], unused)

        self.register_buffer("seen", children, persistent=False)
        self.register_buffer("slots", slots, persistent=False)
        self.register_buffer("windows_of_child", counts, persistent=False)
        self.register_buffer("coordinates", coordinates, persistent=False)

    def mass_unit(self, child_types: int, competing_types: int) -> float:
        """The mass of a parent if fully active children were shared evenly: children / parents that compete."""
        return self.reached_sites * child_types / (self.parent_sites * competing_types)
