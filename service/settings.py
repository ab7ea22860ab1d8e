"""The settings of the service: environment variables ``MATCAPS_…`` and options of ``matcaps serve``.

The docstrings of the fields are the text of ``--help`` and of the table in docs/configuration.md.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Serve exported capsule networks over HTTP."""

    model_config = SettingsConfigDict(
        env_prefix="MATCAPS_",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="matcaps serve",
        cli_exit_on_error=False,
        use_attribute_docstrings=True,
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
    )

    host: str = "127.0.0.1"
    """address to listen on"""
    port: int = Field(8000, ge=0, le=65535)
    """port to listen on; 0 picks a free one"""
    models: Path = Path("model_repository")
    """folder of model files, NAME/VERSION/model.onnx"""
    default_model: str = "smallnorb"
    """model that answers requests that name none"""
    poll_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    """seconds between two readings of the folder of models and the file of keys; 0 reads them only on SIGHUP"""
    model_control: bool = False
    """allow loading and unloading models by POST /v2/repository/models/NAME/load and /unload"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where networks run; cuda never falls back to the CPU, auto uses a GPU if there is one"""
    threads: int = Field(0, ge=0, le=1024)
    """inference threads on the CPU; 0 uses one per core that the process may run on"""
    cuda_graphs: bool = False
    """capture a CUDA graph for each batch size, which makes small batches faster"""
    tf32: bool = False
    """let a GPU round factors to 10 bits (TF32): faster, but outputs miss the parity bound of 1e-4"""
    gpu_memory_mib: int = Field(0, ge=0)
    """most memory for the tensors of one network on a GPU, in MiB; 0 sets no limit"""
    max_batch: int = Field(8, ge=1)
    """most samples per batch; larger requests run in several batches"""
    max_wait_ms: float = Field(0.0, ge=0, le=10_000)
    """longest time that a batch waits for more samples, in milliseconds; 0 runs at once what has arrived"""
    max_queue: int = Field(512, ge=1)
    """most samples that may wait for a network, and most images that may wait to be decoded; more get 429"""
    timeout_ms: float = Field(30_000.0, gt=0)
    """longest wait for decoding and a batch, in milliseconds, then 504; X-Request-Timeout-Ms can shorten it"""
    max_body_bytes: int = Field(32 * 2**20, ge=1)
    """largest request body, in bytes"""
    max_images: int = Field(64, ge=1)
    """most images per request"""
    max_pixels: int = Field(50_000_000, ge=1)
    """most pixels per image, checked before decoding"""
    body_timeout_s: float = Field(30.0, gt=0)
    """longest time for a request's headers to arrive, and then for its body, in seconds"""
    keep_alive_s: int = Field(75, ge=1)
    """seconds after which an idle connection is closed; more than a load balancer keeps it"""
    kept_poses: int = Field(10_000, ge=0)
    """most samples whose poses are kept for GET /poses/{id}"""
    kept_poses_s: float = Field(600.0, ge=0.001, allow_inf_nan=False)
    """longest time that poses are kept, in seconds"""
    poses_url: str = ""
    """Redis that keeps poses for all replicas, redis://HOST:6379/0; without one each replica keeps its own"""
    api_keys: Path | None = None
    """file of API keys, one NAME sha256:HASH per line, see matcaps keys; without one every request is accepted"""
    allow_anonymous: bool = False
    """start without API keys at an address that other machines can reach"""
    drain_s: int = Field(30, ge=1)
    """longest time that running requests may take after SIGTERM, in seconds"""
    traces_url: str = ""
    """OpenTelemetry collector, http://127.0.0.1:4318/v1/traces; needs pip install 'matcaps[tracing]'"""
    log_format: Literal["auto", "json", "text"] = "auto"
    """json writes one line of JSON per event; auto writes text to a terminal and json elsewhere"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """lowest level that is logged; each request is an info entry, from status 500 on an error entry"""
