"""The heads of the synthetic dogs: ears, skull with its markings, eyes and muzzle."""

import numpy as np

from doggan.data.synthetic_bodies import spots
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

# fmt: off
# The right ear, from its base to its tip and back.
EARS: dict[str, Outline] = {
    "prick": outline((0.22, -0.66), (0.42, -1.02), (0.80, -1.56), (0.92, -1.52), (1.02, -0.90), (0.98, -0.20),
                     (0.6, -0.3)),
    "bat": outline((0.22, -0.60), (0.36, -1.00), (0.62, -1.56), (0.98, -1.70), (1.20, -1.36), (1.10, -0.70),
                   (0.90, -0.20)),
    "rose": outline((0.44, -0.84), (0.80, -0.92), (1.12, -0.78), (1.32, -0.34), (1.16, 0.06), (0.92, -0.22),
                    (0.66, -0.52)),
    "drop": outline((0.48, -0.82), (0.84, -0.92), (1.18, -0.62), (1.36, 0.00), (1.28, 0.46), (1.02, 0.54),
                    (0.86, 0.16), (0.80, -0.30)),
    "hang": outline((0.52, -0.74), (0.84, -0.84), (1.14, -0.50), (1.34, 0.20), (1.42, 0.86), (1.20, 1.20),
                    (0.90, 1.02), (0.80, 0.40), (0.76, -0.24)),
    "spaniel": outline((0.50, -0.74), (0.86, -0.82), (1.24, -0.46), (1.50, 0.24), (1.56, 0.92), (1.26, 1.22),
                       (0.92, 1.10), (0.80, 0.46), (0.74, -0.24)),
    "puff": outline((0.66, -0.60), (1.00, -0.56), (1.30, -0.10), (1.34, 0.42), (1.06, 0.66), (0.82, 0.40),
                    (0.74, -0.10)),
}
_UPRIGHT = {"prick", "bat"}
_INNER_EAR: Colour = (206, 146, 132)


def _pair(*right: Outline) -> tuple[Outline, ...]:
    return (*right, *(mirrored(shape) for shape in right))


# Outlines on the head, with how far they follow its turning (0 the skull, 1 the nose).
MARKINGS: dict[str, tuple[float, tuple[Outline, ...]]] = {
    "blaze": (0.6, (symmetric((0, -1.3), (0.13, -1.1), (0.12, -0.5), (0.24, -0.05), (0.5, 0.4), (0.46, 0.8),
                              (0, 1.0)),)),
    "cheeks": (0.4, (*_pair(ellipse(0.66, 0.50, 0.46, 0.40)), ellipse(0, 0.75, 0.6, 0.4))),
    "tan_cheeks": (0.5, _pair(ellipse(0.46, 0.52, 0.30, 0.36))),
    "pips": (0.5, _pair(ellipse(0.34, -0.44, 0.14, 0.10, angle=0.3))),
    "mask": (0.6, (ellipse(0, 0.36, 0.66, 0.52), *_pair(ellipse(0.5, 0.02, 0.30, 0.27)))),
    "wrinkles": (0.5, (symmetric((0, -0.42), (0.3, -0.5), (0, -0.36)),
                       symmetric((0, -0.6), (0.22, -0.68), (0, -0.55)))),
    "face": (0.5, (*_pair(ellipse(0.42, -0.16, 0.36, 0.40)), ellipse(0, 0.56, 0.98, 0.62))),
    "stripe": (0.6, (symmetric((0.2, -1.0), (0.09, -0.4), (0.07, 0.1)),)),
}
# fmt: on


