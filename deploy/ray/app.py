"""``serve run deploy.ray.app:build models=model_repository host=127.0.0.1 max_replicas=3``."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import ray
from fastapi import FastAPI
from numpy.typing import NDArray
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from deploy.ray.messages import Description, Reply
from deploy.ray.network import Networks
from deploy.ray.options import Options
from deploy.ray.remote import Remote
from deploy.ray.request_id import OneRequestId
from matcaps.service.app import create_app_over
from matcaps.service.backends.cuda import count_gpus
from matcaps.service.engine.loader import Load, ModelLoader, opener_of, queue_of
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.statistics import Statistics
from matcaps.service.keys import Keys, check_exposure
from matcaps.service.settings import Settings
from matcaps.service.telemetry.batches import BatchObserver
from matcaps.service.telemetry.logs import configure

LOST = (RayError, RayServeException)
QUIET = {"enable_access_log": False}  # the service logs each request itself
# Longest time until a request that found all replicas full tries again; Serve's default is half a second.
LOOK_AGAIN_S = 0.05
NO_LIMIT = 1_000_000  # requests in the entrance: the service itself refuses those that are too many, with 429


class Network(Networks):
    """A replica that runs networks; see ``Networks``."""

    def __init__(self, options: Options, load: Load) -> None:
        configure(options.log_format, options.log_level)
        join = serve.batch(max_batch_size=options.max_batch, batch_wait_timeout_s=options.max_wait_ms / 1e3)
        super().__init__(options.for_network(), load, join)


@serve.ingress()
class Entrance:
    """The replica that answers HTTP: the service's own application and engine, over versions that run on replicas."""

    def __init__(self, networks: DeploymentHandle, settings: Settings) -> None:
        self._networks, self._settings = networks, settings

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """The application; Serve calls this once."""
        log = configure(self._settings.log_format, self._settings.log_level)
        loader = _replica_loader(self._networks, self._settings)
        # In a thread, because it waits for the replicas.
        app = await asyncio.to_thread(create_app_over, self._settings, loader, time.monotonic, log)
        app.add_middleware(OneRequestId)
        return app


def build(options: Options) -> Application:
    """The application, from the arguments of ``serve run`` or of a Serve config.

    Args:
        options: ``models`` must be a folder that every node has at the same path.

    Raises:
        StartError: The service would be reachable from outside without API keys.
    """
    if options.api_keys is None:  # otherwise the entrance reads them, on its node
        check_exposure(options.host, Keys(None), options.allow_anonymous)
    device = _device(options)
    # Absolute paths, because replicas have other working folders.
    paths = {"models": options.models.resolve(), "api_keys": options.api_keys and options.api_keys.resolve()}
    chosen = options.model_copy(update={**paths, "device": device})
    return build_over(chosen, opener_of(chosen.for_network()), gpus=int(device == "cuda"))


def build_over(options: Options, load: Load, gpus: int = 0) -> Application:
    """The application over networks of any kind.

    Args:
        options: The settings.
        load: Opens a model file, in the process of a replica.
        gpus: GPUs for each replica.
    """
    network = serve.deployment(
        Network,
        max_ongoing_requests=options.max_ongoing,
        autoscaling_config=AutoscalingConfig(
            min_replicas=options.min_replicas,
            max_replicas=options.max_replicas,
            target_ongoing_requests=options.target_ongoing,
        ),
        ray_actor_options={"num_cpus": options.cpus_per_replica, "num_gpus": gpus},
        request_router_config=RequestRouterConfig(max_backoff_s=LOOK_AGAIN_S),
        graceful_shutdown_timeout_s=options.drain_s,
        logging_config=QUIET,
    )
    # One, because poses may be kept in its memory; see README.md for more than one.
    entrance = serve.deployment(
        Entrance,
        num_replicas=1,
        max_ongoing_requests=NO_LIMIT,
        graceful_shutdown_timeout_s=options.drain_s,
        logging_config=QUIET,
    )
    return entrance.bind(network.bind(options, load), options)


def _device(options: Options) -> Literal["cpu", "cuda"]:
    """The device of every replica: one for all, so that results do not depend on the replica."""
    if options.device != "auto":
        return options.device
    # serve run builds before it connects; then the cluster is this machine, unless an address is given.
    gpus = ray.cluster_resources().get("GPU", 0) if ray.is_initialized() else count_gpus()
    return "cuda" if gpus else "cpu"


def _replica_loader(networks: DeploymentHandle, settings: Settings) -> ModelLoader:
    """A loader of versions that run on replicas: the entrance's counterpart of ``local_loader``."""

    def load(name: str, version: int, path: Path, observers: Sequence[BatchObserver]) -> ModelVersion:
        try:
            described: Description | str = networks.describe.remote(name, version).result()
        except LOST as error:
            raise ValueError(f"no replica could be asked: {error}") from error
        if isinstance(described, str):
            raise ValueError(described)

        async def ask(images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float) -> Reply:
            response: Any = networks.run.remote(name, version, images, outputs, wait_s)
            try:
                reply: Reply = await response
            except asyncio.CancelledError:
                response.cancel()  # takes the samples out of the replica's queue
                raise
            return reply

        statistics = Statistics()
        remote = Remote(ask, LOST, queue_of(settings), observers=[*observers, statistics])
        return ModelVersion(name, version, described.metadata, described.provider, [remote], statistics)

    return load
