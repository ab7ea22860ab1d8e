"""The command line: ``python -m training {download,train,evaluate,release}``."""

import tyro

from training.config import RECIPES
from training.loop import train

if __name__ == "__main__":
    print(train(tyro.extras.overridable_config_cli(RECIPES)))
