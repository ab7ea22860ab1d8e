"""What can be set on a cluster: the service's own settings, and how far it scales."""

import sys

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from matcaps.service.settings import Settings

# A replica that had fewer would idle: who waits for room looks for it only every so often.
BATCHES_AHEAD = 8


class Options(Settings):
    """The service's settings, and those of the cluster; arguments of ``build``, or environment variables ``MATCAPS_…``.

    Raises:
        ValidationError: Something has no such value, or no such name.
    """

    model_config = SettingsConfigDict(extra="forbid")

    host: str = "0.0.0.0"
    """address that Serve's own proxy listens at: said again here, so that others than this machine need a key"""
    min_replicas: int = Field(1, ge=1)
    """fewest replicas of the networks"""
    max_replicas: int = Field(1, ge=1)
    """most replicas of the networks"""
    cpus_per_replica: float = Field(1.0, gt=0)
    """cores that Ray sets aside for a replica; as many threads run its inference, unless the threads are set"""

    @model_validator(mode="after")
    def _check_replicas(self) -> "Options":
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is less than min_replicas {self.min_replicas}")
        return self

    @property
    def target_ongoing(self) -> int:
        """Requests on one replica from which on another one is wanted: those of one batch, with none that wait."""
        return self.max_batch

    @property
    def max_ongoing(self) -> int:
        """Most requests on one replica, those of some batches; all others wait for whichever replica has room first."""
        return BATCHES_AHEAD * self.max_batch

    def for_network(self) -> Settings:
        """The settings of the service's code in a replica of the networks.

        The entrance alone refuses what there is no room for, and ``serve.batch`` alone waits for company.
        """
        threads = self.threads or max(1, int(self.cpus_per_replica))
        return self.model_copy(update={"threads": threads, "max_queue": sys.maxsize, "max_wait_ms": 0.0})
