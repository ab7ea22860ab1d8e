"""Draws the turntable of the explorer page: both toys at 36 angles, each for a left and a right eye, in one picture.

Columns are angles. Rows are truck left, truck right, airplane left, airplane right.
"""

import argparse
from pathlib import Path

import numpy as np
from draw import Array, Scene, airplane, camera_axes, project, render, truck
from PIL import Image

ANGLES = 36
SIDE = 64  # pixels of one picture
EYES = (-2.5, 2.5)  # degrees around the toy; two cameras side by side, as in smallNORB
FILL = 0.72  # the share of its picture that a toy spans where it is longest
LIGHT = (-0.60, 0.55, 0.60)


def views(mesh: Array, elevation: float) -> list[list[Image.Image]]:
    """Pictures of a toy, [eye][angle], all at one scale."""
    centred = mesh - (mesh.min(axis=(0, 1)) + mesh.max(axis=(0, 1))) / 2
    scenes = [
        [Scene(360 * step / ANGLES + eye, elevation, background=0.875, light=LIGHT) for step in range(ANGLES)]
        for eye in EYES
    ]
    extents = np.array([[extent(centred, scene) for scene in row] for row in scenes])
    fills = FILL * extents / extents.max()
    return [
        [
            render(mesh, Scene(scene.azimuth, elevation, 0.875, LIGHT, fill=float(fill)), SIDE)
            for scene, fill in zip(row, shares, strict=True)
        ]
        for row, shares in zip(scenes, fills, strict=True)
    ]


def extent(mesh: Array, scene: Scene) -> float:
    """The larger side of the box around a toy, as the camera sees it."""
    seen = project(mesh, camera_axes(scene), scene.distance)[..., :2]
    return float((seen.max(axis=(0, 1)) - seen.min(axis=(0, 1))).max())


def main() -> None:
    """Write turntable.webp."""
    default = Path(__file__).parents[1] / "service" / "web" / "turntable.webp"
    parser = argparse.ArgumentParser(description="Draw the turntable of the explorer page.")
    parser.add_argument("--out", type=Path, default=default, help="file to write (default: the page's)")
    out: Path = parser.parse_args().out
    rows = [row for mesh, elevation in ((truck(), 40), (airplane(), 48)) for row in views(mesh, elevation)]
    sheet = Image.new("L", (ANGLES * SIDE, len(rows) * SIDE))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * SIDE, y * SIDE))
    sheet.save(out, quality=70, method=6)
    print(out)


if __name__ == "__main__":
    main()
