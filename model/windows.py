"""The geometry of a routed layer as a module: its index tables move with the module's device."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from matcaps.kernels.windows import WindowTables


class Windows(nn.Module):
    """The windows through which parents see children; ``matcaps.kernels.windows`` explains them.

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
        tables = self.tables = WindowTables.of(child_grid, kernel, stride)
        self.child_grid, self.parent_grid = child_grid, tables.parent_grid
        self.kernel, self.stride = kernel, stride
        self.child_sites, self.parent_sites, self.positions = tables.child_sites, tables.parent_sites, tables.positions
        self.reached_sites = tables.reached_sites
        self.register_buffer("seen", torch.from_numpy(tables.seen), persistent=False)
        self.register_buffer("slots", torch.from_numpy(tables.slots), persistent=False)
        self.register_buffer("windows_of_child", torch.from_numpy(tables.windows_of_child), persistent=False)
        self.register_buffer("coordinates", coordinates, persistent=False)

    def mass_unit(self, child_types: int, competing_types: int) -> float:
        """The mass of a parent if fully active children were shared evenly: children / parents that compete."""
        return self.tables.mass_unit(child_types, competing_types)
