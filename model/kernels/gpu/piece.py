"""A piece: some images of a batch, with the tables, tiles and launch grids of the kernels, and the two passes."""

from collections.abc import Iterator
from typing import Any

import triton
from torch import Tensor

from matcaps.kernels.library import padded
from matcaps.model.kernels.gpu import passes
from matcaps.model.kernels.layer import Layer
from matcaps.model.routing.eager import SMALLEST_ACTIVATION

LARGEST_TABLE = 2**25
"""Elements of [row, child, lane] that a piece may have: 128 MiB in float32. A backward holds one per iteration."""

# Tiles of child and parent pairs, chosen by the compiler's report for an H100. Two pairs a thread take 200 registers in
# `moments`, four take 255 in `vote_gradients`, with hardly any spilled. Eight warps fit a multiprocessor in both.
PAIRS, PAIRS_OF_VOTE_GRADIENTS, WARPS = 256, 512, 4
PROGRAMS = 1024
"""Programs of a launch, if there is enough work: four rounds of an H100."""
FEWEST = 16
"""Fewest children or rows of a segment, so that there are few partial sums."""


class Piece:
    """Consecutive images; all tensors are contiguous, and weights are packed by ``pack``."""

    def __init__(self, layer: Layer, poses: Tensor, activations: Tensor, weights: Tensor, parent_types: int) -> None:
        self.layer, self.poses, self.weights, self.parent_types = layer, poses, weights, parent_types
        images, self.child_sites, self.child_types = activations.shape
        self.sites, self.positions = layer.seen.shape
        self.rows, self.children = images * self.sites, self.positions * self.child_types
        self.lanes = weights.shape[3]
        self.block = next(size for size in (32, 16, 8, 4) if self.lanes % size == 0)
        self.blocks = self.lanes // self.block

        alive = activations.clamp_min(SMALLEST_ACTIVATION)
        self.log_activations = alive.log()
        self.even = alive / (layer.windows_of_child.clamp_min(1) * layer.competing_types)[:, None]
        """r of the first iteration; without meaning for a child without parents."""

        rows = PAIRS // self.block
        tiles = triton.cdiv(self.rows, rows) * self.blocks
        self.segments, span = cut(self.children, tiles)
        self._grid = triton.cdiv(self.rows, rows), self.blocks, self.segments
        self._sizes = self.rows, self.sites, self.child_sites, span
        self._tile = {"rows": rows, "block": self.block, "num_warps": WARPS}
        self.window = {"positions": self.positions, "child_types": self.child_types, "lanes": self.lanes}
        self.geometry = {**self.window, "sets": weights.shape[0], "located": layer.coordinates is not None}
        self.children_given = (
            poses,
            weights,
            poses if layer.coordinates is None else layer.coordinates,
            layer.seen,
            self.even,
        )
        self.sums = self.table(self.segments, 33)
        """Of ``moments``: [segment, row, 33, lane]."""
        self.coefficients = self.table(33)
        """For ``quadratics``: [row, 33, lane]."""

        # One warp: it writes the numbers of the parents that it read.
        few = 64 // self.block
        self.parents_tile = {"rows": few, "block": self.block, "num_warps": 1}
        self.parents_grid = triton.cdiv(self.rows, few), self.blocks

        # No more threads than elements: of two threads with one element, one could read what the other has written.
        types = min(32, triton.next_power_of_2(self.child_types))
        self.children_tile = {"types": types, "num_warps": max(1, min(4, types * self.block // 128))}
        self.children_grid = images * self.child_sites, triton.cdiv(self.child_types, types)
        self.by_type = layer.competing_types < parent_types
        """Whether the parents of each type compete by themselves."""
        self.windows = layer.slots, layer.windows_of_child
        self.windows_at_most = layer.slots.shape[1]

    def table(self, *numbers: int) -> Tensor:
        """An unfilled table [row, number, lane], with leading axes if more numbers are given."""
        *leading, last = numbers
        return self.poses.new_empty(*leading, self.rows, last, self.lanes)

    def constants(self, iteration: int) -> dict[str, float]:
        """Constants of the routing for the kernels of parents."""
        return {
            "inverse_temperature": self.layer.inverse_temperature(iteration),
            "mass_unit": self.layer.mass_unit,
            "density_temperature": self.layer.density_temperature,
            "variance_floor": self.layer.variance_floor,
        }

    def moments(
        self,
        weighing: Any,
        masses: Tensor,
        gaussians: Tensor,
        centres: Tensor | None,
        far: Tensor | None = None,
        *,
        step: int = 1,
    ) -> None:
        """Fill ``sums``; if ``far`` is given, only in tiles in which it marks a parent."""
        passes.moments[self._grid](
            *self.children_given,
            masses,
            gaussians,
            gaussians if centres is None else centres,
            gaussians if far is None else far,
            self.sums,
            *self._sizes,
            **self.geometry,
            weighing=weighing.value,
            centred=centres is not None,
            repeated=far is not None,
            step=step,
            **self._tile,
        )

    def quadratics(self, weighing: Any, masses: Tensor, gaussians: Tensor, found: Tensor) -> None:
        """Fill [row, child, lane] from ``coefficients``."""
        passes.quadratics[self._grid](
            *self.children_given,
            masses,
            gaussians,
            self.coefficients,
            found,
            *self._sizes,
            **self.geometry,
            weighing=weighing.value,
            **self._tile,
        )


def cut(length: int, tiles: int) -> tuple[int, int]:
    """Number and length of segments: enough for ``PROGRAMS`` programs, but none shorter than ``FEWEST``."""
    span = triton.cdiv(length, max(1, min(PROGRAMS // tiles, length // FEWEST)))
    return triton.cdiv(length, span), span


def pieces(layer: Layer, poses: Tensor, lanes: int) -> Iterator[slice]:
    """Even runs of images, each with tables of ``LARGEST_TABLE`` elements at most, or one image."""
    images, child_sites, child_types = poses.shape[:3]
    sites, positions = layer.seen.shape
    of_an_image = sites * lanes * max(positions * child_types, 64 * layer.iterations)  # the largest table
    number = min(images, triton.cdiv(images * max(of_an_image, child_sites * child_types * 16), LARGEST_TABLE))
    for index in range(number):
        yield slice(images * index // number, images * (index + 1) // number)


def pack(weights: Tensor) -> Tensor:
    """[position or 1, child type, 16, lane] of weights [position or 1, child type, parent type, 4, 4]."""
    sets, child_types, parent_types = weights.shape[:3]
    packed = weights.new_zeros(sets, child_types, 16, padded(parent_types))
    packed[..., :parent_types] = weights.flatten(3).transpose(2, 3)
    return packed
