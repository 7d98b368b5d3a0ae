"""Backgrounds of the synthetic photographs: out of focus, as behind a portrait, and drawn small for speed."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Scene = NDArray[np.float32]  # [h, w, 3], RGB, 0 to 255
Painter = Callable[[int, int, np.random.Generator], Scene]

_SHRINK = 4  # a scene is painted at this fraction of its size: it is blurred anyway


def _gradient(width: int, height: int, top: tuple[int, ...], bottom: tuple[int, ...]) -> Scene:
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.repeat((1 - t) * np.array(top, np.float32) + t * np.array(bottom, np.float32), width, axis=1)


def _ground(scene: Scene, horizon: float, near: tuple[int, ...], far: tuple[int, ...]) -> None:
    """Fill what lies below `horizon` (0 top to 1 bottom) with a gradient from `far` to `near`."""
    row = round(horizon * len(scene))
    if row < len(scene):
        scene[row:] = _gradient(scene.shape[1], len(scene) - row, far, near)


def _blobs(
    scene: Scene,
    rng: np.random.Generator,
    n: int,
    y: tuple[float, float],
    size: float,
    colour: tuple[int, ...],
) -> None:
    """Round patches such as bushes, clouds or lights, each a little lighter or darker than `colour`."""
    height, width = scene.shape[:2]
    for _ in range(n):
        centre = round(rng.uniform(0, width)), round(rng.uniform(*y) * height)
        shade = np.clip(np.array(colour) * rng.uniform(0.85, 1.15), 0, 255)
        cv2.circle(scene, centre, max(1, round(size * height * rng.uniform(0.6, 1.4))), shade.tolist(), -1)


def _meadow(width: int, height: int, rng: np.random.Generator) -> Scene:
    scene = _gradient(width, height, (132, 186, 236), (216, 234, 246))
    horizon = rng.uniform(0.35, 0.6)
    _blobs(scene, rng, 5, (0.0, 0.25), 0.07, (244, 248, 252))
    _blobs(scene, rng, 9, (horizon - 0.04, horizon + 0.04), 0.1, (74, 122, 66))
    _ground(scene, horizon, (86, 148, 58), (142, 188, 92))
    return scene


def _beach(width: int, height: int, rng: np.random.Generator) -> Scene:
    scene = _gradient(width, height, (120, 180, 226), (206, 232, 244))
    horizon = rng.uniform(0.3, 0.42)
    _ground(scene, horizon, (70, 168, 190), (44, 124, 170))
    _ground(scene, horizon + rng.uniform(0.14, 0.22), (226, 200, 150), (238, 220, 180))
    return scene


def _wood(width: int, height: int, rng: np.random.Generator) -> Scene:
    scene = _gradient(width, height, (64, 100, 62), (98, 130, 70))
    _blobs(scene, rng, 14, (0.0, 0.7), 0.09, (112, 150, 82))
    _ground(scene, rng.uniform(0.7, 0.8), (104, 88, 56), (126, 116, 72))
    return scene


def _autumn(width: int, height: int, rng: np.random.Generator) -> Scene:
    scene = _gradient(width, height, (150, 96, 52), (120, 84, 48))
    _blobs(scene, rng, 16, (0.0, 0.75), 0.08, (196, 128, 52))
    _ground(scene, rng.uniform(0.66, 0.78), (134, 82, 44), (168, 104, 54))
    return scene


def _room(width: int, height: int, rng: np.random.Generator) -> Scene:
    walls = ((150, 180, 176), (196, 168, 150), (142, 156, 190), (186, 178, 140), (120, 140, 150))
    wall = walls[rng.integers(len(walls))]
    scene = _gradient(width, height, wall, tuple(round(0.86 * c) for c in wall))
    floor = rng.uniform(0.64, 0.8)
    if rng.random() < 0.6:  # a picture on the wall
        x = rng.uniform(0.02, 0.7)
        corner, opposite = (
            (round(x * width), round(0.06 * height)),
            (round((x + 0.26) * width), round(0.36 * height)),
        )
        colour = np.clip(np.array(wall) * rng.uniform(0.6, 1.2) + rng.normal(0, 16, 3), 0, 255)
        cv2.rectangle(scene, corner, opposite, colour.tolist(), -1)
    _ground(scene, floor - 0.03, (236, 230, 220), (236, 230, 220))
    _ground(scene, floor, (128, 88, 56), (164, 120, 80))
    return scene


def _studio(width: int, height: int, rng: np.random.Generator) -> Scene:
    backdrops = (
        (96, 148, 176),
        (176, 120, 132),
        (120, 160, 128),
        (146, 130, 178),
        (188, 160, 104),
        (92, 100, 116),
    )
    colour = np.array(backdrops[rng.integers(len(backdrops))], np.float32)
    y, x = np.mgrid[0 : 1 : 1j * height, 0 : 1 : 1j * width].astype(np.float32)
    distance = np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.25, 0.6))
    return colour * (1.18 - 0.5 * distance)[..., None]


SCENES: dict[str, Painter] = {
    "meadow": _meadow,
    "beach": _beach,
    "wood": _wood,
    "autumn": _autumn,
    "room": _room,
    "studio": _studio,
}


def draw_scene(name: str, width: int, height: int, rng: np.random.Generator) -> Scene:
    """The scene `name` of `SCENES`, out of focus: float32 [height, width, 3], RGB, 0 to 255."""
    small_width, small_height = max(8, width // _SHRINK), max(8, height // _SHRINK)
    scene = SCENES[name](small_width, small_height, rng).astype(np.float32)
    scene *= rng.uniform(0.94, 1.06, 3).astype(np.float32)
    scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.02, 0.045) * small_height, borderType=cv2.BORDER_REPLICATE)
    return np.clip(cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)
