"""Samples of any type to 8 bits."""

import numpy as np
from numpy.typing import NDArray

OVERSHOOT = 1.25  # of the range of floats
BAND = 2**20  # samples that are scaled at once, so that the floats take little memory


def white_level(samples: NDArray[np.generic], bits: int) -> float:
    """The value that is white. ``bits`` is the depth of integers.

    Floats have the smallest of the ranges 0 to 1, 0 to 255 and 0 to 65535 that none exceeds by more than a quarter;
    resampled pictures overshoot a little. Integers of 32 and more bits have the 16-bit range, unless they are unsigned
    and one exceeds it. Others have that of their depth.

    >>> white_level(np.array([0.5, 1.01]), 32), white_level(np.array([0, 4095], np.uint16), 12)
    (1.0, 4095.0)
    """
    if samples.dtype.kind == "f":
        highest = samples.max(initial=0.0, where=np.isfinite(samples))
        return 1.0 if highest <= OVERSHOOT else 255.0 if highest <= 255.0 * OVERSHOOT else 65535.0
    if bits >= 32 and (samples.dtype.kind == "i" or samples.max(initial=0) <= 65535):
        return 65535.0
    return 2.0**bits - 1.0


def eight_bits(samples: NDArray[np.generic], white: float) -> NDArray[np.uint8]:
    """Samples [row, …] scaled so that ``white`` is 255, rounded once. What is darker than 0, or no number, is 0."""
    if samples.dtype == np.uint8 and white == 255.0:
        return samples.view(np.uint8)
    scaled = np.empty(samples.shape, np.uint8)
    rows = max(1, BAND // max(1, samples[:1].size))
    for start in range(0, len(samples), rows):
        band = samples[start : start + rows].astype(np.float64) * (255.0 / white)
        np.nan_to_num(band, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        scaled[start : start + rows] = np.clip(np.rint(band), 0, 255)
    return scaled
