"""The brushes of the synthetic dogs: smooth outlines, fur edges and softly lit shapes on one canvas (OpenCV).

Shapes are closed outlines, float [N, 2], in the dog's own units (the head is about two wide, x to the right,
y down). A `Frame` takes them to pixels of a canvas that is larger than the final picture, so that shrinking
it anti-aliases every edge.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Colour = tuple[int, int, int]  # RGB, 0 to 255

_SUBPIXEL = 4  # bits of fraction in the coordinates handed to OpenCV
_TILE = 1024  # side of a texture tile; also the largest part that can be painted
_SHADOW_TINT = np.array([1.03, 1.02, 0.95], np.float32)  # how much red, green and blue lose in the shade
_EDGE = 2  # pixels painted around a part, so that the resized shading never runs out


@dataclass(frozen=True)
class Frame:
    """A similarity from the dog's units to pixels: scale, then rotate by `angle` (radians), then shift."""

    scale: float
    shift: tuple[float, float]
    angle: float = 0.0

    def pixels(self, outline: Outline) -> Outline:
        """The outline in pixels of the canvas, float [N, 2]."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.scale * outline @ np.array([[c, s], [-s, c]]) + self.shift

    def moved(self, x: float, y: float, angle: float = 0.0) -> "Frame":
        """The frame whose origin is at (x, y) of this one, turned by a further `angle`."""
        shift = self.pixels(np.array([[x, y]]))[0]
        return Frame(self.scale, (float(shift[0]), float(shift[1])), self.angle + angle)


@dataclass(frozen=True)
class Fur:
    """How a coat looks: its texture, and the tufts that break the outline.

    Attributes:
        texture: what `_texture` knows: "plain", "short", "silky" or "curly".
        strength: contrast of the texture, as a fraction of the colour.
        depth: height of the tufts in units; 0 leaves the outline smooth.
        wavelength: distance between tufts in units.
        curly: round scallops in place of pointed tufts.
    """

    texture: str = "short"
    strength: float = 0.06
    depth: float = 0.0
    wavelength: float = 0.2
    curly: bool = False

    def smooth(self) -> "Fur":
        """The same texture without tufts."""
        return replace(self, depth=0.0)


SKIN = Fur(texture="plain", strength=0.0)


def outline(*points: tuple[float, float], rounds: int = 3) -> Outline:
    """A closed smooth curve around `points`: Chaikin's corner cutting, `rounds` times (1974)."""
    curve = np.array(points, np.float64)
    for _ in range(rounds):
        following = np.roll(curve, -1, axis=0)
        curve = np.stack([0.75 * curve + 0.25 * following, 0.25 * curve + 0.75 * following], 1).reshape(-1, 2)
    return curve


def symmetric(*right: tuple[float, float], rounds: int = 3) -> Outline:
    """`outline` of points given for the right half, from top to bottom, and mirrored for the left."""
    left = [(-x, y) for x, y in reversed(right) if x != 0]
    return outline(*right, *left, rounds=rounds)


def ellipse(x: float, y: float, rx: float, ry: float, *, angle: float = 0.0, n: int = 36) -> Outline:
    """An ellipse about (x, y), its first axis turned by `angle` (radians)."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([rx * np.cos(t), ry * np.sin(t)], 1) @ np.array([[c, s], [-s, c]]) + (x, y)


def shifted(shape: Outline, x: float, y: float) -> Outline:
    """The outline moved by (x, y)."""
    return shape + np.array([x, y])


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour made darker (`factor` < 1)."""
    red, green, blue = colour
    return int(factor * red), int(factor * green), int(factor * blue)


def mirrored(shape: Outline) -> Outline:
    """The outline seen in a mirror (x → −x)."""
    return shape * (-1.0, 1.0)


