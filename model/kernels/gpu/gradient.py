"""The backward pass: from the last iteration to the first, as launches of kernels, piece by piece of the batch.

q is the gradient of log r, e that of a log-density over its temperature, w = r / S:
  M-step  q = w (Σ_h o_h (gμ_h + gσ²_h o_h) − Σ_h gσ²_h σ²_h + S gS),  o = v − μ
  E-step  e = (q − R Σ q) / temperature, Σ over competing parents;  Σ e, Σ e o and Σ e o² give the gradients of logit,
          μ and σ²
  votes   Σ_t w_t (gμ_t + 2 gσ²_t o_t) − Σ_t e_t o_(t−1) / σ²_(t−1)
"""

import torch
import triton
from torch import Tensor

from matcaps.model.kernels.gpu import children, parents, passes, vote_gradients
from matcaps.model.kernels.gpu.piece import PAIRS_OF_VOTE_GRADIENTS, Piece, cut, pack, pieces
from matcaps.model.kernels.layer import InputGradients, Inputs, Kept, Layer, ResultGradients
from matcaps.model.routing.eager import SMALLEST_ACTIVATION


def backward(
    layer: Layer,
    inputs: Inputs,
    kept: Kept,
    given: ResultGradients,
    gradients: InputGradients,
) -> None:
    """Fill the gradients of a batch from those of the results and from what ``forward`` kept."""
    poses, activations, weights, beta_u, _ = inputs
    weighings, gaussians = kept
    parent_types, packed = weights.shape[2], pack(weights)
    of_weights, of_betas = torch.zeros_like(packed), packed.new_zeros(2, packed.shape[3])
    iterations, lanes = layer.iterations, packed.shape[3]
    for some in pieces(layer, poses, lanes):
        piece = Piece(layer, poses[some], activations[some], packed, parent_types)
        errors = piece.table(iterations, piece.children)
        terms = piece.table(16 * (4 * iterations - 1) + iterations)
        betas = piece.table(iterations, 2)
        masses = weighings[:, some] if iterations > 1 else errors
        for iteration in reversed(range(iterations)):
            now, last = gaussians[iteration, some], gaussians[-1, some]
            if iteration < iterations - 1:
                piece.moments(passes.GIVEN, errors[iteration + 1], now, now)
            parents.differentiate_fit[piece.parents_grid](
                *(given.logits[some], given.means[some], piece.sums, now, last),
                *(piece.coefficients, terms, betas[iteration], beta_u, piece.segments, piece.rows, parent_types),
                **piece.constants(iteration),
                lanes=lanes,
                iteration=iteration,
                iterations=iterations,
                **piece.parents_tile,
            )
            weighing, of_children = (passes.ROUTED, masses[iteration - 1]) if iteration else (passes.EVEN, errors[0])
            piece.quadratics(weighing, of_children, now, errors[iteration])
            assigned = given.assignments is not None and iteration == iterations - 1 > 0
            children.differentiate_competition[piece.children_grid](
                *(errors[iteration], of_children, piece.log_activations),
                errors if given.assignments is None else given.assignments[some],
                *(gradients.activations[some], *piece.windows),
                *(piece.sites, piece.child_sites, piece.windows_at_most, parent_types),
                density_temperature=layer.density_temperature,
                **piece.window,
                first_iteration=iteration == 0,
                last_iteration=iteration == iterations - 1,
                assigned=assigned,
                by_type=piece.by_type,
                block=piece.block,
                **piece.children_tile,
            )
        of_weights += _differentiate_votes(piece, masses, errors[1:], terms, gradients.poses[some])
        of_betas += betas.sum((0, 1))
    # So far these are gradients of log a. An activation below the logarithm's lower bound has none.
    alive = activations >= SMALLEST_ACTIVATION
    gradients.activations.copy_(torch.where(alive, gradients.activations / activations, 0.0))
    gradients.weights.copy_(of_weights[..., :parent_types].transpose(2, 3).unflatten(3, (4, 4)))
    gradients.beta_u.copy_(of_betas[0, :parent_types])
    gradients.beta_a.copy_(of_betas[1, :parent_types])


def _differentiate_votes(piece: Piece, masses: Tensor, errors: Tensor, terms: Tensor, poses_gradient: Tensor) -> Tensor:
    """Fill the gradient of poses and return the gradient of packed weights."""
    types = min(triton.next_power_of_2(piece.child_types), PAIRS_OF_VOTE_GRADIENTS // piece.block)
    programs = piece.positions * triton.cdiv(piece.child_types, types)
    segments, span = cut(piece.rows, programs * piece.blocks)
    slot_poses = piece.poses.new_empty(piece.blocks, piece.rows, piece.children, 16)
    found = piece.poses.new_empty(segments, piece.positions, piece.child_types, 16, piece.lanes)
    vote_gradients.vote_gradients[programs, piece.blocks, segments](
        *(*piece.children_given, masses, errors, terms, slot_poses, found),
        *(piece.rows, piece.sites, piece.child_sites, span),
        *(masses.stride(0) // piece.lanes, errors.stride(0) // piece.lanes),
        **piece.geometry,
        iterations=piece.layer.iterations,
        types=types,
        block=piece.block,
        num_warps=max(1, types * piece.block // 128),
    )
    children.gather[piece.children_grid](
        *(slot_poses, poses_gradient, *piece.windows),
        *(piece.rows // piece.sites, piece.sites, piece.child_sites, piece.windows_at_most, piece.blocks),
        positions=piece.positions,
        child_types=piece.child_types,
        **piece.children_tile,
    )
    by_position = found.sum(0)
    return by_position if piece.weights.shape[0] > 1 else by_position.sum(0, keepdim=True)
