"""What can be set: each as an environment variable ``MATCAPS_…`` and as an option of ``matcaps serve``."""

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
    """address to listen at"""
    port: int = Field(8000, ge=0, le=65535)
    """port to listen at; 0 takes a free one"""
    models: Path = Path("model_repository")
    """folder that holds NAME/VERSION/model.onnx"""
    default_model: str = "smallnorb"
    """name of the model that answers where a request names none"""
    poll_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    """seconds from one look at the folder of models to the next; at 0 it is looked at again on SIGHUP only"""
    model_control: bool = False
    """let models be loaded and unloaded by POST /v2/repository/models/NAME/load and unload"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where networks run; cuda refuses to start without a GPU, auto takes one if there is one"""
    threads: int = Field(0, ge=0, le=1024)
    """threads of inference on the CPU; 0 takes one per core that the process may use"""
    cuda_graphs: bool = False
    """record each batch size as a CUDA graph, which saves launches: small batches take a third of the time"""
    tf32: bool = False
    """let a GPU round the factors of products to 10 bits, which is faster and misses the parity bound of 1e-4"""
    gpu_memory_mib: int = Field(0, ge=0)
    """most memory that one network may take for its tensors on a GPU, in MiB; 0 sets no limit"""
    max_batch: int = Field(8, ge=1)
    """most samples that a network runs at once; larger requests are run in pieces"""
    max_wait_ms: float = Field(0.0, ge=0, le=10_000)
    """longest time that a batch waits for more samples; at 0 a network that is free takes at once what there is"""
    max_queue: int = Field(512, ge=1)
    """most samples that may wait for one network, and images to be decoded; more are refused with 429"""
    timeout_ms: float = Field(30_000.0, gt=0)
    """longest time that a request may wait for its turn, decoding included; X-Request-Timeout-Ms asks for less"""
    max_body_bytes: int = Field(32 * 2**20, ge=1)
    """largest request body, in bytes"""
    max_images: int = Field(64, ge=1)
    """most images in one request"""
    max_pixels: int = Field(50_000_000, ge=1)
    """most pixels of one image, checked before it is decoded"""
    body_timeout_s: float = Field(30.0, gt=0)
    """longest time that a client may take to send its headers, and then its body, in seconds"""
    kept_poses: int = Field(10_000, ge=0)
    """most samples whose poses are kept for GET /poses/{id}"""
    kept_poses_s: float = Field(600.0, ge=0.001, allow_inf_nan=False)
    """longest time that poses are kept, in seconds"""
    poses_url: str = ""
    """URL of a Redis that keeps poses for all replicas, redis://host:6379/0; empty: each keeps its own in memory"""
    api_keys: Path | None = None
    """file of API keys, a line NAME sha256:HASH each; matcaps keys NAME makes one"""
    allow_anonymous: bool = False
    """listen without keys where others than this machine can ask"""
    drain_s: int = Field(30, ge=1)
    """longest time that SIGTERM waits for requests that have begun, in seconds"""
    traces_url: str = ""
    """where an OpenTelemetry collector takes traces, like http://127.0.0.1:4318/v1/traces; needs the extra tracing"""
    log_format: Literal["auto", "json", "text"] = "auto"
    """json is a line of JSON for each event; auto is text on a terminal and json elsewhere"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """lowest level that is logged; each request is a line of level info, an error from status 500 on"""
