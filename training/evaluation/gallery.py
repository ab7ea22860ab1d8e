"""Writes pictures and tables as one HTML file, which needs no other file, no network and no script."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from PIL import Image
from torch import Tensor

SIZE = 112  # CSS pixels of a picture's height

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1a1a1a }}
h2 {{ margin-top: 2.5rem }}
img {{ height: {size}px; image-rendering: pixelated; background: #888 }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem }}
ol {{ list-style: none; padding: 0 }}
li {{ border: 1px solid #ccc; border-radius: 6px; padding: .75rem }}
table {{ border-collapse: collapse }}
td, th {{ border-bottom: 1px solid #ddd; padding: .4rem .8rem .4rem 0; text-align: left; vertical-align: top }}
p {{ margin: .3rem 0 }}
.file {{ color: #555; font-size: 13px; overflow-wrap: anywhere }}
meter {{ width: 5rem; vertical-align: middle }}
</style>
</head>
<body>
<h1>{title}</h1>
"""


class Card(NamedTuple):
    """One picture with what is said of it.

    Attributes:
        image: uint8 [channels, height, width].
        headline: The fact about it.
        file: Its file, or another name.
        activations: The activation of each class by its name; may be empty.
    """

    image: Tensor
    headline: str
    file: str
    activations: dict[str, float]


def page(title: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole page.

    Args:
        title: Plain text.
        sections: The heading and the first paragraph of each as plain text, and its content as HTML.
    """
    parts = [_HEAD.format(title=escape(title), size=SIZE)]
    for heading, text, content in sections:
        parts.append(f"<h2>{escape(heading)}</h2>\n<p>{escape(text)}</p>\n{content}\n")
    return "".join([*parts, "</body>\n</html>\n"])


def cards(of: Sequence[Card]) -> str:
    """Pictures beside each other, each with its headline, its activations and its file."""
    items = []
    for card in of:
        activations = "".join(
            f'<p><meter min="0" max="1" value="{value:.4f}"></meter> {value:.3f} {escape(name)}</p>'
            for name, value in sorted(card.activations.items(), key=lambda item: -item[1])
        )
        items.append(
            f"<li>{picture(card.image)}<p><b>{escape(card.headline)}</b></p>{activations}"
            f'<p class="file">{escape(card.file)}</p></li>'
        )
    return f"<ol>{''.join(items)}</ol>"


def table(head: Sequence[str], rows: Sequence[Sequence[Card | str]]) -> str:
    """A table whose cells are text, or pictures with their headline and file."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = ["".join(f"<td>{_cell(cell)}</td>" for cell in row) for row in rows]
    return f"<table><tr>{titles}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def picture(image: Tensor) -> str:
    """An image, uint8 [channels, height, width], as HTML; the two of a stereo pair stand beside each other."""
    channels = image.shape[0]
    if channels == 3:
        drawn = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    else:
        drawn = Image.fromarray(image.transpose(0, 1).flatten(1).contiguous().numpy())
    png = io.BytesIO()
    drawn.save(png, "png")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}">'


def _cell(cell: Card | str) -> str:
    if isinstance(cell, str):
        return escape(cell)
    return f'{picture(cell.image)}<p>{escape(cell.headline)}</p><p class="file">{escape(cell.file)}</p>'
