"""Two passes over votes: moments (sums over children) and quadratics (one number for each vote).

A row is one parent site of one image (row = image · sites + site), a child one place c = position · types + type of
its window, a lane one parent type; tables are [row, number, lane] or [row, child, lane], lanes padded and contiguous.
A program has ``rows`` by ``block`` parents. Its rows share each load of weights [position or 1, child type, 16, lane].
"""

from typing import no_type_check

import triton.language as tl

from matcaps.model.kernels.gpu.rows import GAUSSIAN, RECIPROCAL, UNIT, kernel
from matcaps.model.kernels.gpu.votes import coordinates_of, load_all, load_negative, offsets

EVEN = tl.constexpr(0)
"""Weigh a child by its activation over the number of its parents: the first iteration."""
ROUTED = tl.constexpr(1)
"""Weigh a child by exp(log r − unit): the other iterations."""
GIVEN = tl.constexpr(2)
"""Weigh a child by the table's value."""


@kernel
@no_type_check
def moments(
    poses,
    weights,
    coordinates,
    seen,
    even,
    masses,
    gaussians,
    centres,
    far,
    sums,
    all_rows,
    sites,
    child_sites,
    span,
    positions: tl.constexpr,
    child_types: tl.constexpr,
    lanes: tl.constexpr,
    sets: tl.constexpr,
    weighing: tl.constexpr,
    located: tl.constexpr,
    centred: tl.constexpr,
    repeated: tl.constexpr,
    step: tl.constexpr,
    rows: tl.constexpr,
    block: tl.constexpr,
):
    """Σ r, Σ r o and Σ r o² with o = v − centre, as [segment, row, 33, lane]: of ``span`` children a segment.

    ``repeated`` passes skip tiles in which no parent is ``far``; a ``step`` above 1 takes a sample of children.
    """
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    lane = tl.program_id(1) * block + tl.arange(0, block)[None, :]
    inside = row < all_rows
    n = tl.minimum(row, all_rows - 1)
    wanted = True
    if repeated:
        wanted = tl.max(tl.max(tl.load(far + n * lanes + lane), 1), 0) > 0
    if wanted:
        first = tl.program_id(2) * span
        last = tl.minimum(first + span, positions * child_types)
        zero = tl.zeros([rows, block], poses.dtype.element_ty)
        start = (zero,) * 16
        if centred:
            start = load_negative(centres + n * (GAUSSIAN * lanes) + lane, lanes, 16)
        unit = zero
        if weighing == ROUTED:
            unit = tl.load(gaussians + (n * GAUSSIAN + UNIT) * lanes + lane)
        mass = zero
        firsts = (zero,) * 16
        seconds = (zero,) * 16
        for k in range(first // child_types, tl.cdiv(last, child_types)):
            child = (n // sites * child_sites + tl.load(seen + n % sites * positions + k).to(tl.int32)) * child_types
            down, right = coordinates_of(coordinates, k, located)
            begin = tl.maximum(first - k * child_types, 0)
            end = tl.minimum(last - k * child_types, child_types)
            for i in range(begin, end, step):
                c = k * child_types + i
                if weighing == EVEN:
                    r = tl.load(even + (child + i + 0 * lane))  # all lanes: a column would change its layout each turn
                else:
                    r = tl.load(masses + (n * (positions * child_types) + c) * lanes + lane)
                if weighing == ROUTED:
                    r = tl.exp(r - unit)
                m = load_all(poses + (child + i) * 16, 1, 16)
                w = load_all(weights + c % (sets * child_types) * (16 * lanes) + lane, lanes, 16)
                mass += r
                next_firsts = ()
                next_seconds = ()
                for row_of_pose in tl.static_range(4):
                    four = start[4 * row_of_pose : 4 * row_of_pose + 4]
                    o = offsets(m, w, four, down, right, row_of_pose, located)
                    for column in tl.static_range(4):
                        next_firsts += (firsts[4 * row_of_pose + column] + r * o[column],)
                        next_seconds += (seconds[4 * row_of_pose + column] + r * o[column] * o[column],)
                firsts = next_firsts
                seconds = next_seconds
        to = sums + (tl.program_id(2) * all_rows + n) * (33 * lanes) + lane
        tl.store(to, mass, mask=inside)
        for h in tl.static_range(16):
            tl.store(to + (1 + h) * lanes, firsts[h], mask=inside)
            tl.store(to + (17 + h) * lanes, seconds[h], mask=inside)


@kernel
@no_type_check
def quadratics(
    poses,
    weights,
    coordinates,
    seen,
    even,
    masses,
    gaussians,
    coefficients,
    found,
    all_rows,
    sites,
    child_sites,
    span,
    positions: tl.constexpr,
    child_types: tl.constexpr,
    lanes: tl.constexpr,
    sets: tl.constexpr,
    weighing: tl.constexpr,
    located: tl.constexpr,
    rows: tl.constexpr,
    block: tl.constexpr,
):
    """f (constant + Σ_h o_h (linear_h + square_h o_h)) with o = v − μ, of each child and parent: [row, child, lane].

    Coefficients are [row, 33, lane]: linear, square, constant. The factor f is the child's weight r / Σ r, or 1 with
    no linear part where ``weighing`` is ``GIVEN``: scores are such quadratics, and so are gradients of log r.
    """
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    lane = tl.program_id(1) * block + tl.arange(0, block)[None, :]
    inside = row < all_rows
    n = tl.minimum(row, all_rows - 1)
    first = tl.program_id(2) * span
    last = tl.minimum(first + span, positions * child_types)
    gaussian = gaussians + n * (GAUSSIAN * lanes) + lane
    start = load_negative(gaussian, lanes, 16)
    coefficient = coefficients + n * (33 * lanes) + lane
    square = load_all(coefficient + 16 * lanes, lanes, 16)
    constant = tl.load(coefficient + 32 * lanes)
    linear = square
    unit = constant
    reciprocal = constant
    if weighing != GIVEN:
        linear = load_all(coefficient, lanes, 16)
        unit = tl.load(gaussian + UNIT * lanes)
        reciprocal = tl.load(gaussian + RECIPROCAL * lanes)
    for k in range(first // child_types, tl.cdiv(last, child_types)):
        child = (n // sites * child_sites + tl.load(seen + n % sites * positions + k).to(tl.int32)) * child_types
        down, right = coordinates_of(coordinates, k, located)
        begin = tl.maximum(first - k * child_types, 0)
        end = tl.minimum(last - k * child_types, child_types)
        for i in range(begin, end):
            c = k * child_types + i
            at = (n * (positions * child_types) + c) * lanes + lane
            m = load_all(poses + (child + i) * 16, 1, 16)
            w = load_all(weights + c % (sets * child_types) * (16 * lanes) + lane, lanes, 16)
            result = constant
            for row_of_pose in tl.static_range(4):
                four = start[4 * row_of_pose : 4 * row_of_pose + 4]
                o = offsets(m, w, four, down, right, row_of_pose, located)
                for column in tl.static_range(4):
                    factor = square[4 * row_of_pose + column] * o[column]
                    if weighing != GIVEN:
                        factor += linear[4 * row_of_pose + column]
                    result += o[column] * factor
            if weighing == EVEN:
                result *= tl.load(even + child + i) * reciprocal
            if weighing == ROUTED:
                result *= tl.exp(tl.load(masses + at) - unit) * reciprocal
            tl.store(found + at, result, mask=inside)
