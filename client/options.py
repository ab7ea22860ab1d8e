"""What both clients are made with."""

import ipaddress
from dataclasses import dataclass
from typing import Any

import httpx

from matcaps import __version__
from matcaps.client.attempts import Attempts, Timeouts
from matcaps.client.requests import Request

URL = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
ATTEMPTS = 4


@dataclass(frozen=True)
class Options:
    """Where the service is, and how it is asked; see ``Client``.

    Raises:
        ValueError: A value cannot be used.
    """

    url: str
    api_key: str | None
    timeout_s: float
    attempts: int

    def __post_init__(self) -> None:
        if httpx.URL(self.url).scheme not in ("http", "https") or not httpx.URL(self.url).host:
            raise ValueError(f"url must be like {URL} or https://HOST/PATH, got {self.url!r}")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise ValueError("api_key must be printable ASCII; the value is not shown here")
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {self.attempts}")
        self.begin()  # checks the timeout

    def begin(self, timeout_s: float | None = None, most: int | None = None) -> Attempts:
        """The attempts of one call that begins now."""
        return Attempts(self.url, self.timeout_s if timeout_s is None else timeout_s, most or self.attempts)

    def for_httpx(self) -> dict[str, Any]:
        """The arguments of an httpx client, which holds one pool of connections."""
        headers = {"user-agent": f"matcaps/{__version__}", "accept": "application/json"}
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key}"
        # No proxy leads to this machine itself, whatever HTTP_PROXY says.
        return {"base_url": self.url, "headers": headers, "trust_env": not _is_loopback(httpx.URL(self.url).host)}


def arguments(request: Request, attempts: Attempts) -> dict[str, Any]:
    """The arguments of ``httpx.Client.build_request`` for the next attempt."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.params,
        "content": request.content,
        "files": request.form or None,
        "headers": {**request.headers, **attempts.begin()},
        "extensions": {"timeout": Timeouts(attempts)},
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
