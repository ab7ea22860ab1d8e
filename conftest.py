"""What pytest leaves alone."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("triton") else ["matcaps/model/kernels/gpu"]  # there is no Triton but on Linux
