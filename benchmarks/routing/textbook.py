"""EM routing as papers and tutorials write it: votes are stored, and everything is elementwise."""

import torch
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.routing.eager import Routed
from matcaps.model.windows import Windows


def textbook_routing(
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    windows: Windows,
    config: RoutingConfig,
) -> Routed:
    """The result of ``em_routing`` for the same arguments.

    The layout is [batch, site, child, parent_type, 16]; competition runs over all parents of a child.
    """
    batch, _, child_types = activations.shape
    parent_types = weights.shape[2]
    seen = windows.seen
    votes = torch.einsum(
        "bspikl,pijlm->bspijkm", poses[:, seen], weights.expand(windows.positions, -1, -1, -1, -1)
    ).flatten(-2)
    if windows.coordinates is not None:
        shift = votes.new_zeros(windows.positions, 1, 1, 16)
        shift[:, 0, 0, 3], shift[:, 0, 0, 7] = windows.coordinates.to(votes.dtype).unbind(-1)
        votes = votes + shift
    active = activations[:, seen].unsqueeze(-1)
    share = 1.0 / (windows.windows_of_child[seen] * parent_types).to(votes.dtype)
    assignments = share[None, :, :, None, None].expand(batch, -1, -1, child_types, parent_types)
    unit = windows.reached_sites * child_types / (windows.parent_sites * parent_types)
    unit = unit if config.mass == "relative" else 1.0
    for iteration in range(config.iterations):
        assigned = (assignments * active).unsqueeze(-1)
        mass = assigned.sum((2, 3), keepdim=True)
        mean = (assigned * votes).sum((2, 3), keepdim=True) / mass
        variance = (assigned * (votes - mean) ** 2).sum((2, 3), keepdim=True) / mass
        variance = variance.clamp_min(config.variance_floor)
        cost = ((beta_u[:, None] + 0.5 * variance.log()) * mass / unit).sum(-1)
        logits = config.inverse_temperature(iteration) * (beta_a - cost)
        if iteration == config.iterations - 1:
            break
        density = -0.5 * ((votes - mean) ** 2 / variance + variance.log()).sum(-1)
        scores = density / config.density_temperature + torch.nn.functional.logsigmoid(logits)
        highest = scores.max().detach()
        weighed = (scores - highest).exp()
        total = votes.new_zeros(batch, windows.child_sites, child_types)
        total = total.index_add(1, seen.flatten(), weighed.sum(-1).flatten(1, 2))
        assignments = weighed / total[:, seen].unsqueeze(-1)
    return Routed(logits[:, :, 0, 0], mean[:, :, 0, 0].unflatten(-1, (4, 4)), assignments)
