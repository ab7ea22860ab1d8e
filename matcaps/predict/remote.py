"""A model at a service, asked with the client."""

from typing import Self

from matcaps.client import AsyncClient, MatcapsError, Model
from matcaps.predict.place import Answer, PlaceError, RefusedError, Title

AT_ONCE = 8  # enough to fill the service's batches, and few beside its queue


class Remote:
    """The place at a service; ``open`` makes it."""

    at_once = AT_ONCE

    def __init__(self, client: AsyncClient, url: str, model: Model) -> None:
        self._client, self._model = client, model
        self.title = Title(f"{model.name}/{model.version}", f"at {url}", model.classes, model.channels)

    @classmethod
    async def open(cls, url: str, api_key: str | None, timeout_s: float, name: str | None, version: int | None) -> Self:
        """The place of a model; without name and version the service's default.

        Raises:
            PlaceError: The service cannot be asked, or has no such model.
        """
        try:
            client = AsyncClient(url, api_key=api_key, timeout_s=timeout_s)
        except ValueError as error:
            raise PlaceError(str(error)) from None
        try:
            return cls(client, url, await client.model(name, version))
        except MatcapsError as error:
            await client.close()
            raise PlaceError(error.detail) from None

    async def predict(self, contents: list[bytes]) -> Answer:
        model = self._model
        try:
            found = await self._client.predict(contents, model=model.name, version=model.version)
        except MatcapsError as error:
            raise RefusedError(error.detail) from None
        return {
            "id": found.id,
            "model": {"name": found.model, "version": found.version},
            "predictions": [
                {
                    "label": label,
                    "activations": dict(zip(found.classes, activations.tolist(), strict=True)),
                    "poses": dict(zip(found.classes, poses.tolist(), strict=True)),
                }
                for label, activations, poses in zip(found.labels, found.activations, found.poses, strict=True)
            ],
        }

    async def close(self) -> None:
        await self._client.close()
