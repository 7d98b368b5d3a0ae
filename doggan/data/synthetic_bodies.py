"""The bodies of the synthetic dogs: a portrait's chest, sitting, and standing."""

import numpy as np

from doggan.data.synthetic_breeds import Breed, Pose
from doggan.data.synthetic_canvas import (
    Canvas,
    Colour,
    Frame,
    Outline,
    ellipse,
    mirrored,
    outline,
    shaded,
    shifted,
    symmetric,
)

_SPOT: Colour = (44, 42, 48)

# fmt: off
_TAILS: dict[str, Outline] = {
    "curl": outline((-0.2, 0.2), (0.2, 0.3), (0.75, -0.1), (0.75, -0.75), (0.3, -0.95), (0.0, -0.6),
                    (0.3, -0.45), (0.35, -0.15)),
    "whip": outline((-0.2, 0.1), (0.3, 0.2), (0.75, -0.3), (0.95, -0.95), (0.80, -1.0), (0.5, -0.4),
                    (0.1, -0.15)),
    "plume": outline((-0.2, 0.15), (0.4, 0.3), (0.95, 0.0), (1.15, -0.7), (0.85, -0.9), (0.4, -0.45),
                     (0.0, -0.2)),
    "stub": outline((-0.2, 0.15), (0.2, 0.15), (0.38, -0.05), (0.3, -0.25), (0.0, -0.2)),
}
# fmt: on


def spots(
    breed: Breed, rng: np.random.Generator, box: tuple[float, float, float, float]
) -> list[tuple[Outline, Colour]]:
    """The spots of a spotted breed within left, top, right, bottom; none for the others."""
    low, high = box[:2], box[2:]
    return [(ellipse(*rng.uniform(low, high), *rng.uniform(0.08, 0.16, 2), n=14), _SPOT) for _ in range(breed.spots)]


def _draw_torso(
    canvas: Canvas,
    frame: Frame,
    breed: Breed,
    torso: Outline,
    saddles: tuple[Outline, ...],
    bib: Outline,
    spotted: tuple[float, float, float, float],
) -> None:
    """The trunk with its markings; `spotted` is the region over which a spotted breed's spots are strewn."""
    markings = [(saddle, breed.saddle) for saddle in saddles if breed.saddle]
    markings += [(bib, breed.chest), *spots(breed, canvas.rng, spotted)]
    soft = 0.05 if breed.spots else 0.12
    canvas.paint(frame, torso, breed.coat, fur=breed.fur, markings=tuple(markings), soft=soft)


