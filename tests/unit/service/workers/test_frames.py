"""Messages on the socket: whole, in order, and in one write for each turn of the event loop."""

import asyncio
import socket
from typing import Any

import pytest

from matcaps.service.workers.frames import Channel


class Writes(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


def receiving(found: list[Any]) -> Channel:
    return Channel(lambda kind, fields, payload: found.append((kind, fields, bytes(payload))), lambda: None)


@pytest.mark.anyio
async def test_the_messages_of_one_turn_are_one_write() -> None:
    """They keep their order and their payloads; those of the next turn are another write."""
    transport, channel = Writes(), receiving([])
    channel.connection_made(transport)
    channel.send("infer", 1, [2, 3], payload=b"ab")
    channel.send("cancel", 7)
    channel.send("infer", 2, None, payload=b"c")
    await asyncio.sleep(0)
    channel.send("ready")
    await asyncio.sleep(0)
    assert len(transport.written) == 2
    found: list[Any] = []
    reader = receiving(found)
    for data in transport.written:
        reader.data_received(data)
    assert found == [
        ("infer", [1, [2, 3]], b"ab"),
        ("cancel", [7], b""),
        ("infer", [2, None], b"c"),
        ("ready", [], b""),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 2, 3, 7, 30, 100])
async def test_frames_may_come_in_pieces(size: int) -> None:
    """Whatever the pieces are, the messages are the same."""
    transport, channel = Writes(), receiving([])
    channel.connection_made(transport)
    for number in range(5):
        channel.send("answer", number, payload=bytes([number]) * (3 * number))
        await asyncio.sleep(0)
    data, found = b"".join(transport.written), list[Any]()
    reader = receiving(found)
    for start in range(0, len(data), size):
        reader.data_received(data[start : start + size])
    assert found == [("answer", [number], bytes([number]) * (3 * number)) for number in range(5)]


@pytest.mark.anyio
async def test_messages_before_the_connection_are_sent_with_it() -> None:
    """And the end of one side reaches the other."""
    found: list[Any] = []
    ours, theirs = socket.socketpair()
    gone = asyncio.Event()
    one = receiving([])
    other = Channel(lambda kind, fields, payload: found.append(kind), gone.set)
    one.send("ready")
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: one, sock=ours)
    await loop.create_unix_connection(lambda: other, sock=theirs)
    one.close()
    await gone.wait()
    assert found == ["ready"]
