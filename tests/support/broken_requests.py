"""Hundreds of broken requests, each with the statuses that may answer it."""

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from matcaps.images.formats import FORMATS
from tests.support.doubles import encoded, grey

KINDS = {kind: media_types[0] for kind, media_types in FORMATS.items()}
NOISE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8))
WHOLE = {kind: encoded(NOISE, kind) for kind in KINDS}
GOOD = base64.b64encode(grey(3)).decode()
ROUTES = ("/predict", "/poses")


class Broken(NamedTuple):
    """A broken request and the statuses that may answer it."""

    name: str
    statuses: tuple[int, ...]
    path: str = "/predict"
    method: str = "POST"
    content: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "image/png"),)


def raw(name: str, content: bytes, kind: str = "image/png", *statuses: int, path: str = "/predict") -> Broken:
    return Broken(name, statuses or (422,), path, "POST", content, (("content-type", kind),))


def form(*parts: tuple[str, bytes], boundary: str = "edge", end: bytes = b"--\r\n") -> bytes:
    """A form of parts, each with its headers and its content."""
    edge = boundary.encode()
    middle = b"".join(b"--" + edge + b"\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head, body in parts)
    return middle + b"--" + edge + end


FILE = 'Content-Disposition: form-data; name="images"; filename="a.png"'
FORM = "multipart/form-data; boundary=edge"


def truncated_files() -> Iterator[Broken]:
    """Files of every format, cut off at every tenth, sent as a raw body, in JSON and in a form."""
    for kind, content in WHOLE.items():
        for tenth in range(1, 9):
            cut = content[: len(content) * tenth // 10]
            label = f"{kind} cut at {tenth}/10"
            yield raw(label, cut, KINDS[kind])
            if tenth % 2:
                text = json.dumps({"images": [base64.b64encode(cut).decode()]}).encode()
                yield raw(f"{label} in JSON", text, "application/json")
                yield raw(f"{label} in a form", form((FILE, cut)), FORM)


def foreign_contents() -> Iterator[Broken]:
    """Bytes that are not an image of a supported format, sent with each supported media type."""
    contents = {
        "nothing but zeros": bytes(500),
        "text": b"hello, this is text",
        "one byte": b"\x89",
        "a signature alone": b"\x89PNG\r\n\x1a\n",
        "HTML": b"<!doctype html><html></html>",
        "noise": np.random.default_rng(5).bytes(400),
    }
    for kind in KINDS.values():
        for name, content in contents.items():
            yield raw(f"{name} as {kind}", content, kind)
        yield raw(f"an empty body as {kind}", b"", kind, 400)
    small = Image.new("RGB", (16, 16))
    for kind in ("GIF", "ICO", "PDF", "JPEG2000", "AVIF"):
        yield raw(f"{kind} as PNG", encoded(small, kind), "image/png", 415)
        text = json.dumps({"images": [base64.b64encode(encoded(small, kind)).decode()]}).encode()
        yield raw(f"{kind} in JSON", text, "application/json", 415)
    for name, start in {"SVG": b"<svg xmlns='x'/>", "XML": b"<?xml version='1.0'?>", "gzip": b"\x1f\x8b\x08"}.items():
        yield raw(f"{name} as PNG", start, "image/png", 415)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header_bombs() -> Iterator[Broken]:
    """Small files whose headers claim huge or impossible sizes."""
    signature = b"\x89PNG\r\n\x1a\n"
    for width, height in [(60_000, 60_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (0, 5), (5, 0)]:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        content = signature + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
        yield raw(f"PNG of {width}×{height}", content, "image/png", 413, 422)
        yield raw(f"PGM of {width}×{height}", b"P5 %d %d 255\n" % (width, height) + bytes(99), "image/x-pgm", 413, 422)
        bmp = bytearray(WHOLE["BMP"])
        bmp[18:26] = struct.pack("<II", width, height)
        yield raw(f"BMP of {width}×{height}", bytes(bmp), "image/bmp", 413, 422)
    for depth, colour in [(3, 0), (8, 1), (8, 5), (64, 2), (0, 0)]:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, 0))
        yield raw(f"PNG of depth {depth}, colour {colour}", signature + head + chunk(b"IEND", b""))
    for text in (
        b"P5",
        b"P5 4",
        b"P5 4 4",
        b"P5 x y 255\n",
        b"P5 4 4 0\n",
        b"P5 4 4 99999\n",
        b"P9 4 4 255\n",
        b"P5 -4 4 255\n",
    ):
        yield raw(f"PGM header {text!r}", text + bytes(2), "image/x-portable-graymap")
    yield raw("a TIFF whose directory is outside the file", b"II*\x00\xff\xff\xff\x7f", "image/tiff")
    yield raw(
        "a TIFF whose directory points at itself", b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00", "image/tiff"
    )


def json_bodies() -> Iterator[Broken]:
    """JSON bodies that do not match the schema, or are not JSON."""
    texts = [
        "", " ", "{", "[", "nonsense", "null", "true", "0", "NaN", "Infinity", '"text"', "[]", "{}", "[{}]",
        '{"images"}', '{"images":}', '{"images": }', "{'images': []}", '{"images": [],}', '{"images": []',
        '{"images": null}', '{"images": {}}', '{"images": []}', '{"images": ""}', '{"images": 1}', '{"images": NaN}',
        '{"images": true}', f'{{"images": "{GOOD}"}}', '{"images": [null]}', '{"images": [1]}', '{"images": [NaN]}',
        '{"images": [[]]}', '{"images": [{}]}', '{"images": [true]}', f'{{"images": [["{GOOD}"]]}}',
        f'{{"images": [{{"data": "{GOOD}"}}]}}', f'{{"images": ["{GOOD}", 1]}}', f'{{"images": ["{GOOD}", null]}}',
        f'{{"image": "{GOOD}"}}', f'{{"image": ["{GOOD}"]}}', f'{{"Images": ["{GOOD}"]}}',
        f'{{"images": ["{GOOD}"], "more": 1}}', f'{{"images": ["{GOOD}"], "more": NaN}}',
        f'{{"images": ["{GOOD}"]}} and more', f'{{"images": ["{GOOD}"]}}{{}}', f'{{"instances": ["{GOOD}"]}}',
        '{"images": ["\\ud800"]}', '{"images": ["\\u0000"]}', "[" * 100_000, '{"images": ' * 5_000,
        '{"images": ' + "[" * 5_000 + "]" * 5_000 + "}", "1" * 10_000, '{"' + "x" * 10_000 + '": 1}',
    ]  # fmt: skip
    for text in texts:
        yield raw(f"JSON {text[:60]}", text.encode(), "application/json", 400)
    for content in (
        b"\xff\xfe{\x00}\x00",
        b"\x80",
        b'{"images": ["\xff"]}',
        b"\x00",
        '{"images": []}'.encode("utf-16"),
    ):
        yield raw(f"JSON that is not UTF-8 {content[:20]!r}", content, "application/json", 400)


def base64_texts() -> Iterator[Broken]:
    """Texts that are not base64 of an image, alone and after a valid one."""
    for text, status in [
        ("", 422), ("=", 400), ("A", 400), ("AB", 400), ("ABC", 400), ("ABC==", 400), ("AB=C", 400), ("====", 400),
        ("not base64!", 400), ("ÄÖÜ=", 400), ("💥", 400), ("A A=", 400), ("\t", 400), ("-_-_", 400), ("AAAA", 422),
        (GOOD[:-1], 400), (GOOD[:40], 422), (" " + GOOD, 400), (GOOD + "=", 400), (GOOD + GOOD[:1], 400),
        ("data:", 400), ("data:,", 400), ("data:image/png," + GOOD, 400), ("data:image/png;base64", 422),
        ("data:image/png;base64,", 422), ("data:image/png;base64,?", 400), ("data:text/plain;base64,AAAA", 422),
        ("http://127.0.0.1/image.png", 400), ("file:///etc/passwd", 400), ("../../etc/passwd", 400),
    ]:  # fmt: skip
        for images in ([text], [GOOD, text]):
            content = json.dumps({"images": images}).encode()
            yield raw(f"base64 {text[:40]!r} of {len(images)}", content, "application/json", status)


def forms() -> Iterator[Broken]:
    """Forms that are broken, or hold no image."""
    good = grey(3)
    other = 'Content-Disposition: form-data; name="image"; filename="a.png"'
    yield raw("a form without a boundary", form((FILE, good)), "multipart/form-data", 400)
    yield raw("a form with an empty boundary", form((FILE, good)), "multipart/form-data; boundary=", 400)
    yield raw("a form with another boundary", form((FILE, good)), "multipart/form-data; boundary=other", 400)
    yield raw("a form with a long boundary", form((FILE, good)), f"multipart/form-data; boundary={'x' * 999}", 400)
    yield raw("a form with a boundary of quotes", form((FILE, good)), 'multipart/form-data; boundary="', 400)
    yield raw("a form of the wrong kind", form((FILE, good)), "multipart/mixed; boundary=edge", 415)
    yield raw("an empty form", b"", FORM, 400)
    yield raw("a form that is an image", good, FORM, 400)
    yield raw("a form that is JSON", b'{"images": []}', FORM, 400)
    yield raw("a form of no parts", form(), FORM, 400)
    yield raw("a form with line ends alone", b"\r\n\r\n", FORM, 400)
    yield raw("a form without its end", form((FILE, good), end=b""), FORM, 400)
    yield raw("a form whose end is cut", form((FILE, good), end=b"-"), FORM, 400)
    whole = form((FILE, good), (FILE, good))
    for tenth in range(1, 10):
        yield raw(f"a form cut at {tenth}/10", whole[: len(whole) * tenth // 10], FORM, 400)
    yield raw("a form with another field", form((other, good)), FORM, 400)
    yield raw("a field without a filename", form(('Content-Disposition: form-data; name="images"', good)), FORM, 400)
    yield raw("a part without a name", form(('Content-Disposition: form-data; filename="a.png"', good)), FORM, 400)
    yield raw("a part without a disposition", form(("Content-Type: image/png", good)), FORM, 400)
    yield raw("a part with an empty disposition", form(("Content-Disposition:", good)), FORM, 400)
    yield raw("a part with a broken header", form(("nonsense", good)), FORM, 400)
    yield raw("a part with a header of zeros", form(("\x00: \x00", good)), FORM, 400)
    yield raw("a part with many headers", form((FILE + "".join(f"\r\nX-{n}: 1" for n in range(99)), good)), FORM, 400)
    yield raw("a part with a huge header", form((FILE + "\r\nX: " + "x" * 99_999, good)), FORM, 400)
    yield raw("an empty part", form((FILE, b"")), FORM, 400, 422)
    yield raw("an empty part after a valid one", form((FILE, good), (FILE, b"")), FORM, 400, 422)
    yield raw("a part of text", form((FILE, b"hello")), FORM)
    yield raw("a broken part after a valid one", form((FILE, good), (FILE, good[:30])), FORM)
    yield raw("65 parts", form(*[(FILE, good)] * 65), FORM, 413)
    yield raw("300 parts", form(*[(FILE, good)] * 300), FORM, 413)
    fields = [('Content-Disposition: form-data; name="x"', b"1")] * 99
    yield raw("99 other fields", form(*fields, (FILE, good)), FORM, 400, 413)
    for kind in ("image/gif", "image/svg+xml", "text/plain", "application/pdf", "video/mp4", "application/json"):
        yield raw(f"a part of type {kind}", form((f"{FILE}\r\nContent-Type: {kind}", good)), FORM, 415)


def media_types() -> Iterator[Broken]:
    """Valid images with unsupported media types and content encodings."""
    for kind in [
        "image/gif", "image/svg+xml", "image/avif", "image/heic", "image/x-icon", "image/vnd.adobe.photoshop", "image/",
        "image", "/", "", " ", ";", "text/plain", "text/html", "application/octet-stream", "application/pdf", "png",
        "application/x-www-form-urlencoded", "application/xml", "application/x-npz", "application/zip", "*/*", "jpeg",
        "application/jsonl", "application/problem+json", "video/mp4", "audio/wav", "multipart/related; boundary=edge",
        "image/png/png", "imäge/png", "application/", "text/json", "message/http", "image/jp2", "image/webp2",
    ]:  # fmt: skip
        yield Broken(f"type {kind!r}", (415,), content=grey(3), headers=(("content-type", kind),))
    yield Broken("no type", (415,), content=grey(3), headers=())
    yield Broken("nothing at all", (400, 415), headers=())
    for coding, status in (
        *((coding, 400) for coding in ("gzip", "x-gzip", "deflate")),
        *((coding, 415) for coding in ("br", "zstd", "gzip, gzip", "nonsense", "identity, gzip")),
    ):
        headers = (("content-type", "image/png"), ("content-encoding", coding))
        yield Broken(f"coding {coding}", (status,), content=grey(3), headers=headers)


def queries() -> Iterator[Broken]:
    """Queries that name something unknown, or that are malformed."""
    for route in ROUTES:
        for version in ("0", "-1", "x", "1.5", "", "latest", "1e3", "²", "٣x", "null", "1;2", "9" * 5000, " "):
            yield Broken(f"{route} version {version[:20]!r}", (400,), f"{route}?version={version}", content=grey(3))
        for version in ("99", "9" * 18):
            yield Broken(f"{route} version {version}", (404,), f"{route}?version={version}", content=grey(3))
        for model in (
            "cat",
            "",
            "Norb",
            "../norb",
            "norb/1",
            "%00",
            "名前",
            "%F0%9F%92%A5",
            "%ff",
            "x" * 3000,
            "norb ",
        ):
            yield Broken(f"{route} model {model[:20]!r}", (404,), f"{route}?model={model}", content=grey(3))
    for layer in ("cat", "", "poses", "activations", "class_caps2", "CLASS_CAPS", "0", "../x", "%00", "層", "x" * 3000):
        yield Broken(f"layer {layer[:20]!r}", (404,), f"/poses?layer={layer}", content=grey(3))
    for accept in (
        "text/html",
        "image/png",
        "application/json;q=0",
        "application/xml",
        "nonsense",
        "application/json;q=x",
    ):
        headers = (("content-type", "image/png"), ("accept", accept))
        yield Broken(f"accept {accept}", (406,), content=grey(3), headers=headers)


def routes() -> Iterator[Broken]:
    """Paths and methods that do not exist."""
    for path in (
        "/index.html", "/nowhere", "/predict/", "/predict/x", "/predict//", "/Predict", "/poses/", "/models/",
        "/health", "/v1", "/models/norb/1", "/%00", "/..%2f..%2fetc/passwd", "/名前", "/docs/x", "/health/x",
    ):  # fmt: skip
        yield Broken(f"GET {path}", (404,), path, "GET")
    for path in ("/poses/unknown", "/poses/%00", "/poses/名前", "/poses/" + "x" * 3000, "/models/cat", "/models/%00"):
        yield Broken(f"GET {path[:30]}", (404,), path, "GET")
    for path in ("/models/norb?version=0", "/models/norb?version=x", "/models/norb?version="):
        yield Broken(f"GET {path}", (400,), path, "GET")
    yield Broken("GET an unknown version", (404,), "/models/norb?version=7", "GET")
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "NONSENSE"):
        yield Broken(f"{method} /predict", (405,), "/predict", method)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/models", "/models/norb", "/health/live", "/health/ready", "/poses/x"):
            yield Broken(f"{method} {path}", (405,), path, method)


SOURCES: list[Callable[[], Iterator[Broken]]] = [
    truncated_files, foreign_contents, header_bombs, json_bodies, base64_texts, forms, media_types, queries, routes,
]  # fmt: skip
ALL = [request for source in SOURCES for request in source()]
