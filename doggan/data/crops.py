"""From a box to the region that is cut out, and from the region to a square picture.

Every rule takes a box that lies within the photograph (`clamp_box`) and gives a region that does too. Regions
and boxes are half-open: the columns from xmin to xmax - 1, the rows from ymin to ymax - 1.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.data.annotations import BoundingBox

MARGIN = 4  # pixels on each side, as in the published reference

CropRule = Callable[[BoundingBox, int, int], BoundingBox]


def clamp_box(box: BoundingBox, width: int, height: int) -> BoundingBox | None:
    """The part of `box` inside a photograph of `width` × `height`, or None where they do not meet."""
    clamped = BoundingBox(max(box.xmin, 0), max(box.ymin, 0), min(box.xmax, width), min(box.ymax, height))
    return clamped if clamped.width > 0 and clamped.height > 0 else None


def square(box: BoundingBox, width: int, height: int) -> BoundingBox:
    """The whole dog, centred and undistorted.

    A square of side max(w, h) + 2·4 pixels around the box's centre, shifted as little as needed to stay
    inside the photograph. Where that side is larger than the photograph's shorter edge, it is the shorter
    edge. Half a pixel, where the centre falls between two, goes to the left and up.
    """
    return _about(box, max(box.width, box.height) + 2 * MARGIN, width, height)


def reference(box: BoundingBox, width: int, height: int) -> BoundingBox:
    """The published reference's rule, its anchoring included.

    The box grows by 4 pixels on each side, clamped to the photograph; the region is the square of side min(w,
    h) of the grown box, anchored at its top left corner: a wide dog loses its right, a tall one its bottom.
    """
    xmin, ymin = max(0, box.xmin - MARGIN), max(0, box.ymin - MARGIN)
    side = min(min(width, box.xmax + MARGIN) - xmin, min(height, box.ymax + MARGIN) - ymin)
    return BoundingBox(xmin, ymin, xmin + side, ymin + side)


def with_margin(box: BoundingBox, width: int, height: int) -> BoundingBox:
    """The box grown on each side by an eighth of its own width and height, clamped; squashed to a square by the resize.

    Parts of a pixel are dropped.
    """
    across, down = box.width // 8, box.height // 8
    return BoundingBox(
        max(0, box.xmin - across), max(0, box.ymin - down), min(width, box.xmax + across), min(height, box.ymax + down)
    )


def padded(box: BoundingBox, width: int, height: int) -> BoundingBox:
    """A quarter more than `square` shows: room for windows of four fifths of the side, which training cuts at random.

    Pictures of 80 px with windows of 64 px show the dog as large as `square` does.
    """
    side = (max(box.width, box.height) + 2 * MARGIN) * 5 // 4
    return _about(box, side, width, height)


def _about(box: BoundingBox, side: int, width: int, height: int) -> BoundingBox:
    """The square of this side, at most the photograph's shorter edge, around the box's centre, shifted to stay inside.

    Half a pixel, where the centre falls between two, goes to the left and up.
    """
    side = min(side, width, height)
    xmin = min(max((box.xmin + box.xmax - side) // 2, 0), width - side)
    ymin = min(max((box.ymin + box.ymax - side) // 2, 0), height - side)
    return BoundingBox(xmin, ymin, xmin + side, ymin + side)


def tight(box: BoundingBox, width: int, height: int) -> BoundingBox:
    """The box itself without a margin, squashed to a square by the resize."""
    return box


def whole(box: BoundingBox, width: int, height: int) -> BoundingBox:
    """The photograph from edge to edge, squashed to a square by the resize; one picture per photograph.

    The boxes are not looked at: a photograph with three dogs would otherwise give the same picture three
    times.
    """
    return BoundingBox(0, 0, width, height)


CROP_RULES: dict[str, CropRule] = {
    "square": square,
    "reference": reference,
    "box": tight,
    "margin": with_margin,
    "padded": padded,
    "whole": whole,
}


def cut(pixels: NDArray[np.uint8], region: BoundingBox, size: int) -> NDArray[np.uint8]:
    """`region` of `pixels` (uint8 [H, W, 3]) as uint8 [size, size, 3].

    Area interpolation where the region is larger than `size`, cubic where it is smaller; a region that is
    larger one way and smaller the other is first shrunk along the one, then enlarged along the other.
    """
    patch = pixels[region.ymin : region.ymax, region.xmin : region.xmax]
    shrunk = (min(region.width, size), min(region.height, size))
    if shrunk != (region.width, region.height):
        patch = cv2.resize(patch, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != (size, size):
        patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(patch)


def cut_reduced(pixels: NDArray[np.uint8], region: BoundingBox, size: int, reduction: int) -> NDArray[np.uint8]:
    """Like `cut`, from a photograph decoded at 1 / `reduction` of its size.

    The region's edges fall between the pixels that are left, and rounding them would shift the picture
    visibly (3.7 instead of 2.3 grey levels of mean difference on the real photographs). So the picture is
    sampled at the exact places, bilinearly, and averaged where it would skip pixels. The region must be at
    least `size` wide and high after the reduction.

    Args:
        pixels: uint8 [ceil(H / reduction), ceil(W / reduction), 3].
        region: in pixels of the full photograph.
    """
    step_x, step_y = region.width / reduction / size, region.height / reduction / size
    # So many samples each way per pixel of the picture that neighbours are less than 2 pixels apart.
    over_x, over_y = int(step_x), int(step_y)
    step_x, step_y = step_x / over_x, step_y / over_y
    # Sample i lies at its centre, (i + ½) steps from the region's edge; pixel centres are at integers here.
    sampling = np.array(
        [
            [step_x, 0, region.xmin / reduction + step_x / 2 - 0.5],
            [0, step_y, region.ymin / reduction + step_y / 2 - 0.5],
        ]
    )
    picture = cv2.warpAffine(
        pixels,
        sampling,
        (over_x * size, over_y * size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if (over_x, over_y) != (1, 1):
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)
