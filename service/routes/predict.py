"""``POST /predict``: images in, class activations and pose matrices out."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.backends.artefact import CLASS_OUTPUTS
from matcaps.service.engine.engine import Engine
from matcaps.service.http import responses
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.openapi import IMAGES_BODY, arrays_too, problems
from matcaps.service.http.query import NAME, VERSION, query_of
from matcaps.service.http.schemas import PredictAnswer
from matcaps.service.images.pool import DecoderPool
from matcaps.service.routes.inference import ImageInference
from matcaps.service.settings import Settings

ERRORS = problems([400, 401, 404, 406, 408, 413, 415, 422, 429, 503, 504])


def predict_routes(engine: Engine, decoder: DecoderPool, settings: Settings) -> APIRouter:
    """The route for predictions."""
    router = APIRouter(tags=["capsules"])
    inference = ImageInference(engine, decoder, settings)

    @router.post(
        "/predict",
        responses={200: arrays_too(PredictAnswer), **ERRORS},
        openapi_extra={"requestBody": IMAGES_BODY, "parameters": [NAME, VERSION]},
    )
    async def predict(request: Request) -> Response:
        """Class activations and pose matrices of images."""
        query = query_of(request)
        kind = responses.choose_type(request)
        with engine.lease(query.model, context_of(request)) as version:
            outputs = version.metadata.usual_outputs() if kind == responses.NPZ else CLASS_OUTPUTS
            found = await inference.predict(request, version, outputs)
        if kind == responses.NPZ:
            return await decoder.apart(responses.npz, found.arrays, found.id)
        predictions = responses.predictions(found.metadata, found.arrays)
        return responses.json({"id": found.id, "model": found.model, "predictions": predictions})

    return router
