"""Capsule layers for a network of your own: they take a grid of any size and find their geometry when called."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from operator import index
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from matcaps.model.capsules import CapsuleGrid, Parents
from matcaps.model.config import RoutingConfig
from matcaps.model.windows import WindowTables, window_tables

DEFAULT_ROUTING = RoutingConfig()


class ClassCapsules(NamedTuple):
    """The capsules of the classes."""

    logits: Float[Tensor, "batch class"]
    """Of the activations; a loss with logarithms takes these."""
    activations: Float[Tensor, "batch class"]
    poses: Float[Tensor, "batch class 4 4"]
    assignments: Float[Tensor, "batch row column type class"] | None = None
    """R_ij of each child in the last iteration, if asked for; they sum to 1 over classes."""


class ConvCaps(Parents):
    """Parents at each place of a kernel that slides over a grid of capsules, by EM routing (paper, sections 3 and 4).

    Each parent sees the children in its window and no padding. Children that no window reaches change nothing.

    Args:
        in_types: Capsule types of the grid below.
        out_types: Capsule types of this layer.
        kernel: Rows and columns of a window, in sites of the grid below. One number stands for both.
        stride: Step between windows in both directions, in sites of the grid below.
        routing: The constants of EM routing.

    Attributes:
        weights: W_ij, [position, in_types, out_types, 4, 4], a position for each place of the kernel, row by row.
        beta_u: β_u, [out_types].
        beta_a: β_a, [out_types].

    Raises:
        ValueError: A number is below 1; or the grid of a call has other types, is smaller than the kernel, has tensors
            of other shapes, is not floating point or is on another device.

    Under autocast routing stays in float32. Elements that are not finite are not looked for, and spread.

    >>> layer = ConvCaps(in_types=8, out_types=16, kernel=3, stride=2)
    >>> children = CapsuleGrid(torch.rand(2, 9, 12, 8), torch.randn(2, 9, 12, 8, 4, 4))
    >>> parents = layer(children, assignments=True)
    >>> parents.activations.shape, parents.poses.shape
    (torch.Size([2, 4, 5, 16]), torch.Size([2, 4, 5, 16, 4, 4]))
    >>> parents.assignments.shape
    torch.Size([2, 4, 5, 9, 8, 16])
    """

    def __init__(
        self,
        in_types: int,
        out_types: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        *,
        routing: RoutingConfig = DEFAULT_ROUTING,
    ) -> None:
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        if min(in_types, out_types, rows, columns, stride) < 1:
            raise ValueError(
                "ConvCaps needs types, kernel and stride of at least 1, "
                f"got in_types={in_types}, out_types={out_types}, kernel={kernel}, stride={stride}"
            )
        super().__init__(rows * columns, in_types, out_types, routing)
        self.kernel, self.stride = (rows, columns), stride

    def forward(self, children: CapsuleGrid, *, assignments: bool = False) -> CapsuleGrid:
        """The parents of a grid of children.

        Args:
            children: At least as many rows and columns as the kernel has.
            assignments: Whether the result must have assignments.
        """
        rows, columns = _check(self, children, self.kernel)
        windows = _windows(rows, columns, self.kernel, self.stride, None, self.weights.device)
        routed = self.fit(children.flat(), windows, assignments=assignments)
        shares = None
        if assignments and routed.assignments is not None:
            shares = routed.assignments.unflatten(1, windows.parent_grid)
        return CapsuleGrid(
            routed.activation_logits.sigmoid().unflatten(1, windows.parent_grid),
            routed.poses.unflatten(1, windows.parent_grid),
            shares,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, kernel={self.kernel}, stride={self.stride}"


class ClassCaps(Parents):
    """One parent for each class, which sees the whole grid, by EM routing (paper, sections 3 and 4).

    All sites share their weights. Coordinate addition tells the sites apart: each vote gets the row and the column of
    its site added to the last elements of its first two rows, as fractions of the image (section 4.1).

    Args:
        in_types: Capsule types of the grid below.
        classes: Number of classes.
        coordinate_addition: Whether votes get coordinates.
        centres: Centre of the first site's receptive field and the step to the next one's, as fractions of the image.
            By default the sites divide the image evenly: (row + ½) / rows and (column + ½) / columns.
        routing: The constants of EM routing. Classes always compete for each child, whatever ``competition`` says.

    Attributes:
        weights: W_ij, [1, in_types, classes, 4, 4].
        beta_u: β_u, [classes].
        beta_a: β_a, [classes].

    Raises:
        ValueError: A number is below 1; or the grid of a call has other types, has no sites, has tensors of other
            shapes, is not floating point or is on another device.

    Under autocast routing stays in float32. Elements that are not finite are not looked for, and spread.

    >>> layer = ClassCaps(in_types=16, classes=10)
    >>> found = layer(CapsuleGrid(torch.rand(2, 4, 5, 16), torch.randn(2, 4, 5, 16, 4, 4)), assignments=True)
    >>> found.logits.shape, found.activations.shape, found.poses.shape
    (torch.Size([2, 10]), torch.Size([2, 10]), torch.Size([2, 10, 4, 4]))
    >>> found.assignments.shape
    torch.Size([2, 4, 5, 16, 10])
    """

    def __init__(
        self,
        in_types: int,
        classes: int,
        *,
        coordinate_addition: bool = True,
        centres: tuple[float, float] | None = None,
        routing: RoutingConfig = DEFAULT_ROUTING,
    ) -> None:
        if min(in_types, classes) < 1:
            raise ValueError(f"ClassCaps needs types and classes of at least 1, got {in_types} and {classes}")
        super().__init__(1, in_types, classes, replace(routing, competition="parents"))
        self.coordinate_addition, self.centres = coordinate_addition, centres

    def forward(self, children: CapsuleGrid, *, assignments: bool = False) -> ClassCapsules:
        """The classes of a grid of children.

        Args:
            children: At least one row and one column.
            assignments: Whether the result must have assignments.
        """
        rows, columns = _check(self, children, (1, 1))
        spacing = None
        if self.coordinate_addition:
            spacing = tuple(self.centres or (0.5 / sites, 1.0 / sites) for sites in (rows, columns))
        windows = _windows(rows, columns, (rows, columns), 1, spacing, self.weights.device)
        routed = self.fit(children.flat(), windows, assignments=assignments)
        logits = routed.activation_logits.squeeze(1)
        shares = None
        if assignments and routed.assignments is not None:
            shares = routed.assignments.squeeze(1).unflatten(1, (rows, columns))
        return ClassCapsules(logits, logits.sigmoid(), routed.poses.squeeze(1), shares)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, coordinate_addition={self.coordinate_addition}, centres={self.centres}"


def _check(layer: Parents, children: CapsuleGrid, smallest: tuple[int, int]) -> tuple[int, int]:
    """The rows and columns of the children.

    Raises:
        ValueError: They do not fit the layer.
    """
    name, types, device = type(layer).__name__, layer.weights.shape[1], layer.weights.device
    if not isinstance(children, CapsuleGrid):
        raise ValueError(f"{name} takes a CapsuleGrid, got {type(children).__name__}")
    poses, activations = children.poses, children.activations
    if poses.dim() != 6 or poses.shape[3:] != (types, 4, 4):
        raise ValueError(f"{name} takes poses [batch, rows, columns, {types}, 4, 4], got {list(poses.shape)}")
    if activations.shape != poses.shape[:4]:
        raise ValueError(f"{name} takes activations {list(poses.shape[:4])}, got {list(activations.shape)}")
    for part, tensor in (("poses", poses), ("activations", activations)):
        if not tensor.is_floating_point() or tensor.device != device:
            raise ValueError(f"{name} takes floating-point {part} on {device}, got {tensor.dtype} on {tensor.device}")
    rows, columns = poses.shape[1:3]
    if rows < smallest[0] or columns < smallest[1]:
        raise ValueError(f"{name} takes a grid of at least {smallest[0]}×{smallest[1]} sites, got {rows}×{columns}")
    # index() makes a number of a size that torch.compile holds free.
    return index(rows), index(columns)


Spacing = tuple[tuple[float, float], ...]


def _windows(
    rows: int, columns: int, kernel: tuple[int, int], stride: int, spacing: Spacing | None, device: torch.device
) -> WindowTables:
    """The tables of a geometry on a device. All layers and all copies of a layer share them.

    Args:
        spacing: Centre of the first site and step to the next one, for rows and for columns, or None.
    """
    return _cached_windows((rows, columns), kernel, stride, spacing, device)


# Has the effect of torch.compiler.assume_constant_result: the tables are constants of a compiled graph.
_windows._dynamo_marked_constant = True  # type: ignore[attr-defined]


@lru_cache(maxsize=256)
def _cached_windows(
    grid: tuple[int, int], kernel: tuple[int, int], stride: int, spacing: Spacing | None, device: torch.device
) -> WindowTables:
    # In a thread, which has no mode of the caller: tables made in inference mode could not be used in training, and
    # those made while a graph is exported would have no values.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_find_windows, grid, kernel, stride, spacing, device).result()


def _find_windows(
    grid: tuple[int, int], kernel: tuple[int, int], stride: int, spacing: Spacing | None, device: torch.device
) -> WindowTables:
    coordinates = None
    if spacing:
        sites = [torch.arange(number, dtype=torch.float64) for number in grid]
        centres = [first + site * step for site, (first, step) in zip(sites, spacing, strict=True)]
        coordinates = torch.cartesian_prod(*centres).float()
    tables = window_tables(grid, kernel, stride, coordinates)
    return tables._replace(
        seen=tables.seen.to(device),
        slots=tables.slots.to(device),
        windows_of_child=tables.windows_of_child.to(device),
        coordinates=None if coordinates is None else coordinates.to(device),
    )
