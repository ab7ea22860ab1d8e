"""Matrix capsules with EM routing (Hinton, Sabour, Frosst, ICLR 2018) in PyTorch.

A capsule is an activation in [0, 1] and a 4×4 pose matrix. The files, in the order of their imports: config ← windows,
pixels, calibration, pretrained ← routing.eager ← kernels ← routing.dispatch ← capsules ← network ← export.

Names of axes in all shapes:

batch                    images of one batch
channel, row, column     of an image or of a grid of features
feature                  channels of a convolution
site                     places of a grid, row by row: child_site below, parent_site above
type                     kinds of capsule at each site: child_type below, parent_type above
class                    types of the last layer
position                 places in a parent's window, row by row (kernel row × kernel column)
window                   windows that see one child site
slot                     pairs (parent_site, position): one child site in one window
row (of votes)           one parent site of one image
child (of a row)         pairs (position, child_type): one child in one window
lane (of kernels)        parent types, padded to whole vectors
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