def draw_head(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    """Ears, skull, eyes and muzzle. Turning shifts what is nearer to the camera further."""
    temple, cheek, jaw, crown, chin = breed.skull
    skull = symmetric(
        (0, -1.10 * crown),
        (0.48 * temple, -1.04 * crown),
        (0.94 * temple, -0.66 * crown),
        (1.02 * cheek, 0.1),
        (0.94 * cheek, 0.46),
        (jaw, 0.80 * chin),
        (0.55 * jaw, chin),
        (0, chin),
    )
    canvas.darken(frame, shifted(skull, 0, 0.22), 0.42, 0.14)
    if breed.ears in _UPRIGHT:
        _draw_ears(canvas, frame, breed, pose)
    markings = _head_markings(breed, pose, canvas.rng)
    canvas.paint(frame, skull, breed.coat, fur=breed.fur, markings=markings, soft=0.09)
    if breed.ears not in _UPRIGHT:
        _draw_ears(canvas, frame, breed, pose)
    _draw_eyes(canvas, frame.moved(0.19 * pose.turn, 0.05 * pose.nod), breed, pose)
    _draw_muzzle(canvas, frame.moved(0.31 * pose.turn, 0.09 * pose.nod), breed, pose)


def _head_markings(breed: Breed, pose: Pose, rng: np.random.Generator) -> tuple[tuple[Outline, Colour], ...]:
    markings: list[tuple[Outline, Colour]] = []
    for name, colour in breed.markings:
        follows, shapes = MARKINGS[name]
        x, y = 0.32 * follows * pose.turn, 0.1 * follows * pose.nod
        markings += [(shifted(shape, x, y), colour) for shape in shapes]
    # Spots keep to the forehead: on the face they would hide its expression.
    strewn = spots(breed, rng, (-0.8, -0.9, 0.8, 0.9))
    return (*markings, *((spot, colour) for spot, colour in strewn if spot[0, 1] < -0.3))


def _draw_ears(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    shape = EARS[breed.ears]
    for side in (1, -1):
        x, y = 0.7 * side, -0.6  # about where the ear is attached
        ear = shifted(shape if side == 1 else mirrored(shape), -x, -y)
        ear = ear * (1 - 0.14 * side * pose.turn, 1.0)  # the ear that turns away is seen narrower
        swing = float(canvas.rng.normal(0, 0.05))
        x, y = x - 0.06 * pose.turn, y - 0.03 * pose.nod
        if breed.ears in _UPRIGHT:
            at = frame.moved(x, y, swing)
            canvas.paint(at, ear, breed.ear_colour, fur=breed.fur)
            middle = ear.mean(0)
            inner = shifted((ear - middle) * (0.56, 0.68) + middle, 0, 0.02)
            canvas.paint(at, inner, _INNER_EAR, volume=-0.8)
        else:
            at = frame.moved(x, y, swing - 0.6 * pose.tilt)  # a hanging ear follows gravity
            canvas.darken(at, shifted(ear, -0.05 * side, 0.06), 0.30, 0.07)
            canvas.paint(at, ear, breed.ear_colour, fur=breed.fur, volume=1.2)


def _draw_eyes(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    x, y, r = breed.eye
    glint = -0.34 * r if pose.light[0] < 0 else 0.34 * r
    for side in (-1, 1):
        narrow = 1 - 0.16 * max(0.0, side * pose.turn)  # the eye that turns away
        at = frame.moved(side * x * narrow, y)
        canvas.darken(at, ellipse(0, 0, 1.5 * r, 1.4 * r), 0.35, 0.06)
        canvas.fill(at, ellipse(0, 0, 1.22 * r * narrow, 1.16 * r), (26, 20, 20))
        canvas.fill(at, ellipse(0, 0.02, 0.98 * r * narrow, 0.96 * r), breed.iris)
        canvas.fill(at, ellipse(0, 0, 0.62 * r * narrow, 0.66 * r), (14, 10, 12))
        canvas.fill(at, ellipse(glint, -0.38 * r, 0.34 * r, 0.34 * r, n=16), (255, 255, 255))
        canvas.fill(at, ellipse(-glint, 0.46 * r, 0.15 * r, 0.13 * r, n=12), (210, 205, 200))


def _draw_muzzle(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    """Tongue, muzzle, lips and nose, in this order."""
    w, h, y = breed.muzzle
    at = frame.moved(0, y)
    if pose.tongue:
        canvas.paint(at, ellipse(0, 0.62 * h, 0.62 * w, 0.66 * h), (88, 34, 40))
        sides = (0.42 * w, 0.4 * h), (0.46 * w, 1.3 * h), (0.26 * w, 1.75 * h)
        canvas.paint(at, symmetric((0, 0.4 * h), *sides, (0, 1.8 * h)), (236, 112, 124))
        canvas.line(at, np.array([(0, 0.7 * h), (0, 1.45 * h)]), 0.035, (196, 74, 92))
    canvas.darken(at, ellipse(0, 0.1, w, h), 0.22, 0.08)
    bridge = (0, -1.05 * h), (0.62 * w, -0.95 * h), (0.92 * w, -0.1 * h)
    muzzle = symmetric(*bridge, (1.08 * w, 0.55 * h), (0.62 * w, 1.02 * h), (0, 0.72 * h))
    canvas.paint(at, muzzle, breed.muzzle_colour, fur=breed.fur.smooth())
    seam = shaded(breed.muzzle_colour, 0.45)
    t = np.linspace(0, np.pi, 9)
    lip = np.stack([0.34 * w * (1 - np.cos(t)), 0.38 * h + 0.24 * h * np.sin(t)], 1)
    for path in (lip, mirrored(lip), np.array([(0.0, -0.3 * h), (0.0, 0.38 * h)])):
        canvas.line(at, path, 0.045, seam)
    _draw_nose(canvas, at.moved(0, -0.52 * h), breed, pose)


def _draw_nose(canvas: Canvas, frame: Frame, breed: Breed, pose: Pose) -> None:
    size, colour = breed.nose
    nose = size * symmetric((0, -0.62), (0.8, -0.66), (1.08, -0.2), (0.55, 0.5), (0, 0.72))
    canvas.darken(frame, shifted(nose, 0, 0.05), 0.3, 0.04)
    canvas.paint(frame, nose, colour, volume=0.6)
    side = -0.3 if pose.light[0] < 0 else 0.3
    shine = ellipse(side * size, -0.30 * size, 0.34 * size, 0.15 * size, n=16)
    canvas.fill(frame, shine, (196, 196, 204))
