"""Clients in Python: httpx, matcaps.client, Triton's and KServe's. httpx returns answers, the others activations."""

import asyncio
from collections.abc import Sequence

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient import http as triton

from benchmarks.harness.trivial import SIDE
from matcaps.client import AsyncClient, Client

Bodies = Sequence[tuple[str, bytes]]
"""Media type and bytes of each request."""


def httpx_sync(address: str, bodies: Bodies) -> list[str]:
    """The answers to one connection's requests."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        return [client.post("/predict", content=body, headers={"content-type": kind}).text for kind, body in bodies]


def httpx_async(address: str, bodies: Bodies) -> list[str]:
    """The answers to requests at the same time."""

    async def run() -> list[str]:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            asked = [client.post("/predict", content=body, headers={"content-type": kind}) for kind, body in bodies]
            return [answer.text for answer in await asyncio.gather(*asked)]

    return asyncio.run(run())


def matcaps_client(address: str, level: int) -> list[float]:
    """Activations of an even grey image, sent as pixels, from both clients of this project; they must be equal."""

    async def run() -> list[float]:
        async with AsyncClient(address) as client:
            found: list[float] = (await client.predict(pixels)).activations[0].tolist()
            return found

    pixels = np.full((SIDE, SIDE), level, np.uint8)
    with Client(address) as client:
        found: list[float] = client.predict(pixels).activations[0].tolist()
    if asyncio.run(run()) != found:
        raise ValueError("the two clients got different answers")
    return found


def triton_client(address: str, level: int) -> list[float]:
    """Activations of an even grey image, sent as pixels."""
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    try:
        tensor = triton.InferInput("images", [1, 1, SIDE, SIDE], "UINT8")
        tensor.set_data_from_numpy(np.full((1, 1, SIDE, SIDE), level, np.uint8))
        return [float(value) for value in client.infer("smallnorb", [tensor]).as_numpy("activations")[0]]
    finally:
        client.close()


def kserve_client(address: str, level: int) -> list[float]:
    """Activations of an even grey image, sent as pixels."""

    async def run() -> list[float]:
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
        try:
            tensor = InferInput("images", [1, 1, SIDE, SIDE], "UINT8")
            tensor.set_data_from_numpy(np.full((1, 1, SIDE, SIDE), level, np.uint8), binary_data=True)
            answer = await client.infer(address, InferRequest("smallnorb", [tensor]), "smallnorb")
            (activations,) = [output for output in answer.outputs if output.name == "activations"]
            return [float(value) for value in np.ravel(activations.as_numpy())]
        finally:
            await client.close()

    return asyncio.run(run())
