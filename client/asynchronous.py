"""The client whose calls are awaited, in asyncio."""

import asyncio
from types import TracebackType
from typing import Self

import httpx

from matcaps.client import answers, requests
from matcaps.client.attempts import Attempts
from matcaps.client.errors import MatcapsError
from matcaps.client.images import Images
from matcaps.client.options import ATTEMPTS, TIMEOUT_S, URL, Options, arguments
from matcaps.client.requests import Request
from matcaps.client.results import LayerPoses, Model, Prediction


class AsyncClient:
    """Asks a service from asyncio; many tasks may share one client, and with it one pool of connections.

        async with AsyncClient("http://127.0.0.1:8000") as client:
            first, second = await asyncio.gather(client.predict("a.png"), client.predict("b.png"))

    Arguments, results, errors and attempts are those of ``Client``. Files are read in a thread.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._options = Options(url, api_key, timeout_s, attempts)
        self._http = httpx.AsyncClient(**self._options.for_httpx())

    async def predict(
        self,
        images: Images,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
    ) -> Prediction:
        """See ``Client.predict``."""
        request = await asyncio.to_thread(requests.predict, images, model, version)
        found = answers.prediction(await self._send(request, self._options.begin(timeout_s)))
        answers.check_pairs(found, request.pairs)
        return found

    async def poses(
        self,
        images: Images,
        layer: str = requests.CLASS_LAYER,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
    ) -> LayerPoses:
        """See ``Client.poses``."""
        request = await asyncio.to_thread(requests.poses, images, layer, model, version)
        found = answers.layer_poses(await self._send(request, self._options.begin(timeout_s)))
        answers.check_pairs(found, request.pairs)
        return found

    async def kept_poses(self, id_: str, *, timeout_s: float | None = None) -> LayerPoses:
        """See ``Client.kept_poses``."""
        return answers.layer_poses(await self._send(requests.kept_poses(id_), self._options.begin(timeout_s)))

    async def models(self, *, timeout_s: float | None = None) -> tuple[Model, ...]:
        """See ``Client.models``."""
        return answers.models(await self._send(requests.models(), self._options.begin(timeout_s)))

    async def model(
        self, name: str | None = None, version: int | None = None, *, timeout_s: float | None = None
    ) -> Model:
        """See ``Client.model``."""
        attempts = self._options.begin(timeout_s)
        if name is None:
            name = answers.default(answers.models(await self._send(requests.models(), attempts)))
        return answers.model(await self._send(requests.model(name, version), attempts))

    async def ready(self, *, timeout_s: float | None = None) -> bool:
        """See ``Client.ready``."""
        try:
            await self._send(requests.ready(), self._options.begin(timeout_s, most=1))
        except MatcapsError as error:
            return answers.not_ready(error)
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, request: Request, attempts: Attempts) -> bytes:
        """The body of the answer, after as many attempts as it takes."""
        while True:
            try:
                async with asyncio.timeout(attempts.left_s):
                    response = await self._http.send(self._http.build_request(**arguments(request, attempts)))
            except TimeoutError:
                raise attempts.expired() from None
            except httpx.RequestError as error:
                wait_s = attempts.broken(error)
            else:
                if response.is_success:
                    return response.content
                detail = answers.detail_of(response.status_code, response.content)
                wait_s = attempts.refused(response.status_code, response.headers.get("retry-after"), detail)
            await asyncio.sleep(wait_s)
