"""Mutated images and bodies: bytes are flipped, cut, doubled and moved."""

import base64
import gzip
import json
import random
import struct
from collections.abc import Callable, Iterator, Mapping

from benchmarks.harness.client import Request
from benchmarks.serving.tensor_requests import tensor_request
from checks.fuzz.pictures import KINDS, pictures

BOUNDARY = "mutant"
TAG_VALUES = (
    *range(10),
    12,
    14,
    16,
    24,
    32,
    64,
    255,
    256,
    4_096,
    32_773,
    34_892,
    65_535,
    2**20,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Change bytes one to four times; the result may still be valid."""
    changed = bytearray(content)
    if changed.startswith(b"II*\0") and chance.random() < 0.5:
        _change_tag(changed, chance)
    for _ in range(chance.randint(1, 4)):
        if not changed:
            break
        place, length = chance.randrange(len(changed)), chance.choice((1, 2, 4, 16, 64))
        piece = changed[place : place + length]
        match chance.randrange(7):
            case 0:
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed[place : place + length] = bytes([chance.choice(NUMBERS)]) * len(piece)
            case 2:
                del changed[place:]
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = piece * chance.choice((1, 2, 50))
            case 5:
                changed[place:place] = chance.randbytes(length)
            case _:
                # An image's sizes are near its beginning.
                start = chance.randrange(min(64, len(changed)))
                changed[start : start + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"))
    return bytes(changed)


def _change_tag(content: bytearray, chance: random.Random) -> None:
    """Give one tag of a little-endian TIFF another value, and sometimes another count."""
    [start] = struct.unpack_from("<I", content, 4)
    [number] = struct.unpack_from("<H", content, start)
    place = start + 2 + 12 * chance.randrange(number)
    if chance.random() < 0.2:
        struct.pack_into("<I", content, place + 4, chance.choice(TAG_VALUES))
    else:
        struct.pack_into("<I", content, place + 8, chance.choice(TAG_VALUES))


def mutants(number: int, seed: int = 0) -> Iterator[bytes]:
    """So many requests with mutated bodies; the framing is right, so that the service reads each."""
    chance, valid = random.Random(seed), pictures()
    kinds: list[Callable[[random.Random, str, bytes], bytes]] = [_raw, _raw, _raw, _form, _json, _tensors, _packed]
    for _ in range(number):
        media_type, content = chance.choice(valid)
        yield chance.choice(kinds)(chance, media_type, content)


def _raw(chance: random.Random, media_type: str, content: bytes) -> bytes:
    path = chance.choice(("/predict", "/poses", "/poses?layer=conv_caps_1"))
    claimed = media_type if chance.random() < 0.9 else chance.choice(list(KINDS.values()))
    return _post(path, mutate(content, chance), {"content-type": claimed})


def _form(chance: random.Random, media_type: str, content: bytes) -> bytes:
    if chance.random() < 0.5:
        content = mutate(content, chance)
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="images"; filename="a"\r\n'
    part = (head + f"content-type: {media_type}\r\n\r\n").encode() + content
    body = part + b"\r\n" + part + f"\r\n--{BOUNDARY}--\r\n".encode()
    if chance.random() < 0.5:
        body = mutate(body, chance)
    return _post("/predict", body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})


def _json(chance: random.Random, _: str, content: bytes) -> bytes:
    if chance.random() < 0.5:
        content = mutate(content, chance)
    body = json.dumps({"images": [base64.b64encode(content).decode()]}).encode()
    if chance.random() < 0.5:
        body = mutate(body, chance)
    return _post("/predict", body, {"content-type": "application/json"})


def _tensors(chance: random.Random, _: str, __: bytes) -> bytes:
    request = tensor_request(1)
    return _post(request.path, mutate(request.body, chance), request.headers)


def _packed(chance: random.Random, media_type: str, content: bytes) -> bytes:
    body = gzip.compress(mutate(content, chance), mtime=0)
    if chance.random() < 0.7:
        body = mutate(body, chance)
    return _post("/predict", body, {"content-type": media_type, "content-encoding": "gzip"})


def _post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    return Request(path, body, headers, method="POST").encode()
