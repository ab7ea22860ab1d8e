"""``POST /predict``: images in, class activations and pose matrices out."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.backends.artefact import CLASS_OUTPUTS
from matcaps.service.engine.engine import Engine
from matcaps.service.errors import MalformedError
from matcaps.service.http import responses
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.openapi import IMAGES_BODY, arrays_too, problems
from matcaps.service.http.query import NAME, OUTPUTS, VERSION, query_of
from matcaps.service.http.request_route import RequestRoute
from matcaps.service.http.schemas import PredictAnswer
from matcaps.service.images.pool import DecoderPool
from matcaps.service.routes.inference import ImageInference, check_output
from matcaps.service.settings import Settings

ERRORS = problems([400, 401, 404, 406, 408, 413, 415, 422, 429, 503, 504])


def predict_routes(engine: Engine, decoder: DecoderPool, settings: Settings) -> APIRouter:
    """The route for predictions."""
    router = APIRouter(tags=["capsules"], route_class=RequestRoute)
    inference = ImageInference(engine, decoder, settings)

    @router.post(
        "/predict",
        responses={200: arrays_too(PredictAnswer), **ERRORS},
        openapi_extra={"requestBody": IMAGES_BODY, "parameters": [NAME, VERSION, OUTPUTS]},
    )
    async def predict(request: Request) -> Response:
        """Class activations and pose matrices of images."""
        query = query_of(request)
        kind = responses.choose_type(request)
        if query.outputs is not None and kind != responses.NPZ:
            raise MalformedError(f"outputs can be chosen for {responses.NPZ} alone; name it in the header Accept")
        with engine.lease(query.model, context_of(request)) as version:
            names: Sequence[str] = CLASS_OUTPUTS
            if kind == responses.NPZ:
                names = query.outputs or version.metadata.usual_outputs()
                for name in names:
                    check_output(version.metadata, name)
            # The class poses are kept, so they are always among the outputs.
            found = await inference.predict(request, version, list({*names, "poses"}))
        if kind == responses.NPZ:
            return await decoder.apart(responses.npz, {name: found.arrays[name] for name in names}, found.id)
        predictions = responses.predictions(found.metadata, found.arrays)
        return responses.json({"id": found.id, "model": found.model, "predictions": predictions})

    return router
