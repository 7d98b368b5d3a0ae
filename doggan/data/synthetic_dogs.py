"""Drawing one synthetic dog in one of three poses: its body, then its head before it.

Everything is in half head widths with the head's centre at (0, 0), y down; see `synthetic_canvas` for the
brushes and `synthetic_breeds` for what tells the breeds apart.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.data.synthetic_bodies import BODIES
from doggan.data.synthetic_breeds import Breed, Pose
from doggan.data.synthetic_canvas import Canvas, Frame
from doggan.data.synthetic_heads import draw_head

# left, top, right, bottom of each pose in units, with room for the ears, the tail and a tilted head
_EXTENT = {
    "portrait": (-2.1, -2.2, 2.1, 1.75),
    "sit": (-2.2, -2.6, 2.2, 3.2),
    "stand": (-2.2, -2.6, 3.4, 2.9),
}
_SUPERSAMPLING = 2.0
_LARGEST = 1000  # pixels of the drawing canvas
_BIG_HEAD = 1.22  # a whole body has a puppy's proportions, so that its face can be read when small


def draw_dog(
    breed: Breed, pose: Pose, room: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw one dog on nothing, as large as the room allows.

    Args:
        breed: what it looks like.
        pose: how it holds itself. A portrait is cut off straight at the bottom of the result.
        room: greatest width and height of the result in pixels.
        rng: for what differs between two dogs of a breed in one pose: tufts, spots, texture.

    Returns:
        Colours, uint8 [H, W, 3], RGB; and coverage, float32 [H, W], 0 to 1. Every border row and column holds
        a pixel that is covered by at least half.

    Raises:
        ValueError: there is room for less than 16 × 16 pixels.
    """
    if min(room) < 16:
        raise ValueError(f"a dog needs at least 16 × 16 pixels, not {room[0]} × {room[1]}")
    left, top, right, bottom = _EXTENT[pose.kind]
    wide, high = right - left, bottom - top
    scale = min(_SUPERSAMPLING * min(1.2 * room[0] / wide, 1.15 * room[1] / high), _LARGEST / max(wide, high))
    light = (-pose.light[0], pose.light[1]) if pose.mirror else pose.light
    pose = replace(pose, light=light)
    canvas = Canvas(round(wide * scale), round(high * scale), light, rng)
    frame = Frame(scale, (-left * scale, -top * scale))
    BODIES[pose.kind](canvas, frame, breed, pose)
    big = 1.0 if pose.kind == "portrait" else _BIG_HEAD
    head = frame.moved(0, 1 - big + 0.06 * pose.nod, pose.tilt)
    draw_head(canvas, replace(head, scale=big * scale), breed, pose)
    return _trimmed(canvas, room, pose.mirror)


def _trimmed(canvas: Canvas, room: tuple[int, int], mirror: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What was painted, shrunk into the room."""
    x, y, w, h = cv2.boundingRect(canvas.mask)
    rgb, mask = canvas.rgb[y : y + h, x : x + w], canvas.mask[y : y + h, x : x + w]
    shrink = min(room[0] / w, room[1] / h)
    size = (max(1, int(shrink * w)), max(1, int(shrink * h)))
    # Colours are averaged with their coverage as weight, so that no black from outside leaks into the edge.
    weight = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    colour = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    colour = np.minimum(colour / np.maximum(weight, 1 / 255)[..., None], 255).astype(np.uint8)
    solid = weight >= 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    colour, weight = colour[window], weight[window]
    return (colour[:, ::-1], weight[:, ::-1]) if mirror else (colour, weight)
