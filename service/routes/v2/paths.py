"""The paths of models and versions under ``/v2``."""

from typing import Annotated

from fastapi import Path

from matcaps.service.http import query

PREFIX = "/v2"  # each router has it: a prefix of include_router is missing in the labels of metrics and spans
NAME = "/models/{name}"
VERSION = NAME + "/versions/{version}"
Version = Annotated[query.Version, Path(description="Version of the model")]
