"""What the routes are given: the parts of one running service."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from matcaps.service.engine.reload import Reloader
from matcaps.service.engine.repository import Repository
from matcaps.service.images.pool import DecoderPool
from matcaps.service.poses.store import PoseStore
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import Metrics


@dataclass
class Service:
    """The parts of one running service, made by ``create_app``.

    Attributes:
        settings: What was set.
        repository: The models.
        reloader: Looks at their folder again.
        decoder: Images to samples.
        kept: Poses under their ids.
        metrics: What is counted.
        clock: Seconds that only grow.
        started: False before the service has started and from when it begins to drain.
    """

    settings: Settings
    repository: Repository
    reloader: Reloader
    decoder: DecoderPool
    kept: PoseStore
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    started: bool = False

    @property
    def alive(self) -> bool:
        """Whether every network's threads still run."""
        return all(served.alive for served in self.repository.served)

    @property
    def ready(self) -> bool:
        """Whether requests are taken, and the default model can answer them."""
        return self.started and self.repository.ready
