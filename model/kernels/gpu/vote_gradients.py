"""The pass over votes for the gradients of poses and weights; tables as in ``passes``."""

from typing import no_type_check

import triton.language as tl

from matcaps.model.kernels.gpu.rows import kernel
from matcaps.model.kernels.gpu.votes import coordinates_of, load_all, load_negative, offsets


@kernel
@no_type_check
def vote_gradients(
    poses,
    weights,
    coordinates,
    seen,
    even,
    masses,
    errors,
    terms,
    slot_poses,
    weights_gradients,
    all_rows,
    sites,
    child_sites,
    span,
    masses_stride,
    errors_stride,
    positions: tl.constexpr,
    child_types: tl.constexpr,
    lanes: tl.constexpr,
    sets: tl.constexpr,
    iterations: tl.constexpr,
    located: tl.constexpr,
    types: tl.constexpr,
    block: tl.constexpr,
):
    """Gradients of votes, and from them those of poses and weights, of all iterations in one pass.

    A vote's gradient is Σ f (level + slope o) over ``2 · iterations − 1`` terms, with o = v − μ of the last iteration;
    f is the child's weight r of each iteration, then its error e of each but the first. ``terms`` are [row, 16 · (1 +
    2 · terms) + iterations, lane]: μ, level and slope of each term in turn, units of the weights.
    A program has one position's ``types`` child types and ``span`` rows in turn; it leaves [block, row, child, 16] for
    poses and [segment, position, type, 16, lane] for weights. Strides count rows of lanes.
    """
    number: tl.constexpr = 2 * iterations - 1
    term_rows: tl.constexpr = 16 * (1 + 2 * number) + iterations
    children: tl.constexpr = positions * child_types
    groups: tl.constexpr = (child_types + types - 1) // types
    k = tl.program_id(0) // groups
    place = tl.program_id(0) % groups * types + tl.arange(0, types)
    real = place[:, None] < child_types
    i = tl.minimum(place, child_types - 1)[:, None]
    within = tl.arange(0, block)[None, :]
    lane = tl.program_id(1) * block + within
    first = tl.program_id(2) * span
    c = k * child_types + i
    down, right = coordinates_of(coordinates, k, located)
    w = load_all(weights + c % (sets * child_types) * (16 * lanes) + lane, lanes, 16)
    zero = tl.zeros([types, block], poses.dtype.element_ty)
    of_weights = (zero,) * 16
    for n in range(first, tl.minimum(first + span, all_rows)):
        child = (n // sites * child_sites + tl.load(seen + n % sites * positions + k).to(tl.int32)) * child_types + i
        at = (n * children + c) * lanes + lane
        term = terms + n * (term_rows * lanes) + lane
        factors = (tl.load(even + child) + zero,)
        for t in tl.static_range(1, iterations):
            unit = tl.load(term + (16 * (1 + 2 * number) + t) * lanes)
            factors += (tl.exp(tl.load(masses + (t - 1) * lanes * masses_stride.to(tl.int64) + at) - unit),)
        for t in tl.static_range(1, iterations):
            factors += (tl.load(errors + (t - 1) * lanes * errors_stride.to(tl.int64) + at),)
        m = load_all(poses + child * 16, 1, 16)
        to = slot_poses + ((tl.program_id(1) * all_rows + n) * children + c) * 16 + within
        for row in tl.static_range(4):
            of_pose = (zero,) * 4
            start = load_negative(term + 4 * row * lanes, lanes, 4)
            o = offsets(m, w, start, down, right, row, located)
            for column in tl.static_range(4):
                gradient = zero
                slope = zero
                for index in tl.static_range(number):
                    gradient += factors[index] * tl.load(term + (16 + 32 * index + 4 * row + column) * lanes)
                    slope += factors[index] * tl.load(term + (32 + 32 * index + 4 * row + column) * lanes)
                gradient += o[column] * slope
                next_of_pose = ()
                for inner in tl.static_range(4):
                    next_of_pose += (of_pose[inner] + gradient * w[4 * inner + column],)
                of_pose = next_of_pose
                next_of_weights = ()
                for other in tl.static_range(16):
                    if other % 4 == column:
                        next_of_weights += (of_weights[other] + m[4 * row + other // 4] * gradient,)
                    else:
                        next_of_weights += (of_weights[other],)
                of_weights = next_of_weights
            # Each of the first four lanes takes one of the four sums: one store of 16 bytes, without a new layout.
            result = zero
            for inner in tl.static_range(4):
                result = tl.where(within == inner, tl.sum(of_pose[inner], 1)[:, None], result)
            tl.store(to + 4 * row, result, mask=real & (within < 4))
    to = weights_gradients + ((tl.program_id(2) * children + c) * 16) * lanes + lane
    for h in tl.static_range(16):
        tl.store(to + h * lanes, of_weights[h], mask=real)
