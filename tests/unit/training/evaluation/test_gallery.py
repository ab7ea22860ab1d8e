"""The page of pictures needs nothing else, and shows names as they are."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from matcaps.training.evaluation.gallery import Card, cards, page, picture, table

NASTY = """<script>alert("1")</script> & 'x'"""


class Reader(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(written)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_are_escaped_wherever_they_stand() -> None:
    """A class or a file may be named like a script, and stays text."""
    card = Card(torch.zeros(1, 2, 2, dtype=torch.uint8), NASTY, NASTY, {NASTY: 0.5})
    read = Reader(page(NASTY, [(NASTY, NASTY, cards([card]) + table([NASTY], [[card], [NASTY]]))]))
    assert "script" not in read.tags
    # Title twice, heading, paragraph; three on the card; one head, two of the pictured cell and one of the other.
    assert read.text.count(NASTY) == 11


def test_a_page_needs_nothing_else() -> None:
    """Every picture is in the page, and its policy forbids everything else."""
    card = Card(torch.zeros(1, 2, 2, dtype=torch.uint8), "cat", "1.png", {})
    written = page("pets", [("wrong", "one", cards([card]))])
    assert all(link.startswith("data:image/png;base64,") for link in Reader(written).links)
    assert "default-src 'none'" in written
    assert "//" not in re.sub(r'src="[^"]*"', "", written)


def test_activations_are_sorted() -> None:
    """The largest comes first, with three digits."""
    card = Card(torch.zeros(1, 2, 2, dtype=torch.uint8), "", "", {"cat": 0.25, "dog": 0.75, "eel": 0.5})
    assert re.findall(r"</meter> ([\d.]+ \w+)", cards([card])) == ["0.750 dog", "0.500 eel", "0.250 cat"]


@pytest.mark.parametrize(("channels", "size"), [(1, (3, 2)), (2, (6, 2)), (3, (3, 2))])
def test_a_picture_is_drawn_in_its_pixels(channels: int, size: tuple[int, int]) -> None:
    """Grey, RGB, and the two pictures of a pair beside each other."""
    image = torch.arange(channels * 6, dtype=torch.uint8).view(channels, 2, 3)
    (code,) = re.findall(r"base64,([^\"]+)", picture(image))
    drawn = Image.open(io.BytesIO(base64.b64decode(code)))
    assert drawn.size == size
    expected = image.permute(1, 2, 0).numpy() if channels == 3 else np.hstack(list(image.numpy()))
    assert np.array_equal(np.asarray(drawn), expected)
