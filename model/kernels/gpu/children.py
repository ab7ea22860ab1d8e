"""Kernels of children: each child with all its parents, in all windows that see it.

A program has one site of one image and ``types`` of its child types. Every element of a [row, child, lane] table
belongs to one child, so no other program reads or writes it, and sums have a fixed order. Where the parents of each
type compete by themselves (``by_type``), a program of ``compete`` has one block of lanes.
"""

from typing import no_type_check

import triton
import triton.language as tl

from matcaps.model.kernels.gpu.rows import kernel


@kernel
@no_type_check
def compete(
    scores,
    log_activations,
    slots,
    windows_of_child,
    assignments,
    sites,
    child_sites,
    windows_at_most,
    parent_types,
    positions: tl.constexpr,
    child_types: tl.constexpr,
    lanes: tl.constexpr,
    assigned: tl.constexpr,
    by_type: tl.constexpr,
    types: tl.constexpr,
    block: tl.constexpr,
):
    """E-step: replaces scores by log r, normalised over competing parents; writes assignments R if asked for."""
    image = tl.program_id(0) // child_sites
    site = tl.program_id(0) % child_sites
    i = tl.program_id(1) * types + tl.arange(0, types)[:, None]
    real = i < child_types
    i = tl.minimum(i, child_types - 1)
    lane = tl.arange(0, block)[None, :]
    windows = tl.load(windows_of_child + site).to(tl.int32)
    span: tl.constexpr = block if by_type else lanes
    begin = tl.program_id(2) * span
    # Above the scores of unused lanes: where each type competes by itself, they get no share either.
    top = tl.full([types, block if by_type else 1], -1e29, scores.dtype.element_ty)
    total = top * 0
    for window in range(windows):
        slot = tl.load(slots + site * windows_at_most + window).to(tl.int32)
        child = _child(slot, image, i, sites, positions, child_types)
        for first in range(begin, begin + span, block):
            score = tl.load(scores + child * lanes + first + lane)
            if by_type:
                higher = tl.maximum(top, score)
                total = total * tl.exp(top - higher) + tl.exp(score - higher)
            else:
                higher = tl.maximum(top, tl.max(score, 1)[:, None])
                total = total * tl.exp(top - higher) + tl.sum(tl.exp(score - higher), 1)[:, None]
            top = higher
    total = top + tl.log(tl.maximum(total, 1))  # the largest score adds 1; a child without parents has a total of 0
    log_activation = tl.load(log_activations + tl.program_id(0) * child_types + i)
    for window in range(windows):
        slot = tl.load(slots + site * windows_at_most + window).to(tl.int32)
        child = _child(slot, image, i, sites, positions, child_types)
        for first in range(begin, begin + span, block):
            at = scores + child * lanes + first + lane
            log_share = tl.load(at) - total
            if assigned:
                to = assignments + child * parent_types + first + lane
                tl.store(to, tl.exp(log_share), mask=real & (first + lane < parent_types))
            tl.store(at, log_share + log_activation, mask=real)


