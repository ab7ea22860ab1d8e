"""The recipes of ``matcaps train``: one file each, whose head says the command, the time and the error."""

from matcaps.training.config import TrainConfig
from matcaps.training.recipes import (
    fashion_mnist,
    folder,
    mnist,
    smallnorb,
    smallnorb_elevation,
    smallnorb_stereo,
    smallnorb_stereo_small,
)

_MODULES = {
    "smallnorb": smallnorb,
    "smallnorb-stereo": smallnorb_stereo,
    "smallnorb-stereo-small": smallnorb_stereo_small,
    "smallnorb-elevation": smallnorb_elevation,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "folder": folder,
}
RECIPES: dict[str, TrainConfig] = {name: module.CONFIG for name, module in _MODULES.items()}
DESCRIPTIONS: dict[str, str] = {
    name: (module.__doc__ or "").partition("\n")[0].rstrip(".") for name, module in _MODULES.items()
}
