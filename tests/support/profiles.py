"""Writes small ICC profiles."""

import struct

WHITE = (0.9642, 1.0, 0.8249)  # D50
PRIMARIES = {  # of sRGB, adapted to D50
    "red": (0.4361, 0.2225, 0.0139),
    "green": (0.3851, 0.7169, 0.0971),
    "blue": (0.1431, 0.0606, 0.7141),
}


def rgb_profile(gamma: float = 2.2, order: tuple[str, str, str] = ("red", "green", "blue")) -> bytes:
    """A profile of three primaries; another order means that the channels are in that order."""
    primaries = {f"{channel}XYZ": _xyz(PRIMARIES[name]) for channel, name in zip("rgb", order, strict=True)}
    return _profile("RGB ", {**primaries, **{f"{channel}TRC": _curve(gamma) for channel in "rgb"}})


def grey_profile(gamma: float) -> bytes:
    """A profile of one channel."""
    return _profile("GRAY", {"kTRC": _curve(gamma)})


def black_inks_profile() -> bytes:
    """A profile of four inks that are all black, by a table of Lab: what printers' profiles are like."""
    inks = [[number >> place & 1 for place in (3, 2, 1, 0)] for number in range(16)]
    table = [value for ink in inks for value in (0 if any(ink) else 65280, 32768, 32768)]  # L, a and b
    head = b"mft2" + bytes(4) + bytes([4, 3, 2, 0]) + _numbers((1, 0, 0, 0, 1, 0, 0, 0, 1)) + struct.pack(">HH", 2, 2)
    lines = struct.pack(">HH", 0, 65535)
    profile = _profile("CMYK", {"A2B0": head + 4 * lines + struct.pack(f">{len(table)}H", *table) + 3 * lines})
    return profile[:12] + b"prtr" + profile[16:20] + b"Lab " + profile[24:]


def _profile(space: str, tags: dict[str, bytes]) -> bytes:
    description = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = {"desc": description, "cprt": b"text" + bytes(4) + b"none\0", "wtpt": _xyz(WHITE), **tags}
    start = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", start + len(body), 0x02400000, b"mntr", space.encode(), b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _numbers(WHITE)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _numbers(values: tuple[float, ...]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