def _draw_collar(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    if pose.collar is None:
        return
    t = np.linspace(0.12, 0.88, 16) * np.pi
    band = np.stack([0.86 * breed.build * np.cos(t), 0.72 + 0.46 * np.sin(t)], 1)
    canvas.line(frame, shifted(band, 0, 0.03), 0.17, shaded(pose.collar, 0.6))
    canvas.line(frame, band, 0.13, pose.collar)
    canvas.fill(frame, ellipse(0, 1.30, 0.11, 0.12), (168, 128, 34))
    canvas.fill(frame, ellipse(-0.01, 1.285, 0.085, 0.095), (246, 208, 92))


def _draw_tail(canvas: Canvas, frame: Frame, breed: Breed) -> None:
    """The tail, its root at the origin of the frame, to the right."""
    canvas.paint(frame, _TAILS[breed.tail], breed.coat, fur=breed.fur, volume=0.8)


def _draw_leg(canvas: Canvas, frame: Frame, breed: Breed, length: float, width: float, shade: float = 1.0) -> None:
    """A leg from the frame's origin to its paw `length` below; `shade` < 1 for those at the back."""
    top, low = shaded(breed.coat, shade), shaded(breed.legs, shade)
    w, h = width, length
    leg = symmetric((0, -0.3), (1.15 * w, -0.2), (w, 0.5 * h), (0.85 * w, h), (0, h))
    sock = symmetric((0, 0.55 * h), (2 * w, 0.5 * h), (2 * w, 1.3 * h), (0, 1.3 * h))
    canvas.paint(frame, leg, top, fur=breed.fur, markings=((sock, low),), volume=0.8)
    paw = frame.moved(0, h - 0.04)
    canvas.paint(paw, ellipse(0, 0, 1.35 * w, 0.17), low, fur=breed.fur.smooth(), volume=0.8)
    for x in (-0.4 * w, 0.4 * w):
        canvas.line(paw, np.array([(x, 0.02), (x, 0.13)]), 0.035, shaded(low, 0.62))


def _draw_portrait(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    """Neck, shoulders and chest, cut off by the lower border of the canvas."""
    b = breed.build
    neck = (0, 0.1), (0.60 * b, 0.2), (0.70 * b, 0.7)
    torso = symmetric(*neck, (1.06 * b, 1.12), (1.28 * b, 1.8), (1.3 * b, 4.5), (0, 4.5))
    flank = outline((2, 0.6), (0.78, 0.8), (0.76, 4.5), (2, 4.5))
    bib = symmetric((0, 0.5), (0.60, 0.6), (0.72, 1.1), (0.56, 1.7), (0.24, 2.1), (0, 2.2))
    _draw_torso(canvas, frame, breed, torso, (flank, mirrored(flank)), bib, (-1.2, 0.9, 1.2, 1.8))
    _draw_collar(canvas, frame, breed, pose)


def _draw_sitting(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    """Seen from the front, on its haunches, the forelegs between the hind paws."""
    b = breed.build
    _draw_tail(canvas, frame.moved(0.8 * b, 2.55), breed)
    haunch = outline((0.3, 1.9), (0.85 * b, 1.75), (1.18 * b, 2.3), (1.15 * b, 2.95), (0.5, 3.0))
    for side in (haunch, mirrored(haunch)):
        spotted = tuple(spots(breed, canvas.rng, (-1.2, 1.8, 1.2, 3.0)))
        canvas.paint(frame, side, breed.coat, fur=breed.fur, markings=spotted)
    for x in (-0.92 * b, 0.92 * b):
        canvas.paint(frame, ellipse(x, 2.93, 0.34, 0.17), breed.legs, volume=0.8)
    neck = (0, 0.1), (0.50 * b, 0.2), (0.62 * b, 0.8)
    torso = symmetric(*neck, (0.80 * b, 1.4), (0.80 * b, 2.1), (0.6 * b, 2.7), (0, 2.8))
    flank = outline((2, 1.0), (0.6, 1.1), (0.5, 2.9), (2, 2.9))
    bib = symmetric((0, 0.5), (0.50, 0.6), (0.52, 1.2), (0.40, 1.8), (0.2, 2.1), (0, 2.2))
    _draw_torso(canvas, frame, breed, torso, (flank, mirrored(flank)), bib, (-0.9, 0.9, 0.9, 2.6))
    for x in (-0.34 * b, 0.34 * b):
        canvas.darken(frame, ellipse(x, 2.4, 0.30 * b, 0.7), 0.42, 0.1)
        _draw_leg(canvas, frame.moved(x, 1.75), breed, 1.28, 0.25 * b)
    _draw_collar(canvas, frame, breed, pose)


def _draw_standing(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    """Seen from the side, facing left, the head turned to the camera."""
    b = breed.build
    for x in (0.30, 1.62):
        _draw_leg(canvas, frame.moved(x, 1.3), breed, 1.35, 0.22 * b, shade=0.72)
    _draw_tail(canvas, frame.moved(2.1, 0.75), breed)
    belly = (-0.2, 1.5 + 0.3 * b), (0.9, 1.35 + 0.3 * b), (1.7, 1.25 + 0.25 * b)
    back = (2.3, 1.3), (2.35, 0.75), (1.9, 0.42), (0.9, 0.46), (0.5, 0.0)
    torso = outline((-0.6, 0.3), (-0.62, 1.1), *belly, *back)
    saddle = outline((0.4, 0.0), (2.6, 0.0), (2.5, 0.8), (1.6, 1.05), (0.6, 1.0))
    bib = outline((-0.9, 0.6), (-0.1, 0.5), (0.1, 1.3), (-0.2, 2.0), (-0.9, 1.8))
    _draw_torso(canvas, frame, breed, torso, (saddle,), bib, (-0.5, 0.5, 2.3, 1.7))
    for x in (-0.18, 2.0):
        _draw_leg(canvas, frame.moved(x, 1.35), breed, 1.4, 0.24 * b)
    _draw_collar(canvas, frame.moved(-0.05, 0), breed, pose)


# By `Pose.kind`.
BODIES = {"portrait": _draw_portrait, "sit": _draw_sitting, "stand": _draw_standing}
