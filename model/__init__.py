"""Matrix capsules with EM routing (Hinton, Sabour, Frosst, ICLR 2018) in PyTorch.

A capsule is an activation in [0, 1] and a 4×4 pose matrix. The files, in the order of their imports:
config ← pixels, config ← windows ← routing ← fused ← route ← capsules ← network ← export.

Axes, as they are named in every shape here:

batch        images of one batch
child_site, parent_site    places of a grid, row by row
child_type, parent_type    kinds of capsule at each place
position     place within a parent's window (kernel row × kernel column)
slot         one (parent_site, position): a place where some child is seen by some parent
"""

from matcaps.model.config import CapsNetConfig, RoutingConfig, as_published, mnist, small_norb, small_norb_small, tiny
from matcaps.model.network import CapsNet, Prediction
from matcaps.model.pixels import standardise

__all__ = [
    "CapsNet",
    "CapsNetConfig",
    "Prediction",
    "RoutingConfig",
    "as_published",
    "mnist",
    "small_norb",
    "small_norb_small",
    "standardise",
    "tiny",
]
