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
from matcaps.service.batcher import Observer
from matcaps.service.decoder import Decoder
from matcaps.service.drain import Drain
from matcaps.service.guard import Guard
from matcaps.service.keys import Keys, check_exposure
from matcaps.service.metrics import BatchMetrics, Metrics
from matcaps.service.openapi import DocumentedAPI
from matcaps.service.opening import Load, MakeReady, ready_here
from matcaps.service.poses import PosesInMemory, PoseStore
from matcaps.service.redis_poses import PosesInRedis
from matcaps.service.refusals import answer_errors
from matcaps.service.reload import Reloader
from matcaps.service.repository import Repository
from matcaps.service.routes.capsules import capsule_routes
from matcaps.service.routes.health import health_routes
from matcaps.service.routes.metrics import metrics_routes
from matcaps.service.routes.models import model_routes
from matcaps.service.served import Served
from matcaps.service.service import Service
from matcaps.service.settings import Settings
from matcaps.service.statistics import Statistics
from matcaps.service.traces import Traces
from matcaps.service.v2.routes import v2_routes
from matcaps.service.watch import Watch


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


def create_app_over(settings: Settings, make_ready: MakeReady, clock: Callable[[], float], log: Any) -> FastAPI:
    """The service as ``create_app`` makes it, over networks wherever they are.

    Args:
        settings: What was set.
        make_ready: Makes a version ready to serve.
        clock: Seconds that only grow.
        log: Takes a line for each request.

    Raises:
        StartError: As ``create_app`` does.
    """

    def open_version(name: str, version: int, path: Path) -> Served:
        statistics = Statistics()
        observers: list[Observer] = [BatchMetrics(metrics, name), statistics]
        if traces is not None:
            observers.append(traces.observer(name))
        ready = make_ready(name, version, path, observers)
        return Served(name, version, ready.metadata, ready.provider, ready.networks, statistics)

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
        decoder=Decoder(settings.max_pixels, settings.max_queue),
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
    app.add_middleware(Guard, keys=keys)
    app.add_middleware(Drain, most_bytes=2 * settings.max_body_bytes)
    app.add_middleware(Watch, metrics=metrics, log=log, traces=traces)  # the last one added stands outermost
    answer_errors(app)
    for routes in (capsule_routes, model_routes, health_routes, metrics_routes, v2_routes):
        app.include_router(routes(service))
    return app


def _pose_store(settings: Settings, metrics: Metrics, clock: Callable[[], float]) -> PoseStore:
    if settings.poses_url:
        lost = metrics.poses_lost.inc
        return PosesInRedis(settings.poses_url, settings.kept_poses, settings.kept_poses_s, lost, clock)
    return PosesInMemory(settings.kept_poses, settings.kept_poses_s, clock)