def tufted(shape: Outline, fur: Fur, rng: np.random.Generator) -> Outline:
    """The outline with the coat's tufts along it, pointing outwards; unchanged where the coat is smooth."""
    if fur.depth == 0:
        return shape
    closed = np.vstack([shape, shape[:1]])
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    teeth = max(3, round(travelled[-1] / fur.wavelength))
    steps = 6  # points per tuft
    ends = np.arange(teeth) + rng.uniform(-0.3, 0.3, teeth)
    phase = np.arange(steps) / steps
    widths = np.diff(ends, append=ends[0] + teeth)
    at = ((ends[:, None] + phase * widths[:, None]).ravel() * travelled[-1] / teeth) % travelled[-1]
    curve = np.stack([np.interp(at, travelled, closed[:, axis]) for axis in (0, 1)], 1)
    tangent = np.roll(curve, -2, axis=0) - np.roll(curve, 2, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1) / (np.hypot(*tangent.T)[:, None] + 1e-9)
    area = np.sum(closed[:-1, 0] * closed[1:, 1] - closed[1:, 0] * closed[:-1, 1])
    tooth = np.sin(np.pi * phase) ** 0.7 if fur.curly else np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3)
    heights = rng.uniform(0.45 if fur.curly else 0.1, 1.0, (teeth, 1)) * tooth
    return curve + np.sign(area) * fur.depth * heights.reshape(-1, 1) * normal


def _noise(rng: np.random.Generator, sigma_x: float, sigma_y: float) -> NDArray[np.float32]:
    """Gaussian noise blurred to the given extent, unit variance, wrapping at the borders."""
    frequency_x, frequency_y = np.fft.rfftfreq(_TILE), np.fft.fftfreq(_TILE)[:, None]
    window = np.exp(-2 * np.pi**2 * ((frequency_x * sigma_x) ** 2 + (frequency_y * sigma_y) ** 2))
    tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((_TILE, _TILE))) * window, s=(_TILE, _TILE))
    return (tile / tile.std()).astype(np.float32)


@cache
def _texture(name: str) -> NDArray[np.float32]:
    """A tile of zero-mean, unit-variance texture, float32 [1024, 1024]; the same in every process."""
    rng = np.random.default_rng(sum(map(ord, name)))
    if name == "short":  # fine hairs that lie downwards
        return 0.7 * _noise(rng, 0.8, 4) + 0.7 * _noise(rng, 14, 22)
    if name == "silky":  # long strands
        return 0.8 * _noise(rng, 1.6, 16) + 0.6 * _noise(rng, 16, 30)
    if name == "curly":  # rings: the level lines of smooth noise
        return (np.sin(4 * _noise(rng, 11, 11)) * 1.1 + 0.3 * _noise(rng, 2, 2)).astype(np.float32)
    return np.zeros((_TILE, _TILE), np.float32)


