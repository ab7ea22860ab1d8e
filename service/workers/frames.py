"""Messages on the socket between an HTTP worker and the engine."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

import orjson

# A frame: how many bytes of JSON and how many of payload follow. The JSON is a list of messages. A message is a list of
# its kind, the length of its part of the payload, and its fields.
HEAD = struct.Struct("<IQ")

Receive = Callable[[str, list[Any], memoryview], None]


class Channel(asyncio.Protocol):
    """One end of the socket. Belongs to one event loop.

    Args:
        receive: Called with kind, fields and payload of each message.
        lost: Called once, when the other end has gone or this one has been closed.
    """

    def __init__(self, receive: Receive, lost: Callable[[], None]) -> None:
        self._receive, self._lost = receive, lost
        self._transport: asyncio.Transport | None = None
        self._messages: list[tuple[Any, ...]] = []
        self._payloads: list[bytes] = []
        self._unread = bytearray()

    def send(self, kind: str, *fields: Any, payload: bytes = b"") -> None:
        """Send a message at the end of this turn of the event loop, in one write with the others of the turn."""
        if not self._messages:
            asyncio.get_running_loop().call_soon(self.flush)
        self._messages.append((kind, len(payload), *fields))
        if payload:
            self._payloads.append(payload)

    def flush(self) -> None:
        """Send now what waits for the end of the turn."""
        if self._messages and self._transport is not None:
            messages, payload = orjson.dumps(self._messages), b"".join(self._payloads)
            self._messages, self._payloads = [], []
            self._transport.write(b"".join((HEAD.pack(len(messages), len(payload)), messages, payload)))

    def close(self) -> None:
        """Send what waits, and close the socket."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost()

    def data_received(self, data: bytes | bytearray) -> None:
        if self._unread:
            self._unread += data
            data = self._unread
        place, size = 0, len(data)
        while size - place >= HEAD.size:
            messages_bytes, payload_bytes = HEAD.unpack_from(data, place)
            messages_at = place + HEAD.size
            payload_at = messages_at + messages_bytes
            end = payload_at + payload_bytes
            if end > size:
                break
            # A copy, because arrays will be views of it, and may outlive the buffer.
            self._read(bytes(data[messages_at:payload_at]), memoryview(bytes(data[payload_at:end])))
            place = end
        if data is self._unread:
            del self._unread[:place]
        elif place < size:
            self._unread = bytearray(data[place:])

    def _read(self, messages: bytes, payload: memoryview) -> None:
        place = 0
        for kind, size, *fields in orjson.loads(messages):
            self._receive(kind, fields, payload[place : place + size])
            place += size
