"""Cuts a graph down to the outputs that most requests ask for: onnxruntime computes all outputs in every run.

The service has no package for ONNX files. Of their protobuf encoding it needs fields and lengths alone (onnx.proto3).
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

GRAPH = 7  # field of ModelProto
NODE, OUTPUT = 1, 12  # fields of GraphProto
NAME = 1  # of ValueInfoProto
INPUTS, OUTPUTS = 1, 2  # of NodeProto
BYTES = 2  # wire type of what has a length


class Field(NamedTuple):
    """One field of a message: its number, its content, and all its bytes with tag and length."""

    number: int
    content: memoryview
    whole: memoryview


def without_outputs(model: bytes, unwanted: Collection[str]) -> bytes:
    """A model without some outputs, and without the nodes that only they need.

    Args:
        model: A serialised ModelProto that onnxruntime has loaded, so its nodes are in topological order. Its operators
            are static, so no node has a subgraph, which could need more than the node's inputs.
        unwanted: Names of outputs; others are ignored.
    """
    parts: list[bytes | memoryview] = []
    for field in _fields(memoryview(model)):
        if field.number != GRAPH:
            parts.append(field.whole)
            continue
        graph = b"".join(_pruned(list(_fields(field.content)), unwanted))
        parts += [_varint(GRAPH << 3 | BYTES), _varint(len(graph)), graph]
    return b"".join(parts)


def _pruned(graph: list[Field], unwanted: Collection[str]) -> list[memoryview]:
    needed = {_names(field.content, NAME)[0] for field in graph if field.number == OUTPUT} - set(unwanted)
    kept = []
    for field in reversed(graph):
        if field.number == OUTPUT and _names(field.content, NAME)[0] in unwanted:
            continue
        if field.number == NODE:
            if needed.isdisjoint(_names(field.content, OUTPUTS)):
                continue
            needed.update(_names(field.content, INPUTS))
        kept.append(field.whole)
    return kept[::-1]


def _names(message: memoryview, number: int) -> list[str]:
    return [str(field.content, "utf-8") for field in _fields(message) if field.number == number]


def _fields(message: memoryview) -> Iterator[Field]:
    place = 0
    while place < len(message):
        begin = place
        tag, place = _read_varint(message, place)
        match tag & 7:
            case 0:
                _, end = _read_varint(message, place)
            case 1:
                end = place + 8
            case 5:
                end = place + 4
            case 2:
                length, place = _read_varint(message, place)
                end = place + length
            case wire_type:
                raise ValueError(f"wire type {wire_type} is not of protobuf's proto3")
        yield Field(tag >> 3, message[place:end], message[begin:end])
        place = end


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
