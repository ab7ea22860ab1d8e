"""Where a parent's numbers stand among those of ``matcaps.model.kernels.layer``, and what kernels have in common."""

from functools import partial

import triton
import triton.language as tl

from matcaps.model.kernels.layer import ROWS_OF_A_GAUSSIAN

GAUSSIAN = tl.constexpr(ROWS_OF_A_GAUSSIAN)
VARIANCES = tl.constexpr(16)  # means come first
MASS = tl.constexpr(32)
RECIPROCAL = tl.constexpr(33)
UNIT = tl.constexpr(34)  # its logarithm here
LOGIT = tl.constexpr(35)

# Compiled once for all of these numbers: the last batch of an epoch, which may be smaller, is not waited for.
_NUMBERS = [
    "all_rows",
    "sites",
    "child_sites",
    "span",
    "segments",
    "parent_types",
    "windows_at_most",
    "images",
    "blocks",
]
_STRIDES = ["masses_stride", "errors_stride"]
kernel = partial(triton.jit, do_not_specialize=[*_NUMBERS, *_STRIDES])
