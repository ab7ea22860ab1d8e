"""An HTTP worker's side of the socket: questions to the engine, and their answers."""

import asyncio
import itertools
import socket
from collections.abc import Callable
from typing import Any

from matcaps.service.errors import STATUS, NotReadyError, QueueFullError, ServiceError
from matcaps.service.workers.frames import Channel

ERRORS = {error.__name__: error for error in STATUS}

Answer = tuple[list[Any], memoryview]
Announced = Callable[[str, list[Any], memoryview], None]


class EngineError(Exception):
    """The engine failed on a request; its log says why."""


class EngineClient:
    """Asks the engine. Belongs to one event loop.

    Args:
        announced: Called with each message that is no answer.
        lost: Called if the engine goes before ``close``.
    """

    def __init__(self, announced: Announced, lost: Callable[[], None]) -> None:
        self._announced, self._lost = announced, lost
        self._channel = Channel(self._receive, self._disconnected)
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._open = True

    async def connect(self, end: socket.socket) -> None:
        """Use a socket, which is connected already."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self._channel, sock=end)

    def send(self, kind: str, *fields: Any, payload: bytes = b"") -> None:
        """Tell the engine something that needs no answer."""
        if self._open:
            self._channel.send(kind, *fields, payload=payload)

    async def ask(self, kind: str, *fields: Any, payload: bytes = b"") -> Answer:
        """The fields and the payload of the answer to a question. Cancelling the call cancels the question.

        Raises:
            ServiceError: The engine refuses, or has gone.
            EngineError: The engine failed.
        """
        if not self._open:
            raise NotReadyError("the engine has ended")
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._channel.send(kind, number, *fields, payload=payload)
        try:
            return await answer
        except asyncio.CancelledError:
            self.send("cancel", number)
            raise
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Send what waits, and close the socket."""
        self._open = False
        self._channel.close()

    def _receive(self, kind: str, fields: list[Any], payload: memoryview) -> None:
        if kind not in ("answer", "error"):
            self._announced(kind, fields, payload)
            return
        number, *rest = fields
        waiter = self._waiting.get(number)
        if waiter is None or waiter.done():
            return  # cancelled meanwhile
        if kind == "answer":
            waiter.set_result((rest, payload))
        else:
            waiter.set_exception(_error(*rest))

    def _disconnected(self) -> None:
        if self._open:
            self._open = False
            self._lost()
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(NotReadyError("the engine has ended"))


def _error(name: str, message: str, retry_after_s: float) -> Exception:
    """The error that ``connection`` sent."""
    if name == QueueFullError.__name__:
        return QueueFullError(message, retry_after_s)
    found: type[ServiceError] | None = ERRORS.get(name)
    return EngineError(message) if found is None else found(message)
