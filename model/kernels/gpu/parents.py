"""Kernels of parents: Gaussians and activations from sums over children, and their gradients.

Tables as in ``passes``. A program has ``rows`` by ``block`` parents. It is one warp, so it can write where it read.
"""

from typing import no_type_check

import triton
import triton.language as tl

from matcaps.model.kernels.gpu.rows import GAUSSIAN, LOGIT, MASS, RECIPROCAL, UNIT, VARIANCES, kernel
from matcaps.model.kernels.gpu.votes import load_all


@kernel
@no_type_check
def units(masses, gaussians, children: tl.constexpr, lanes: tl.constexpr, chunk: tl.constexpr, block: tl.constexpr):
    """Units: the largest log r of each parent's children, so that no parent's mass underflows as a whole."""
    n = tl.program_id(0)
    lane = tl.program_id(1) * block + tl.arange(0, block)[None, :]
    largest = tl.full([chunk, block], -3e38, masses.dtype.element_ty)
    for first in range(0, children, chunk):
        c = tl.minimum(first + tl.arange(0, chunk), children - 1)[:, None]
        largest = tl.maximum(largest, tl.load(masses + (n * children + c) * lanes + lane))
    to = gaussians + (n * GAUSSIAN + UNIT) * lanes + tl.program_id(1) * block + tl.arange(0, block)
    tl.store(to, tl.max(largest, 0))


@kernel
@no_type_check
def fit(
    sums,
    centres,
    gaussians,
    coefficients,
    far,
    beta_u,
    beta_a,
    segments,
    all_rows,
    parent_types,
    inverse_temperature: tl.constexpr,
    mass_unit: tl.constexpr,
    density_temperature: tl.constexpr,
    variance_floor: tl.constexpr,
    lanes: tl.constexpr,
    even: tl.constexpr,
    centred: tl.constexpr,
    repeated: tl.constexpr,
    rows: tl.constexpr,
    block: tl.constexpr,
):
    """M-step: mean, variance and activation from sums around a centre; the coefficients of the E-step's scores.

    A parent is ``far`` if the centre is so far from the mean that the variance has cancelled. A ``repeated`` fit
    handles such parents only.
    """
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    lane = tl.program_id(1) * block + tl.arange(0, block)[None, :]
    n = tl.minimum(row, all_rows - 1)
    parent = lane < parent_types
    written = row < all_rows
    if repeated:
        again = tl.load(far + n * lanes + lane)
        if tl.max(tl.max(again, 1), 0) == 0:
            return
        written = written & (again > 0)
    gaussian = gaussians + n * (GAUSSIAN * lanes) + lane
    totals = _totals(sums, n, lane, segments, all_rows, lanes)
    in_unit = tl.maximum(totals[0], 1e-30)
    reciprocal = 1 / in_unit
    mass = in_unit
    unit = in_unit * 0
    if not even:
        unit = tl.load(gaussian + UNIT * lanes)
        mass = in_unit * tl.exp(unit)
    floor = tl.full(
        [rows, block], variance_floor, sums.dtype.element_ty
    )  # tl.maximum would make a plain number a float32
    log_deviation = in_unit * 0
    cancelled = in_unit * 0
    coefficient = coefficients + n * (33 * lanes) + lane
    for h in tl.static_range(16):
        shift = totals[1 + h] * reciprocal
        square = totals[17 + h] * reciprocal
        variance = tl.maximum(square - shift * shift, 0)
        clamped = tl.maximum(variance, floor)
        mean = shift
        if centred:
            mean = tl.load(centres + (n * GAUSSIAN + h) * lanes + lane) + shift
        log_deviation += 0.5 * tl.log(clamped)
        cancelled = tl.maximum(cancelled, shift * shift - 4 * clamped)
        tl.store(gaussian + h * lanes, mean, mask=written)
        tl.store(gaussian + (VARIANCES + h) * lanes, variance, mask=written)
        tl.store(coefficient + (16 + h) * lanes, -0.5 / (density_temperature * clamped), mask=written)
    cost = (16 * tl.load(beta_u + lane, mask=parent, other=0) + log_deviation) * (mass / mass_unit)
    logit = inverse_temperature * (tl.load(beta_a + lane, mask=parent, other=0) - cost)
    log_activation = tl.minimum(logit, 0) - tl.log(1 + tl.exp(-tl.abs(logit)))
    score = log_activation - log_deviation / density_temperature
    tl.store(coefficient + 32 * lanes, tl.where(parent, score, -1e30), mask=written)  # an unused lane gets no share
    tl.store(gaussian + MASS * lanes, mass, mask=written)
    tl.store(gaussian + RECIPROCAL * lanes, reciprocal, mask=written)
    tl.store(gaussian + UNIT * lanes, unit, mask=written)
    tl.store(gaussian + LOGIT * lanes, logit, mask=written)
    if not repeated:
        tl.store(far + n * lanes + lane, ((cancelled > 0) & parent).to(tl.int32), mask=written)