class Canvas:
    """A dog in the making: colour and coverage, uint8, and the direction from which light falls.

    Attributes:
        rgb: uint8 [H, W, 3].
        mask: uint8 [H, W], 255 where anything was painted.
    """

    def __init__(self, width: int, height: int, light: tuple[float, float], rng: np.random.Generator) -> None:
        """`light` points from the dog to the lamp, in picture coordinates (y down)."""
        self.rgb = np.zeros((height, width, 3), np.uint8)
        self.mask = np.zeros((height, width), np.uint8)
        self.light = light
        self.rng = rng

    def _window(self, points: Outline, margin: int) -> tuple[slice, slice] | None:
        """Rows and columns of the canvas that the points touch; None where they lie outside."""
        height, width = self.mask.shape
        left, top = np.floor(points.min(0)).astype(int) - margin
        right, bottom = np.ceil(points.max(0)).astype(int) + margin + 1
        rows, columns = slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)

    @staticmethod
    def _fill(target: NDArray[np.uint8], points: Outline, window: tuple[slice, slice], value: Colour | int) -> None:
        local = (points - (window[1].start, window[0].start)) * 2**_SUBPIXEL
        cv2.fillPoly(target, [np.rint(local).astype(np.int32)], value, shift=_SUBPIXEL)

    def fill(self, frame: Frame, shape: Outline, colour: Colour) -> None:
        """Paint a flat shape on what is there already (an eye, a line): it never enlarges the dog."""
        points = frame.pixels(shape)
        window = self._window(points, _EDGE)
        if window is None:
            return
        patch = np.ascontiguousarray(self.rgb[window])
        self._fill(patch, points, window, colour)
        cv2.copyTo(patch, self.mask[window], self.rgb[window])

    def line(self, frame: Frame, path: Outline, width: float, colour: Colour) -> None:
        """Draw an open path, `width` units thick, on what is there already."""
        points = np.rint(frame.pixels(path) * 2**_SUBPIXEL).astype(np.int32)
        thickness = max(1, round(width * frame.scale))
        cv2.polylines(self.rgb, [points], False, colour, thickness, cv2.LINE_AA, _SUBPIXEL)

    def darken(self, frame: Frame, shape: Outline, strength: float, blur: float) -> None:
        """A soft shadow of `shape` on what is there already; `blur` in units, `strength` 0 to 1."""
        points = frame.pixels(shape)
        window = self._window(points, round(2 * blur * frame.scale))
        if window is None:
            return
        shadow = np.zeros(self.mask[window].shape, np.uint8)
        self._fill(shadow, points, window, 255)
        small = _shrunk(shadow, 8)
        small = 1 - strength * cv2.GaussianBlur(small, (0, 0), max(0.5, blur * frame.scale / 8))
        tinted = cv2.merge([small, small, small**0.85])
        self._multiply(window, tinted)

    def _multiply(self, window: tuple[slice, slice], factor: NDArray[np.float32]) -> None:
        patch = self.rgb[window]
        full = cv2.resize(factor, patch.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        self.rgb[window] = cv2.multiply(patch, full, dtype=cv2.CV_8U)

    def paint(
        self,
        frame: Frame,
        shape: Outline,
        colour: Colour,
        *,
        fur: Fur = SKIN,
        markings: tuple[tuple[Outline, Colour], ...] = (),
        soft: float = 0.05,
        volume: float = 1.0,
    ) -> None:
        """Paint a shape as a rounded, lit body with its coat.

        Its blurred silhouette serves as a relief: the slope towards the lamp brightens, away from it darkens.

        Args:
            frame: where.
            shape: the outline in units; the coat's tufts are added here.
            colour: of the coat.
            fur: its texture and tufts.
            markings: outlines and colours laid on the coat and cut off by the shape.
            soft: how far the edges of the markings run into each other, in units.
            volume: strength of the relief; 0 is flat.
        """
        points = frame.pixels(tufted(shape, fur, self.rng))
        window = self._window(points, _EDGE)
        if window is None:
            return
        mask = np.zeros(self.mask[window].shape, np.uint8)
        self._fill(mask, points, window, 255)
        coat = np.empty((*mask.shape, 3), np.uint8)
        coat[:] = colour
        for marking, marking_colour in markings:
            self._fill(coat, frame.pixels(marking), window, marking_colour)
        if markings:
            side = 2 * round(soft * frame.scale / 2) + 1
            coat = cv2.blur(coat, (side, side))
        lit = cv2.multiply(coat, self._shading(mask, volume, fur), dtype=cv2.CV_8U)
        cv2.copyTo(lit, mask, self.rgb[window])
        self.mask[window] |= mask

    def _shading(self, mask: NDArray[np.uint8], volume: float, fur: Fur) -> NDArray[np.float32]:
        """Brightness of a part from silhouette, lamp and texture: float32 [h, w, 3] about 1."""
        small = cv2.copyMakeBorder(_shrunk(mask, 8), 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=0)
        size = math.sqrt(float(small.sum()) + 1)  # of the part, in shrunk pixels
        relief = cv2.GaussianBlur(small, (0, 0), max(0.6, 0.16 * size)) * size
        slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=1 / 8)
        slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=1 / 8)
        # The relief climbs inwards, so a slope that faces the lamp has its gradient away from it.
        facing = -(slope_x * self.light[0] + slope_y * self.light[1])
        steep = np.hypot(slope_x, slope_y)
        shade = 1.02 + volume * (0.16 * np.tanh(1.4 * facing) - 0.10 * np.tanh(steep) ** 2)
        shade = shade[6:-6, 6:-6, None] ** _SHADOW_TINT
        full = cv2.resize(shade, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        if fur.strength:
            height, width = mask.shape
            y, x = (int(self.rng.integers(0, _TILE - min(side, _TILE - 1))) for side in (height, width))
            tile = 1 + fur.strength * _texture(fur.texture)[y : y + height, x : x + width]
            full = cv2.multiply(full, cv2.merge([tile, tile, tile]))
        return full


def _shrunk(mask: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """A mask at 1/factor of its size, float32, 0 to 1."""
    size = tuple(max(1, round(side / factor)) for side in mask.shape[::-1])
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
