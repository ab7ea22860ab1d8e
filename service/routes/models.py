"""``/models``: the models that are served, and the files that are refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from matcaps.service.engine.engine import Engine
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.engine.version_table import ModelIndex
from matcaps.service.http import query, responses
from matcaps.service.http.openapi import problems
from matcaps.service.http.schemas import ModelAnswer, ModelsAnswer

Version = Annotated[query.Version | None, Query(description="Version of the model; the highest if absent")]


def model_routes(engine: Engine) -> APIRouter:
    """Routes that describe models."""
    router = APIRouter(prefix="/models", tags=["models"])

    @router.get("", response_model=ModelsAnswer, responses=problems([401, 406]))
    async def models(request: Request) -> Any:
        """All models, each in the version that answers by default, and the files that are refused."""
        responses.choose_type(request, [responses.JSON])
        index = engine.models()
        # Versions come in their order, so the last one of each name stays.
        highest = {version.name: version for version in index.loaded}
        return {
            "models": [_describe(version, index) for version in highest.values()],
            "refused": [
                {"name": name, "version": version, "reason": reason} for name, version, reason in index.refused
            ],
        }

    @router.get("/{name}", response_model=ModelAnswer, responses=problems([400, 401, 404, 406]))
    async def model_of_name(request: Request, name: str, version: Version = None) -> Any:
        """One model: classes, image size, layers, training record, provider in use."""
        responses.choose_type(request, [responses.JSON])
        return _describe(engine.find(ModelRef(name, version)), engine.models())

    return router


def _describe(version: ModelVersion, index: ModelIndex) -> dict[str, Any]:
    return {
        **version.reference,
        "versions": index.versions(version.name),
        "default": version.name == index.default,
        "provider": version.provider,
        "backend": version.backend._asdict(),
        **version.metadata.model_dump(mode="json"),
    }
