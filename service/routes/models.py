"""``/models``: what is served, and what is refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.http import responses as answers
from matcaps.service.http.openapi import problems
from matcaps.service.http.schemas import ModelAnswer, ModelsAnswer
from matcaps.service.service import Service

Version = Annotated[int | None, Query(ge=1, description="Version of the model; the highest if absent")]


def model_routes(service: Service) -> APIRouter:
    """Routes that describe models."""
    router = APIRouter(prefix="/models", tags=["models"])
    repository = service.repository

    def describe(served: ModelVersion) -> dict[str, Any]:
        return {
            "name": served.name,
            "version": served.version,
            "versions": repository.versions(served.name),
            "default": served.name == repository.default,
            "provider": served.provider,
            **served.metadata.model_dump(mode="json"),
        }

    @router.get("", response_model=ModelsAnswer, responses=problems([401, 406]))
    async def models(request: Request) -> Any:
        """What is served, each model in the version that answers by default, and which files are refused."""
        answers.choose_type(request, [answers.JSON])
        return {
            # In the order of name and version: of each name the last one stays.
            "models": [describe(served) for served in {served.name: served for served in repository.served}.values()],
            "refused": [
                {"name": name, "version": version, "reason": reason} for name, version, reason in repository.refused
            ],
        }

    @router.get("/{name}", response_model=ModelAnswer, responses=problems([400, 401, 404, 406]))
    async def model_of_name(request: Request, name: str, version: Version = None) -> Any:
        """One model: classes, image size, layers, training record, provider in use."""
        answers.choose_type(request, [answers.JSON])
        return describe(repository.find(name, version))

    return router
