"""The HTTP application, put together from its parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from matcaps import __version__
from matcaps.service.cores import usable_cores
from matcaps.service.engine.engine import Engine
from matcaps.service.engine.loader import Load, ModelLoader, local_loader
from matcaps.service.engine.local import LocalEngine
from matcaps.service.engine.reload import Reloader
from matcaps.service.http.middleware.api_key import ApiKeyMiddleware
from matcaps.service.http.middleware.discard_body import DiscardBodyMiddleware
from matcaps.service.http.middleware.head import HeadMiddleware
from matcaps.service.http.middleware.request_context import RequestContextMiddleware
from matcaps.service.http.middleware.root_path import RootPathMiddleware
from matcaps.service.http.openapi import DocumentedAPI
from matcaps.service.http.problems import add_error_handlers
from matcaps.service.images.pool import DecoderPool
from matcaps.service.keys import Keys, check_exposure
from matcaps.service.poses.memory import InMemoryPoseStore
from matcaps.service.poses.redis import RedisPoseStore
from matcaps.service.poses.store import PoseStore
from matcaps.service.routes.documentation import documentation_routes
from matcaps.service.routes.health import health_routes
from matcaps.service.routes.metrics import Exposition, metrics_routes
from matcaps.service.routes.models import model_routes
from matcaps.service.routes.poses import poses_routes
from matcaps.service.routes.predict import predict_routes
from matcaps.service.routes.v2.routes import v2_routes
from matcaps.service.routes.web import web_routes
from matcaps.service.settings import Settings
from matcaps.service.telemetry.batches import BatchObserver
from matcaps.service.telemetry.metrics import BatchMetrics, Metrics, expose
from matcaps.service.telemetry.traces import Traces

# What a web page of another origin may read of a response, beside Content-Type and the like.
EXPOSED_HEADERS = (
    "X-Request-Id",
    "Server-Timing",
    "Retry-After",
    "X-Prediction-Id",
    "Inference-Header-Content-Length",
    "WWW-Authenticate",
)


def create_app(
    settings: Settings,
    load: Load,
    clock: Callable[[], float] = time.monotonic,
    log: Any = structlog.stdlib.get_logger("matcaps"),  # noqa: B008
) -> FastAPI:
    """The application whose networks run in this process.

    Args:
        settings: The settings of the service.
        load: Opens a model file: one session for each device. Raises ValueError with a reason if it cannot be served.
        clock: Monotonic clock in seconds.
        log: Gets one line per request.

    Raises:
        StartError: The folder of models, the default model, the API keys, the URL of the pose store or a package for
            traces is missing or wrong, or the service would be reachable from outside without API keys.
    """
    return create_app_over(settings, local_loader(settings, load, clock), clock, log)


def create_app_over(settings: Settings, loader: ModelLoader, clock: Callable[[], float], log: Any) -> FastAPI:
    """The application whose networks run wherever the loader starts them; see ``create_app``."""
    metrics, keys = Metrics(), Keys(settings.api_keys)
    check_exposure(settings.host, keys, settings.allow_anonymous)
    traces = traces_of(settings)
    engine = create_engine(settings, loader, metrics, traces, clock)

    def refresh() -> None:
        keys.refresh()
        engine.refresh()

    async def exposition(accept: str) -> tuple[bytes, str]:
        return expose(metrics.registry, accept)

    reloader = Reloader(refresh, settings.poll_s)
    app = create_front(engine, settings, keys, metrics, traces, log, exposition, reloader.close)
    app.state.reloader = reloader
    return app


def traces_of(settings: Settings) -> Traces | None:
    """What sends traces, if the settings name a collector."""
    return Traces(settings.traces_url, __version__) if settings.traces_url else None


def create_engine(
    settings: Settings, loader: ModelLoader, metrics: Metrics, traces: Traces | None, clock: Callable[[], float]
) -> LocalEngine:
    """The engine of this process, whose batches are counted and traced; see ``create_app``."""

    def observers(model: str) -> list[BatchObserver]:
        return [BatchMetrics(metrics, model), *([traces.observer(model)] if traces is not None else [])]

    def load_failed(name: str, version: int) -> None:
        metrics.load_failures.labels(name, version).inc()

    engine = LocalEngine(settings, loader, pose_store(settings, metrics, clock), observers, load_failed, clock)
    metrics.watch(engine.models)
    return engine


def create_front(
    engine: Engine,
    settings: Settings,
    keys: Keys,
    metrics: Metrics,
    traces: Traces | None,
    log: Any,
    exposition: Exposition,
    before_close: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The application over any engine, of this process or of another one.

    Args:
        engine: Starts and ends with the application.
        settings: The settings of the service.
        keys: The valid API keys.
        metrics: Counts the requests.
        traces: Gets one span per request; None without tracing.
        log: Gets one line per request.
        exposition: The text of ``/metrics``.
        before_close: Called after the last request, before the engine closes.
    """
    workers = settings.http_workers  # share the cores and the limit on waiting images
    decoder = DecoderPool(settings.max_pixels, -(-settings.max_queue // workers), -(-usable_cores() // workers))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        engine.drain()
        before_close()
        decoder.close()
        await engine.close()
        if traces is not None:
            await asyncio.to_thread(traces.close)

    app = DocumentedAPI(
        keys_needed=bool(keys),
        title="matcaps",
        summary="Matrix capsules with EM routing: images in, class activations and pose matrices out.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages load from other hosts
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the service has its own
    )
    app.state.engine = engine
    # The last one that is added is the outermost.
    app.add_middleware(HeadMiddleware)
    app.add_middleware(ApiKeyMiddleware, keys=keys, open_pages=settings.open_pages)
    app.add_middleware(DiscardBodyMiddleware, longest_s=settings.body_timeout_s)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins.split(","),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(RequestContextMiddleware, metrics=metrics, log=log, traces=traces)
    if settings.root_path:
        app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    add_error_handlers(app)
    routers = (
        predict_routes(engine, decoder, settings),
        poses_routes(engine, decoder, settings),
        model_routes(engine),
        health_routes(engine),
        metrics_routes(exposition),
        v2_routes(engine, decoder, settings),
        documentation_routes(),
        web_routes(settings.root_path),
    )
    for router in routers:
        app.include_router(router)
    app.call_directly(routers)
    return app


def pose_store(settings: Settings, metrics: Metrics, clock: Callable[[], float]) -> PoseStore:
    """Where poses are kept: in Redis, if the settings name one, otherwise in the memory of this process."""
    if settings.poses_url:
        lost = metrics.poses_lost.inc
        return RedisPoseStore(settings.poses_url, settings.kept_poses, settings.kept_poses_s, lost, clock)
    return InMemoryPoseStore(settings.kept_poses, settings.kept_poses_s, clock)
