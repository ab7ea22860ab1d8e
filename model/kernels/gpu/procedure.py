"""The forward pass: Procedure 1 as launches of kernels, one piece of the batch after the other.

On a GPU ``weighings`` are log r, and a parent's unit is stored as its logarithm: neither can underflow.
"""

import torch
from torch import Tensor

from matcaps.model.kernels.gpu import children, parents, passes
from matcaps.model.kernels.gpu.piece import Piece, pack, pieces
from matcaps.model.kernels.layer import ROWS_OF_A_GAUSSIAN, Inputs, Layer, Results

SAMPLE = 8
"""The first centre is the mean of each eighth child type of a position."""


def forward(layer: Layer, inputs: Inputs, results: Results) -> None:
    """Fill the results of a batch."""
    poses, activations, weights, beta_u, beta_a = inputs
    parent_types, packed = weights.shape[2], pack(weights)
    sites = len(layer.seen)
    if layer.iterations == 1 and results.assignments.numel():
        shares = 1 / (layer.windows_of_child[layer.seen] * layer.competing_types).to(poses.dtype)
        results.assignments.copy_(shares[:, :, None, None].expand_as(results.assignments))
    for some in pieces(layer, poses, packed.shape[3]):
        piece = Piece(layer, poses[some], activations[some], packed, parent_types)
        assignments = results.assignments[some] if results.assignments.numel() else results.assignments
        if results.gaussians.numel():
            gaussians = results.gaussians[:, some]
            masses = list(results.weighings[:, some])
        else:
            gaussians = piece.table(layer.iterations, ROWS_OF_A_GAUSSIAN).unflatten(1, (-1, sites))
            masses = [piece.table(piece.children)] * (layer.iterations - 1)
        _route(piece, beta_u, beta_a, gaussians, masses, assignments)
        last = gaussians[-1, ..., :parent_types]
        results.logits[some] = last[:, :, ROWS_OF_A_GAUSSIAN - 1]
        results.means[some] = last[:, :, :16].transpose(2, 3).unflatten(3, (4, 4))


def _route(
    piece: Piece, beta_u: Tensor, beta_a: Tensor, gaussians: Tensor, masses: list[Tensor], assignments: Tensor
) -> None:
    """Fill the Gaussians of each iteration, and log r of each but the first; ``masses`` may repeat one table."""
    iterations = piece.layer.iterations
    far = torch.empty(piece.rows, piece.lanes, dtype=torch.int32, device=piece.poses.device)
    given = piece.sums, piece.coefficients, far, beta_u, beta_a
    for iteration in range(iterations):
        # M-step, with sums around the means of the iteration before; in the first, around the means of a sample.
        now, weighing, of_children = gaussians[iteration], passes.ROUTED, masses[iteration - 1] if masses else far
        if iteration == 0:
            weighing = passes.EVEN
            piece.moments(weighing, of_children, now, None, step=SAMPLE)
            _fit(piece, iteration, now, None, *given)
            centres = now
        else:
            _choose_units(piece, of_children, now)
            centres = gaussians[iteration - 1]
        piece.moments(weighing, of_children, now, centres)
        _fit(piece, iteration, now, centres, *given)
        # Again for parents whose mean is far from the centre. The kernels find them, without a copy to the host.
        piece.moments(weighing, of_children, now, now, far)
        _fit(piece, iteration, now, now, *given, repeated=True)
        if iteration == iterations - 1:
            return

        # E-step
        scores = masses[iteration]
        piece.quadratics(passes.GIVEN, scores, now, scores)
        last = iteration == iterations - 2
        contests = piece.blocks if piece.by_type else 1
        children.compete[*piece.children_grid, contests](
            *(scores, piece.log_activations, *piece.windows, assignments),
            *(piece.sites, piece.child_sites, piece.windows_at_most, piece.parent_types),
            **piece.window,
            assigned=last and assignments.numel() > 0,
            by_type=piece.by_type,
            block=piece.block,
            **piece.children_tile,
        )


def _choose_units(piece: Piece, masses: Tensor, gaussians: Tensor) -> None:
    chunk = 1024 // piece.block
    parents.units[piece.rows, piece.blocks](masses, gaussians, piece.children, piece.lanes, chunk, piece.block)


def _fit(
    piece: Piece,
    iteration: int,
    gaussians: Tensor,
    centres: Tensor | None,
    sums: Tensor,
    coefficients: Tensor,
    far: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    *,
    repeated: bool = False,
) -> None:
    parents.fit[piece.parents_grid](
        *(sums, gaussians if centres is None else centres, gaussians, coefficients, far, beta_u, beta_a),
        *(piece.segments, piece.rows, piece.parent_types),
        **piece.constants(iteration),
        lanes=piece.lanes,
        even=iteration == 0,
        centred=centres is not None,
        repeated=repeated,
        **piece.parents_tile,
    )
