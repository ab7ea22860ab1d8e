"""The two clients behind one function, so that each test runs with both."""

import asyncio
from typing import Any, Literal

from matcaps.client import AsyncClient, Client

Kind = Literal["sync", "async"]
KINDS: tuple[Kind, ...] = ("sync", "async")


def call(
    kind: Kind, address: str, method: str, *arguments: Any, options: dict[str, Any] | None = None, **more: Any
) -> Any:
    """The result of a client's method; ``options`` are those of the client."""
    if kind == "sync":
        with Client(address, **(options or {})) as client:
            return getattr(client, method)(*arguments, **more)

    async def run() -> Any:
        async with AsyncClient(address, **(options or {})) as client:
            return await getattr(client, method)(*arguments, **more)

    return asyncio.run(run())
