"""The settings of a cluster: those of the service, and the number and size of replicas."""

import sys

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from matcaps.service.settings import Settings

# With fewer, a replica would idle, because requests that wait for room look for it only at intervals.
BATCHES_AHEAD = 8


class Options(Settings):
    """The service's settings, and those of the cluster: arguments of ``build``, or environment variables ``MATCAPS_…``.

    Raises:
        ValidationError: A name is unknown, or a value is wrong.
    """

    model_config = SettingsConfigDict(extra="forbid")

    host: str = "0.0.0.0"
    """address that Serve's proxy listens at (http_options); repeat it here, since any but loopback needs API keys"""
    min_replicas: int = Field(1, ge=1)
    """least number of replicas that run networks"""
    max_replicas: int = Field(1, ge=1)
    """greatest number of replicas that run networks"""
    cpus_per_replica: float = Field(1.0, gt=0)
    """cores that Ray reserves for a replica; it runs as many threads of inference, unless threads is set"""

    @model_validator(mode="after")
    def _check_replicas(self) -> "Options":
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas must be at least min_replicas ({self.min_replicas}), got {self.max_replicas}"
            )
        return self

    @property
    def target_ongoing(self) -> int:
        """Requests per replica above which Serve adds one: those of one batch, without any that wait."""
        return self.max_batch

    @property
    def max_ongoing(self) -> int:
        """Most requests on one replica: those of a few batches. Others wait for the first replica that has room."""
        return BATCHES_AHEAD * self.max_batch

    def for_network(self) -> Settings:
        """The settings of the service's code in a replica.

        Only the entrance refuses requests for a full queue, and only ``serve.batch`` waits to fill a batch.
        """
        threads = self.threads or max(1, int(self.cpus_per_replica))
        return self.model_copy(update={"threads": threads, "max_queue": sys.maxsize, "max_wait_ms": 0.0})
