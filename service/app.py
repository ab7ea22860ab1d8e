"""The HTTP service, put together from its parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from matcaps import __version__
from matcaps.service.engine.batcher import Observer
from matcaps.service.engine.loader import Load, ModelLoader, ready_here
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.reload import Reloader
from matcaps.service.engine.repository import Repository
from matcaps.service.engine.statistics import Statistics
from matcaps.service.http.middleware.api_key import ApiKeyMiddleware
from matcaps.service.http.middleware.discard_body import DiscardBodyMiddleware
from matcaps.service.http.middleware.request_context import RequestContextMiddleware
from matcaps.service.http.openapi import DocumentedAPI
from matcaps.service.http.problems import answer_errors
from matcaps.service.images.pool import DecoderPool
from matcaps.service.keys import Keys, check_exposure
from matcaps.service.poses.memory import InMemoryPoseStore
from matcaps.service.poses.redis import RedisPoseStore
from matcaps.service.poses.store import PoseStore
from matcaps.service.routes.health import health_routes
from matcaps.service.routes.metrics import metrics_routes
from matcaps.service.routes.models import model_routes
from matcaps.service.routes.predict import capsule_routes
from matcaps.service.routes.v2.routes import v2_routes
from matcaps.service.service import Service
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import BatchMetrics, Metrics
from matcaps.service.telemetry.traces import Traces


def create_app(
    settings: Settings,
    load: Load,
    clock: Callable[[], float] = time.monotonic,
    log: Any = structlog.stdlib.get_logger("matcaps"),  # noqa: B008
) -> FastAPI:
    """The service over the folder of models that the settings name, whose networks run in this process.

    Args:
        settings: What was set.
        load: The networks of a model file, one for each device; ValueError says why there are none.
        clock: Seconds that only grow.
        log: Takes a line for each request.

    Raises:
        StartError: There is no folder, the default model cannot be served, the file of keys cannot be read, the URL of
            the store of poses is none, what traces need is not installed, or the service would be open to
            others without keys.
    """
    return create_app_over(settings, ready_here(settings, load, clock), clock, log)


def create_app_over(settings: Settings, make_ready: ModelLoader, clock: Callable[[], float], log: Any) -> FastAPI:
    """The service as ``create_app`` makes it, over networks wherever they are.

    Args:
        settings: What was set.
        make_ready: Makes a version ready to serve.
        clock: Seconds that only grow.
        log: Takes a line for each request.

    Raises:
        StartError: As ``create_app`` does.
    """

    def open_version(name: str, version: int, path: Path) -> ModelVersion:
        statistics = Statistics()
        observers: list[Observer] = [BatchMetrics(metrics, name), statistics]
        if traces is not None:
            observers.append(traces.observer(name))
        ready = make_ready(name, version, path, observers)
        return ModelVersion(name, version, ready.metadata, ready.provider, ready.networks, statistics)

    def load_failed(name: str, version: int) -> None:
        metrics.load_failures.labels(name, version).inc()

    metrics, keys = Metrics(), Keys(settings.api_keys)
    check_exposure(settings.host, keys, settings.allow_anonymous)
    traces = Traces(settings.traces_url, __version__) if settings.traces_url else None
    repository = Repository(settings.models, settings.default_model, open_version, load_failed)
    metrics.watch(repository)

    def refresh() -> None:
        keys.refresh()
        repository.refresh()

    service = Service(
        settings=settings,
        repository=repository,
        reloader=Reloader(refresh, settings.poll_s),
        decoder=DecoderPool(settings.max_pixels, settings.max_queue),
        kept=_pose_store(settings, metrics, clock),
        metrics=metrics,
        clock=clock,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.started = True
        yield
        service.started = False
        service.reloader.close()
        service.decoder.close()
        service.repository.close()
        await service.kept.close()
        if traces is not None:
            await asyncio.to_thread(traces.close)

    app = DocumentedAPI(
        title="matcaps",
        summary="Matrix capsules with EM routing: images in, class activations and pose matrices out.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_middleware(ApiKeyMiddleware, keys=keys)
    app.add_middleware(DiscardBodyMiddleware, most_bytes=2 * settings.max_body_bytes)
    # The last one added stands outermost.
    app.add_middleware(RequestContextMiddleware, metrics=metrics, log=log, traces=traces)
    answer_errors(app)
    for routes in (capsule_routes, model_routes, health_routes, metrics_routes, v2_routes):
        app.include_router(routes(service))
    return app


def _pose_store(settings: Settings, metrics: Metrics, clock: Callable[[], float]) -> PoseStore:
    if settings.poses_url:
        lost = metrics.poses_lost.inc
        return RedisPoseStore(settings.poses_url, settings.kept_poses, settings.kept_poses_s, lost, clock)
    return InMemoryPoseStore(settings.kept_poses, settings.kept_poses_s, clock)
