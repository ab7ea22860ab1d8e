"""Draws the example pictures: a digit in the style of MNIST, and two toys in the style of smallNORB.

Everything here is computed from numbers; no picture of a data set is used. Each run draws the same pixels.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

SUPERSAMPLING = 4


# --- the digit ---


def bezier(points: list[tuple[float, float]], steps: int = 200) -> Array:
    """Points [steps, 2] on the cubic Bézier curve of four control points."""
    t = np.linspace(0, 1, steps)[:, None]
    basis = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    curve: Array = basis @ np.array(points)
    return curve


def draw_digit(size: int) -> Image.Image:
    """A 3 drawn with a round pen, white on black, as large in its picture as MNIST's digits."""
    upper = bezier([(9.4, 8.2), (11.5, 2.8), (20.8, 4.6), (17.6, 9.6)])
    waist = bezier([(17.6, 9.6), (16.6, 11.6), (14.6, 12.9), (12.0, 13.3)])
    lower = bezier([(12.0, 13.3), (22.8, 12.2), (21.4, 23.6), (13.2, 23.4)])
    tail = bezier([(13.2, 23.4), (10.9, 23.4), (9.2, 22.4), (8.4, 20.8)])
    path = np.vstack([upper, waist, lower, tail])
    pen = 1.25 + 0.25 * np.sin(np.linspace(0.3, 5.5, len(path)))  # the pressure varies, as in handwriting
    y, x = (np.mgrid[0:size, 0:size] + 0.5) * 28 / size
    distance = np.full((size, size), np.inf)
    for (px, py), radius in zip(path, pen, strict=True):
        distance = np.minimum(distance, np.hypot(x - px, y - py) - radius)
    softness = 0.35  # in units of 1/28 of the picture: a scanned stroke has no sharp edge
    ink = np.clip(0.5 - distance / (2 * softness), 0, 1)
    return Image.fromarray(np.rint(255 * ink).astype(np.uint8))


# --- the toys: meshes [triangle, corner, xyz], x forward, y left, z up ---


def prism(outline: list[tuple[float, float]], low: float, high: float, axis: int) -> Array:
    """A convex outline in the two other axes, extruded along this axis from low to high."""
    flat = np.array(outline)
    bottom, top = np.insert(flat, axis, low, axis=1), np.insert(flat, axis, high, axis=1)
    triangles = []
    for i in range(len(flat)):
        j = (i + 1) % len(flat)
        triangles += [(bottom[i], bottom[j], top[j]), (bottom[i], top[j], top[i])]
        triangles += [(ring[0], ring[i], ring[j]) for ring in (bottom, top) if 0 < i < j]
    return np.array(triangles)


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Array:
    """A box between two corners."""
    return prism([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])], low[2], high[2], axis=2)


