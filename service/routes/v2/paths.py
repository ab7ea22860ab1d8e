"""The paths of models and versions under ``/v2``."""

from typing import Annotated

from fastapi import Path

NAME = "/models/{name}"
VERSION = NAME + "/versions/{version}"
Version = Annotated[int, Path(ge=1, description="Version of the model")]
