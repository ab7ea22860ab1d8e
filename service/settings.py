"""The settings of the service: environment variables ``MATCAPS_…`` and options of ``matcaps serve``.

The docstrings of the fields are the text of ``--help`` and of the table in docs/configuration.md.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "MATCAPS_"
# What platforms set for a service called matcaps, or matcaps-SOMETHING: Kubernetes for its Services, Docker for links.
LINK = re.compile(r"(tcp|udp|sctp)://\S+", re.IGNORECASE)  # the value of …_PORT
LINKED = re.compile(r"(.+_)?(service_(host|port(_.+)?)|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?|env_.+)")
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
ROUTES = {"docs", "health", "metrics", "models", "openapi.json", "poses", "predict", "v2", "web"}  # how routes begin
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?")


class Environment(EnvSettingsSource):
    """The environment variables, without empty ones and without ports that a platform set for a service of our name."""

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if not self._is_ignored(name, value)}

    @staticmethod
    def _is_ignored(name: str, value: Any) -> bool:
        text = str(value).strip()
        # An empty file of keys is refused later: ignoring it would accept every request.
        return (not text and name != "api_keys") or _is_link(name, text)


class Settings(BaseSettings):
    """Serve exported capsule networks over HTTP."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="matcaps serve",
        cli_exit_on_error=False,
        cli_hide_none_type=True,
        cli_parse_none_str="no file",  # not "null": then `--api-keys null` would accept every request
        use_attribute_docstrings=True,
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
    )

    host: str = "127.0.0.1"
    """address to listen on"""
    port: int = Field(8000, ge=0, le=65535)
    """port to listen on; 0 picks a free one"""
    http_workers: int = Field(1, ge=1, le=256)
    """processes that speak HTTP before the one that runs the networks; 1 does all in one process"""
    root_path: str = ""
    """path under which a proxy serves the service, such as /capsules; the proxy may remove it or leave it there"""
    cors_origins: str = ""
    """origins whose web pages may call the service, such as https://app.example.com, with commas between; * for any"""
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
    cpu_kernel: Literal["auto", "on", "off"] = "auto"
    """routing on the CPU by a C++ kernel instead of onnxruntime: auto uses it as soon as it is compiled and agrees"""
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
    open_pages: bool = True
    """show the pages / and /docs, their files and /openapi.json without an API key; they hold nothing secret"""
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments override the environment. No file is read."""
        return init_settings, Environment(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _tidy(cls, value: Any, info: ValidationInfo) -> Any:
        """Without white space around it, and a choice in lower case."""
        if not isinstance(value, str):
            return value
        field, text = cls.model_fields[str(info.field_name)], value.strip()
        if not text and field.default != "":
            meant = "; leave it out to accept every request" if info.field_name == "api_keys" else ""
            raise ValueError(f"expected a value{meant}")
        return text.lower() if get_origin(field.annotation) is Literal else text

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if ROOT_PATH.fullmatch(path) is None or {".", ".."} & {*path.split("/")}:
            raise ValueError("expected a path such as /capsules, of letters, digits and the characters / . _ ~ -")
        if {*path.split("/")[1:2]} & ROUTES:  # nobody could tell whether the proxy has removed it
            raise ValueError("expected a path that does not begin like a route of the service")
        return path

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, value: str) -> str:
        """Browsers compare origins as text, in lower case."""
        origins = [origin.strip().lower() for origin in value.split(",")] if value else []
        if any(ORIGIN.fullmatch(origin) is None for origin in origins) and origins != ["*"]:
            raise ValueError(
                "expected origins such as https://app.example.com with commas between, without a path, or *"
            )
        return ",".join(origins)


def warnings_of(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like a setting and is ignored, unless platforms set such variables."""
    sentences = []
    for variable, value in sorted(environment.items()):
        prefix, name = variable[: len(PREFIX)].upper(), variable[len(PREFIX) :].lower()
        if prefix != PREFIX:
            continue
        if name in Settings.model_fields:
            if _is_link(name, value):
                sentences.append(
                    f"{variable} is ignored: expected a port, got {value}, which Kubernetes and Docker set for a "
                    f"service called matcaps; set enableServiceLinks: false in the pod, or rename the service"
                )
        elif not _is_injected(name, value):
            close = difflib.get_close_matches(name, Settings.model_fields, 1, cutoff=0.7)
            meant = "".join(f"; did you mean {PREFIX}{other.upper()}?" for other in close)
            sentences.append(f"{variable} is ignored: no setting has that name{meant}")
    return sentences


def _is_link(name: str, value: str) -> bool:
    return (name == "port" or name.endswith("_port")) and LINK.fullmatch(value) is not None


def _is_injected(name: str, value: str) -> bool:
    """Whether a platform sets such a variable; Docker's link …_NAME is a path of containers."""
    return LINKED.fullmatch(name) is not None or _is_link(name, value) or (name.endswith("name") and value[:1] == "/")
