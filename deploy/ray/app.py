"""``serve run deploy.ray.app:build models=models host=127.0.0.1 max_replicas=3``."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
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
from matcaps.service.engine.batcher import Observer
from matcaps.service.engine.loader import Load, Ready, load_as_set, queue_of
from matcaps.service.keys import Keys, check_exposure
from matcaps.service.settings import Settings
from matcaps.service.telemetry.logs import configure

LOST = (RayError, RayServeException)
QUIET = {"enable_access_log": False}  # the service has a line of its own for each request
# Longest time until a request that found all replicas full looks again; Serve's own is half a second.
LOOK_AGAIN_S = 0.05
NO_LIMIT = 1_000_000  # requests on the entrance: who is one too many is told so by the service, with 429


class Network(Networks):
    """The replicas that run networks; see ``Networks``."""

    def __init__(self, options: Options, load: Load) -> None:
        configure(options.log_format, options.log_level)
        join = serve.batch(max_batch_size=options.max_batch, batch_wait_timeout_s=options.max_wait_ms / 1e3)
        super().__init__(options.for_network(), load, join)


@serve.ingress()
class Entrance:
    """The replica that speaks HTTP: the service itself, whose networks are those of the other deployment."""

    def __init__(self, networks: DeploymentHandle, settings: Settings) -> None:
        self._networks, self._settings = networks, settings

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """What Serve asks for once this is made."""
        log = configure(self._settings.log_format, self._settings.log_level)
        make_ready = partial(_ready_there, self._networks, self._settings)
        # In a thread, because it waits for the networks.
        app = await asyncio.to_thread(create_app_over, self._settings, make_ready, time.monotonic, log)
        app.add_middleware(OneRequestId)
        return app


def build(options: Options) -> Application:
    """The application, from arguments as ``serve run`` and a Serve config hand them on.

    Args:
        options: ``models`` must be a folder that every node has at the same path.

    Raises:
        StartError: It would be open to others than this machine without a key.
    """
    if options.api_keys is None:  # else the entrance reads them, on its node
        check_exposure(options.host, Keys(None), options.allow_anonymous)
    device = _device(options)
    # Replicas have other working folders.
    paths = {"models": options.models.resolve(), "api_keys": options.api_keys and options.api_keys.resolve()}
    chosen = options.model_copy(update={**paths, "device": device})
    return build_over(chosen, load_as_set(chosen.for_network()), gpus=int(device == "cuda"))


def build_over(options: Options, load: Load, gpus: int = 0) -> Application:
    """The application over networks of any kind.

    Args:
        options: What was set.
        load: The networks of a model file, in the process of a replica.
        gpus: That each replica needs.
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
    """What every replica runs on: one device for all, or the answers would depend on where they were made."""
    if options.device != "auto":
        return options.device
    # serve run builds before it connects; the cluster is this machine then, unless an address is given.
    gpus = ray.cluster_resources().get("GPU", 0) if ray.is_initialized() else count_gpus()
    return "cuda" if gpus else "cpu"


def _ready_there(
    networks: DeploymentHandle, settings: Settings, name: str, version: int, path: Path, observers: Sequence[Observer]
) -> Ready:
    try:
        described: Description | str = networks.describe.remote(name, version).result()
    except LOST as error:
        raise ValueError(f"no network could be asked: {error}") from error
    if isinstance(described, str):
        raise ValueError(described)

    async def ask(images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float) -> Reply:
        response: Any = networks.run.remote(name, version, images, outputs, wait_s)
        try:
            reply: Reply = await response
        except asyncio.CancelledError:
            response.cancel()  # the replica is told that nobody waits any more
            raise
        return reply

    remote = Remote(ask, LOST, queue_of(settings), observers=observers)
    return Ready(described.metadata, described.provider, [remote])
