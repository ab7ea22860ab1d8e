"""Rows of a parent's Gaussian (``ROWS_OF_A_GAUSSIAN`` in ``layer.py``), and the decorator of all kernels."""

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

# Kernels are not compiled anew for other values of these: an epoch's last batch may be smaller.
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