@kernel
@no_type_check
def differentiate_competition(
    gradients,
    masses,
    log_activations,
    assignments_gradient,
    activation_sums,
    slots,
    windows_of_child,
    sites,
    child_sites,
    windows_at_most,
    parent_types,
    density_temperature: tl.constexpr,
    positions: tl.constexpr,
    child_types: tl.constexpr,
    lanes: tl.constexpr,
    first_iteration: tl.constexpr,
    last_iteration: tl.constexpr,
    assigned: tl.constexpr,
    by_type: tl.constexpr,
    types: tl.constexpr,
    block: tl.constexpr,
):
    """Replaces q, the gradients of log r, by errors e = (q − R Σ q) / temperature; Σ is over competing parents.

    The sum of q over all parents of a child is added to ``activation_sums``: over all iterations, the gradient of
    log a.
    """
    image = tl.program_id(0) // child_sites
    site = tl.program_id(0) % child_sites
    i = tl.program_id(1) * types + tl.arange(0, types)[:, None]
    real = i < child_types
    i = tl.minimum(i, child_types - 1)
    lane = tl.arange(0, block)[None, :]
    windows = tl.load(windows_of_child + site).to(tl.int32)
    at_child = tl.program_id(0) * child_types + i
    log_activation = tl.load(log_activations + at_child)
    total = log_activation * 0
    of_shares = total
    for window in range(windows):
        slot = tl.load(slots + site * windows_at_most + window).to(tl.int32)
        child = _child(slot, image, i, sites, positions, child_types)
        for first in range(0, lanes, block):
            at = child * lanes + first + lane
            total += tl.sum(tl.load(gradients + at), 1)[:, None]
            if assigned:
                given = assignments_gradient + child * parent_types + first + lane
                given = tl.load(given, mask=first + lane < parent_types, other=0)
                of_shares += tl.sum(tl.exp(tl.load(masses + at) - log_activation) * given, 1)[:, None]
    if last_iteration:
        tl.store(activation_sums + at_child, total, mask=real)
    else:
        tl.store(activation_sums + at_child, total + tl.load(activation_sums + at_child), mask=real)
    if not first_iteration:
        total += of_shares
        for first in range(0, lanes, block):
            of_contest = total
            if by_type:
                of_contest = tl.zeros([types, block], gradients.dtype.element_ty)
                for window in range(windows):
                    slot = tl.load(slots + site * windows_at_most + window).to(tl.int32)
                    child = _child(slot, image, i, sites, positions, child_types)
                    at = child * lanes + first + lane
                    of_contest += tl.load(gradients + at)
                    if assigned:
                        given = assignments_gradient + child * parent_types + first + lane
                        given = tl.load(given, mask=first + lane < parent_types, other=0)
                        of_contest += tl.exp(tl.load(masses + at) - log_activation) * given
            for window in range(windows):
                slot = tl.load(slots + site * windows_at_most + window).to(tl.int32)
                child = _child(slot, image, i, sites, positions, child_types)
                at = child * lanes + first + lane
                share = tl.exp(tl.load(masses + at) - log_activation)
                error = tl.load(gradients + at) - share * of_contest
                if assigned:
                    given = assignments_gradient + child * parent_types + first + lane
                    error += share * tl.load(given, mask=first + lane < parent_types, other=0)
                tl.store(gradients + at, error / density_temperature, mask=real)


@kernel
@no_type_check
def gather(
    slot_poses,
    poses_gradient,
    slots,
    windows_of_child,
    images,
    sites,
    child_sites,
    windows_at_most,
    blocks,
    positions: tl.constexpr,
    child_types: tl.constexpr,
    types: tl.constexpr,
):
    """Gradients of poses: adds up [block, row, child, 16] over a child's windows and all blocks of parent types.

    A child in no window has zero.
    """
    image = tl.program_id(0) // child_sites
    site = tl.program_id(0) % child_sites
    i = tl.program_id(1) * types + tl.arange(0, types)[:, None]
    real = i < child_types
    i = tl.minimum(i, child_types - 1)
    h = tl.arange(0, 16)[None, :]
    total = tl.zeros([types, 16], slot_poses.dtype.element_ty)
    for window in range(tl.load(windows_of_child + site).to(tl.int32)):
        slot = tl.load(slots + site * windows_at_most + window).to(tl.int32)
        child = _child(slot, image, i, sites, positions, child_types)
        for block in range(blocks):
            block_stride = images * sites * (positions * child_types * 16)
            total += tl.load(slot_poses + block * block_stride + child * 16 + h)
    tl.store(poses_gradient + (tl.program_id(0) * child_types + i) * 16 + h, total, mask=real)


@triton.jit
@no_type_check
def _child(slot, image, i, sites, positions: tl.constexpr, child_types: tl.constexpr):
    """The places of a slot's child types in a table of [row, child]."""
    return ((image * sites + slot // positions) * positions + slot % positions) * child_types + i