@kernel
@no_type_check
def differentiate_fit(
    logits_gradient,
    means_gradient,
    sums,
    gaussians,
    last_gaussians,
    coefficients,
    terms,
    betas,
    beta_u,
    segments,
    all_rows,
    parent_types,
    inverse_temperature: tl.constexpr,
    mass_unit: tl.constexpr,
    density_temperature: tl.constexpr,
    variance_floor: tl.constexpr,
    lanes: tl.constexpr,
    iteration: tl.constexpr,
    iterations: tl.constexpr,
    rows: tl.constexpr,
    block: tl.constexpr,
):
    """The coefficients of the gradient of log r, and an iteration's terms of the votes' gradient.

    Gradients of logit and mean are given for the last iteration. Those of the others come from the ``moments`` of the
    next E-step's errors. ``betas`` are [row, 2, lane]: gradients of β_u and β_a.
    """
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    lane = tl.program_id(1) * block + tl.arange(0, block)[None, :]
    inside = row < all_rows
    n = tl.minimum(row, all_rows - 1)
    parent = lane < parent_types
    at = n * parent_types + lane
    number: tl.constexpr = 2 * iterations - 1
    last: tl.constexpr = iteration == iterations - 1
    index: tl.constexpr = iterations + iteration
    gaussian = gaussians + n * (GAUSSIAN * lanes) + lane
    last_gaussian = last_gaussians + n * (GAUSSIAN * lanes) + lane
    coefficient = coefficients + n * (33 * lanes) + lane
    term = terms + n * ((16 * (1 + 2 * number) + iterations) * lanes) + lane
    mass = tl.load(gaussian + MASS * lanes)
    reciprocal = tl.load(gaussian + RECIPROCAL * lanes)
    if last:
        of_logit = tl.load(logits_gradient + at, mask=parent, other=0)
        of_log_deviation = of_logit * 0
    else:
        totals = _totals(sums, n, lane, segments, all_rows, lanes)
        error = totals[0]
        logit = tl.load(gaussian + LOGIT * lanes)
        of_logit = density_temperature * error / (1 + tl.exp(tl.minimum(logit, 80)))
        of_log_deviation = -error
    of_beta_a = inverse_temperature * of_logit
    of_cost = -of_beta_a
    of_log_deviation += mass / mass_unit * of_cost
    floor = tl.full([rows, block], variance_floor, sums.dtype.element_ty)
    log_deviation = mass * 0
    constant = mass * 0
    for h in tl.static_range(16):
        mean = tl.load(gaussian + h * lanes)
        variance = tl.load(gaussian + (VARIANCES + h) * lanes)
        clamped = tl.maximum(variance, floor)
        precision = 1 / clamped
        apart = tl.load(last_gaussian + h * lanes) - mean
        if last:
            of_mean = tl.load(means_gradient + at * 16 + h, mask=parent, other=0)
            of_variance = 0.5 * precision * of_log_deviation
        else:
            of_mean = totals[1 + h] * precision
            of_variance = 0.5 * precision * (totals[17 + h] * precision + of_log_deviation)
        of_variance = tl.where(variance < variance_floor, 0, of_variance)
        log_deviation += 0.5 * tl.log(clamped)
        constant -= of_variance * variance
        tl.store(coefficient + h * lanes, of_mean, mask=inside)
        tl.store(coefficient + (16 + h) * lanes, of_variance, mask=inside)
        level = (of_mean + 2 * of_variance * apart) * reciprocal
        tl.store(term + (16 + 32 * iteration + h) * lanes, level, mask=inside)
        tl.store(term + (32 + 32 * iteration + h) * lanes, 2 * of_variance * reciprocal, mask=inside)
        if last:
            tl.store(term + h * lanes, mean, mask=inside)
        else:
            tl.store(term + (16 + 32 * index + h) * lanes, -precision * apart, mask=inside)
            tl.store(term + (32 + 32 * index + h) * lanes, -precision, mask=inside)
    cost = (16 * tl.load(beta_u + lane, mask=parent, other=0) + log_deviation) / mass_unit
    tl.store(coefficient + 32 * lanes, constant + mass * cost * of_cost, mask=inside)
    unit = tl.load(gaussian + UNIT * lanes)
    tl.store(term + (16 * (1 + 2 * number) + iteration) * lanes, unit, mask=inside)
    tl.store(betas + n * (2 * lanes) + lane, 16 * mass / mass_unit * of_cost, mask=inside)
    tl.store(betas + n * (2 * lanes) + lanes + lane, of_beta_a, mask=inside)


@triton.jit
@no_type_check
def _totals(sums, n, lane, segments, all_rows, lanes: tl.constexpr):
    """The 33 sums over all segments of children, in a fixed order; the loads of a segment are independent."""
    at = sums + n * (33 * lanes) + lane
    totals = load_all(at, lanes, 33)
    for segment in range(1, segments):
        more = load_all(at + segment * all_rows * (33 * lanes), lanes, 33)
        next_totals = ()
        for number in tl.static_range(33):
            next_totals += (totals[number] + more[number],)
        totals = next_totals
    return totals
