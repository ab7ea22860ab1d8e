"""The paths of models and versions under ``/v2``."""

from typing import Annotated

from fastapi import Path

PREFIX = "/v2"  # each router has it: a prefix of include_router is missing in the labels of metrics and spans
NAME = "/models/{name}"
VERSION = NAME + "/versions/{version}"
Version = Annotated[int, Path(ge=1, description="Version of the model")]