def lathe(profile: list[tuple[float, float]], centre: tuple[float, float, float], axis: int, sides: int = 32) -> Array:
    """A solid of revolution: a profile of (position along the axis, radius), around that axis through the centre."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    rings = []
    for position, radius in profile:
        circle = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        rings.append(np.insert(circle, axis, position, axis=1) + np.array(centre))
    triangles = []
    for near, far in pairwise(rings):
        for i in range(sides):
            triangles += [(near[i], near[i + 1], far[i + 1]), (near[i], far[i + 1], far[i])]
    return np.array(triangles)


def wheel(x: float, y: float, radius: float, width: float) -> Array:
    """A wheel that stands on the ground, with a recessed hub."""
    half = width / 2
    rim = [(-half, 0.0), (-half, radius), (half, radius), (half, 0.62 * radius), (0.6 * half, 0.55 * radius)]
    if y < 0:
        rim = [(-position, r) for position, r in rim]
    return lathe([*rim, (rim[-1][0], 0.0)], (x, y, radius), axis=1, sides=24)


def mirrored(part: Array) -> Array:
    """The part and its mirror image on the other side."""
    return np.concatenate([part, part * np.array([1.0, -1.0, 1.0])])


def truck() -> Array:
    """A delivery truck: a cab with a raked windscreen in front of a tall box body."""
    cab = [(0.50, 0.16), (1.02, 0.16), (1.06, 0.24), (1.05, 0.46), (0.97, 0.52), (0.84, 0.86), (0.50, 0.86)]
    parts = [
        box((-1.05, -0.36, 0.14), (0.60, 0.36, 0.24)),  # chassis
        box((-1.10, -0.44, 0.26), (0.44, 0.44, 1.06)),  # body
        prism(cab, -0.40, 0.40, axis=1),
        box((1.00, -0.42, 0.14), (1.12, 0.42, 0.24)),  # bumper
        box((-1.14, -0.40, 0.14), (-1.05, 0.40, 0.22)),
        box((-1.125, -0.38, 0.34), (-1.10, -0.02, 0.98)),  # two doors at the back
        box((-1.125, 0.02, 0.34), (-1.10, 0.38, 0.98)),
        mirrored(box((0.60, 0.40, 0.52), (0.80, 0.415, 0.78))),  # side windows
        mirrored(box((1.04, 0.22, 0.30), (1.08, 0.36, 0.40))),  # lamps
        mirrored(box((-1.10, 0.44, 0.28), (0.44, 0.46, 0.34))),  # skirts
        *(mirrored(wheel(x, 0.36, 0.19, 0.15)) for x in (-0.72, 0.74)),
    ]
    return np.concatenate(parts)


def airplane() -> Array:
    """An airliner on its wheels: swept wings with an engine under each, a tailplane and a fin."""
    hull = [(-1.25, 0.0), (-1.22, 0.05), (-0.75, 0.13), (-0.4, 0.155), (0.85, 0.155)]
    nose = [(1.02, 0.145), (1.14, 0.115), (1.22, 0.07), (1.26, 0.0)]
    engine = [
        (-0.20, 0.0),
        (-0.20, 0.05),
        (0.0, 0.085),
        (0.18, 0.085),
        (0.20, 0.065),
        (0.12, 0.05),
        (0.12, 0.0),
    ]
    wing = [(0.42, 0.10), (-0.52, 1.10), (-0.70, 1.10), (-0.22, 0.10)]
    tailplane = [(-0.88, 0.03), (-1.22, 0.44), (-1.34, 0.44), (-1.20, 0.03)]
    fin = [(-0.76, 0.44), (-1.16, 0.84), (-1.32, 0.84), (-1.20, 0.40)]
    parts = [
        lathe([*hull, *nose], (0.0, 0.0, 0.36), axis=0),
        mirrored(prism(wing, 0.27, 0.32, axis=2)),
        mirrored(prism(tailplane, 0.42, 0.455, axis=2)),
        prism(fin, -0.025, 0.025, axis=1),
        mirrored(lathe(engine, (0.14, 0.42, 0.19), axis=0)),
        mirrored(prism([(-0.06, 0.24), (0.06, 0.24), (0.06, 0.06), (-0.06, 0.06)], 0.14, 0.18, axis=1)),  # legs
        mirrored(wheel(0.0, 0.20, 0.07, 0.06)),
        wheel(0.85, 0.0, 0.07, 0.06),
        box((0.82, -0.02, 0.07), (0.88, 0.02, 0.26)),
    ]
    return np.concatenate(parts)


# --- the renderer ---


@dataclass(frozen=True)
class Scene:
    """Camera, light and background of one picture: angles in degrees, brightness from 0 to 1."""

    azimuth: float
    elevation: float
    background: float
    light: tuple[float, float, float]  # direction to the light, in the camera's axes: right, up, towards the viewer
    fill: float = 0.66  # the share of the frame that the toy spans
    distance: float = 9.0  # from camera to object; the toys are two to three units long


def camera_axes(scene: Scene) -> Array:
    """The camera's axes as rows (right, up, towards the viewer), in the toy's coordinates."""
    azimuth, elevation = np.deg2rad([scene.azimuth, scene.elevation])
    towards = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def project(points: Array, axes: Array, distance: float) -> Array:
    """Perspective projection: points [..., 3] to right, up and a closeness that is linear across a triangle."""
    seen = points @ axes.T
    scale = distance / (distance - seen[..., 2])
    return np.stack([seen[..., 0] * scale, seen[..., 1] * scale, scale], axis=-1)


def rasterise(corners: Array, size: int) -> tuple[NDArray[np.int64], Array]:
    """The index of the closest triangle at each pixel (−1 where there is none), and its closeness."""
    index, closeness = np.full((size, size), -1, np.int64), np.zeros((size, size))
    for number, triangle in enumerate(corners):
        (ax, ay), (bx, by), (cx, cy) = triangle[:, :2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        low = np.clip(np.floor(triangle[:, :2].min(axis=0)).astype(int), 0, size)
        high = np.clip(np.ceil(triangle[:, :2].max(axis=0)).astype(int) + 1, 0, size)
        if abs(area) < 1e-9 or (low >= high).any():
            continue
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
        b = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
        c = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
        depth = triangle[0, 2] * (1 - b - c) + triangle[1, 2] * b + triangle[2, 2] * c
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        front = (b >= 0) & (c >= 0) & (b + c <= 1) & (depth > closeness[window])
        closeness[window][front] = depth[front]
        index[window][front] = number
    return index, closeness


def blurred(picture: Array, radius: float) -> Array:
    """A Gaussian blur with the radius as its standard deviation; the picture wraps around at its edges."""
    rows, columns = np.fft.fftfreq(picture.shape[0])[:, None], np.fft.rfftfreq(picture.shape[1])[None]
    kernel = np.exp(-2 * (np.pi * radius) ** 2 * (rows**2 + columns**2))
    return np.fft.irfft2(np.fft.rfft2(picture) * kernel, picture.shape)


def render(mesh: Array, scene: Scene, size: int) -> Image.Image:
    """A picture of a matt grey toy on an even ground, softly lit from one side, with its shadow."""
    wide = size * SUPERSAMPLING
    axes = camera_axes(scene)
    light = np.array(scene.light) / np.linalg.norm(scene.light)
    middle = (mesh.min(axis=(0, 1)) + mesh.max(axis=(0, 1))) / 2
    mesh = mesh - middle
    seen = project(mesh, axes, scene.distance)
    low, high = seen[..., :2].min(axis=(0, 1)), seen[..., :2].max(axis=(0, 1))
    zoom = scene.fill * wide / (high - low).max()

    def to_pixels(points: Array) -> Array:
        flat = (points[..., :2] - (low + high) / 2) * zoom * np.array([1, -1]) + wide / 2
        return np.concatenate([flat, points[..., 2:]], axis=-1)

    index, closeness = rasterise(to_pixels(seen), wide)
    covered = index >= 0

    normals = np.cross(mesh[:, 1] - mesh[:, 0], mesh[:, 2] - mesh[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    turned_away = normals @ axes[2] < 0  # triangles may be wound either way; visible ones face the viewer
    normals[turned_away] *= -1
    lambert = np.clip(normals @ axes.T @ light, 0, 1)
    sky = 0.5 + 0.5 * normals[:, 2]
    shade = (0.22 + 0.30 * sky + 0.48 * lambert)[index]
    # Hollows get less light: pixels that lie behind their surroundings are darkened.
    height = np.where(covered, closeness, closeness[covered].min())
    hollow = np.clip(blurred(height, wide / 60) - height, 0, None) * scene.distance
    shade *= 1 - np.clip(2.2 * hollow, 0, 0.45)

    # Two shadows of the toy on the ground: a faint one along the light, and a dense one straight down.
    shadow = np.zeros((wide, wide))
    direction = light @ axes
    for slope, darkness, softness in (
        (direction[:2] / max(direction[2], 0.5), 0.22, 40),
        (np.zeros(2), 0.45, 50),
    ):
        flat = mesh.copy()
        flat[..., 2] = mesh[..., 2].min()
        flat[..., :2] -= slope * (mesh[..., 2:] - flat[..., 2:])
        cast = rasterise(to_pixels(project(flat, axes, scene.distance)), wide)[0] >= 0
        shadow += darkness * blurred(cast.astype(np.float64), wide / softness)
    ground = scene.background * (1 - shadow)

    picture = np.where(covered, scene.background * shade, ground)
    picture = picture.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).mean(axis=(1, 3))
    return Image.fromarray(np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8))


def main() -> None:
    """Write digit.png, truck.png and airplane.png."""
    parser = argparse.ArgumentParser(description="Draw the example pictures: digit.png, truck.png and airplane.png.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write to (default: this one)"
    )
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    light = (-0.60, 0.55, 0.60)
    pictures = {
        "digit": draw_digit(280),
        "truck": render(truck(), Scene(azimuth=-52, elevation=40, background=0.875, light=light), 384),
        "airplane": render(airplane(), Scene(azimuth=-40, elevation=48, background=0.875, light=light), 384),
    }
    for name, picture in pictures.items():
        picture.save(out / f"{name}.png", optimize=True)
        print(out / f"{name}.png")


if __name__ == "__main__":
    main()
