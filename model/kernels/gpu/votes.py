"""A vote's 16 components, v = M W plus the coordinates of its position, computed in registers.

Loops over components are unrolled: only tuples indexed by constants stay in registers.
"""

from typing import no_type_check  # keeps the tests' import hook from wrapping kernels, which Triton cannot read then

import triton
import triton.language as tl


@triton.jit
@no_type_check
def load_all(at, stride, number: tl.constexpr):
    """A tuple of ``number`` tiles, a stride apart."""
    found = ()
    for index in tl.static_range(number):
        found += (tl.load(at + index * stride),)
    return found


@triton.jit
@no_type_check
def load_negative(at, stride, number: tl.constexpr):
    """The same with the other sign: an offset starts from the negative centre."""
    found = ()
    for index in tl.static_range(number):
        found += (-tl.load(at + index * stride),)
    return found


@triton.jit
@no_type_check
def coordinates_of(coordinates, k, located: tl.constexpr):
    """The coordinates of a position, for elements [0, 3] and [1, 3] of its votes."""
    if located:
        down = tl.load(coordinates + 2 * k)
        right = tl.load(coordinates + 2 * k + 1)
    else:
        down = 0
        right = 0
    return down, right


@triton.jit
@no_type_check
def offsets(m, w, start, down, right, row: tl.constexpr, located: tl.constexpr):
    """The four components of v − centre in one row of the pose; ``start`` is the negative centre's row."""
    found = ()
    for column in tl.static_range(4):
        o = start[column]
        if located and row == 0 and column == 3:
            o += down
        if located and row == 1 and column == 3:
            o += right
        for inner in tl.static_range(4):
            o += m[4 * row + inner] * w[4 * inner + column]
        found += (o,)
    return found
