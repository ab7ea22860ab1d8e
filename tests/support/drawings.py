"""Draws small pictures of shapes into class folders, for training in tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def draw(name: str, random: np.random.Generator) -> Image.Image:
    """A bright shape on dark ground, 24×24: its place, size and levels are drawn at random."""
    picture = Image.new("L", (24, 24), int(random.integers(0, 60)))
    pen = ImageDraw.Draw(picture)
    x, y, r = (int(value) for value in random.integers((9, 9, 4), (15, 15, 8)))
    shade, box = int(random.integers(150, 256)), (x - r, y - r, x + r, y + r)
    if name == "circle":
        pen.ellipse(box, fill=shade)
    elif name == "ring":
        pen.ellipse(box, outline=shade, width=2)
    elif name == "square":
        pen.rectangle(box, fill=shade)
    elif name == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=shade)
    elif name == "diamond":
        pen.polygon([(x, y - r), (x - r, y), (x, y + r), (x + r, y)], fill=shade)
    elif name == "cross":
        pen.line((x - r, y, x + r, y), fill=shade, width=3)
        pen.line((x, y - r, x, y + r), fill=shade, width=3)
    else:
        raise ValueError(f"no shape {name!r}")
    return picture


def draw_folder(folder: Path, classes: Sequence[str], count: int, seed: int) -> Path:
    """Write ``count`` pictures of each shape into a folder of its own; returns the folder."""
    random = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            draw(name, random).save(folder / name / f"{number:03}.png")
    return folder
