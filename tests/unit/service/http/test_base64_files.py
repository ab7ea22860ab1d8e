"""Base64 is read in the same way by the native routes and by /v2."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doubles import Client, FakeSession, grey, serve

PLAIN = base64.b64encode(grey(3)).decode()
LINES = [PLAIN[start : start + 60] for start in range(0, len(PLAIN), 60)]
PADDED = base64.b64encode(grey(3) + b"\0" * (2 - len(grey(3)) % 3 or 2)).decode()  # bytes after the image do no harm

GOOD = {
    "plain": PLAIN,
    "LF": "\n".join(LINES),
    "CRLF": "\r\n".join(LINES),
    "a line break at the end": PLAIN + "\n",
    "data URL": f"data:image/png;base64,{PLAIN}",
    "data URL in capitals": f"DATA:image/png;BASE64,{PLAIN}",
    "data URL without a type": f"data:;base64,{PLAIN}",
    "data URL with a parameter": f"data:image/png;name=a.png;base64,{PLAIN}",
    "data URL with line breaks": "data:image/png;base64,\r\n" + "\r\n".join(LINES),
}
BAD = {
    "spaces": (" ".join(LINES), "got ' '"),
    "tabs": ("\t".join(LINES), r"got '\t'"),
    "a space before it": (" " + PLAIN, "got ' '"),
    "URL-safe alphabet": ("-_" + PLAIN[2:], "got '-'"),
    "no padding": (PADDED.rstrip("="), "padding"),
    "too much padding": (PADDED + "=", "is not valid base64"),
    "padding in the middle": ("AA==" + PLAIN, "is not valid base64"),
    "not ASCII": ("é" + PLAIN, "got 'é'"),
    "data URL without base64": (f"data:image/png,{PLAIN}", "got another data URL"),
    "percent-encoded data URL": (f"data:image/png;base64,{PLAIN[:8]}%2B{PLAIN[8:]}", "got '%'"),
    "a web address": ("http://127.0.0.1/image.png", "got ':'"),
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serve(tmp_path, {"norb/1": FakeSession()}) as client:
        yield client


def answers(client: Client, text: str) -> tuple[tuple[int, str], tuple[int, str]]:
    """Status and error of both routes for a file in JSON."""
    native = client.post("/predict", json={"images": [text]})
    tensor = {"name": "files", "datatype": "BYTES", "shape": [1], "data": [text]}
    v2 = client.post("/v2/models/norb/infer", json={"inputs": [tensor]})
    return (native.status_code, native.json().get("detail", "")), (v2.status_code, v2.json().get("error", ""))


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_line_breaks_and_data_urls_are_read_on_both_routes(client: Client, text: str) -> None:
    """Base64 tools insert line breaks, and browsers make data URLs."""
    assert answers(client, text) == ((200, ""), (200, ""))


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_other_forms_are_refused_with_the_same_words_on_both_routes(client: Client, text: str, words: str) -> None:
    """The error names the place and what was found."""
    (native, detail), (v2, error) = answers(client, text)
    assert (native, v2) == (400, 400)
    assert words in detail
    assert error == detail.replace("images.0", "inputs[0].data[0]")
