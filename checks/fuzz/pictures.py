"""Small valid pictures of every format, and of the kinds that need more than one decoder."""

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.formats import FORMATS

KINDS = {kind: media_types[0] for kind, media_types in FORMATS.items()}
MODES = {"PNG": ["L", "RGB", "RGBA", "P", "I;16", "1"], "TIFF": ["L", "RGB", "F", "I;16", "CMYK"]}
NOISE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


def pictures() -> list[tuple[str, bytes]]:
    """Media type and bytes of each picture."""
    found = [
        (media_type, _saved(kind, mode)) for kind, media_type in KINDS.items() for mode in MODES.get(kind, ["L", "RGB"])
    ]
    found += [("image/tiff", content) for content in _tiffs()]
    found += [("image/png", content) for content in _pngs()]
    found += [("image/jpeg", content) for content in _jpegs()]
    found.append(("image/bmp", _bmp_with_alpha()))
    return found


def _saved(kind: str, mode: str) -> bytes:
    image = Image.fromarray(NOISE)
    if mode == "I;16":
        image = Image.fromarray(NOISE[:, :, 0].astype(np.uint16) * 257)
    elif mode != "RGB":
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _tiffs() -> list[bytes]:
    deep = NOISE.astype(np.uint16) * 257
    grey, planes = deep[:, :, 0], np.moveaxis(deep, 2, 0)
    table = np.arange(768, dtype=np.uint16).reshape(3, 256)
    kinds: list[tuple[NDArray[np.generic], dict[str, Any]]] = [
        (grey, {"photometric": "miniswhite"}),
        (grey / 65535, {"photometric": "miniswhite"}),
        (grey.astype(np.int16), {"photometric": "minisblack"}),
        (grey.astype(np.uint32), {"bigtiff": True, "byteorder": ">"}),
        (grey >> 4, {"bitspersample": 12}),
        (NOISE[:, :, 0] >> 4, {"bitspersample": 4}),
        (deep[:, :, :2], {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["assocalpha"]}),
        (NOISE[:, :, 0], {"photometric": "palette", "colormap": table}),
    ]
    for compression in (None, "zlib", "lzw", "packbits", "zstd", "lzma", "jpeg", "webp"):
        packed = {"compression": compression, "photometric": "rgb"}
        kinds.append((NOISE, {**packed, "rowsperstrip": 7}))
        if compression not in ("jpeg", "webp"):
            kinds.append((planes, {**packed, "planarconfig": "separate"}))
            kinds.append((deep, {**packed, "tile": (16, 16), "predictor": compression in ("zlib", "lzw")}))
    found = []
    for pixels, options in kinds:
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, metadata=None, **options)
        found.append(file.getvalue())
    return found


def _pngs() -> list[bytes]:
    """Every depth and colour, each with the transparency that it can have."""
    found = []
    for colour, samples, depths in ((0, 1, (1, 2, 4, 8, 16)), (2, 3, (8, 16)), (4, 2, (8, 16)), (6, 4, (8, 16))):
        for depth in depths:
            row = b"\0" + NOISE.tobytes()[: 3 * samples * depth]
            header = struct.pack(">IIBBBBB", 24, 20, depth, colour, 0, 0, 0)
            transparency = [(b"tRNS", b"\0\1" * samples)] if samples in (1, 3) else []
            chunks = [
                (b"IHDR", header),
                *transparency,
                (b"tEXt", b"a\0b"),
                (b"IDAT", zlib.compress(row * 20)),
                (b"IEND", b""),
            ]
            content = b"".join(
                struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
                for name, data in chunks
            )
            found.append(b"\x89PNG\r\n\x1a\n" + content)
    return found


def _jpegs() -> list[bytes]:
    """A JPEG without end marker, a truncated one, one of 12 bits and a lossless one."""
    whole = _saved("JPEG", "RGB")
    deep = NOISE.astype(np.uint16) * 16
    return [
        whole[:-2],
        whole[: len(whole) * 2 // 3],
        bytes(imagecodecs.jpeg8_encode(deep, bitspersample=12)),
        bytes(imagecodecs.jpeg8_encode(deep, bitspersample=16, lossless=True)),
    ]


def _bmp_with_alpha() -> bytes:
    """A BMP whose alpha is 0 everywhere."""
    rows = np.dstack([NOISE, np.zeros_like(NOISE[:, :, :1])]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 24, 20, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows
