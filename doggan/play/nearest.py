"""The nearest of many pictures for one picture at a time, exactly, in milliseconds.

By pixels a sample is compared with all training pictures, 250 MB of dogs, while somebody drags a slider. So first comes
a bound that needs sums over blocks only. Let P be the projection that puts the mean of its block in place of each
pixel. Then for pictures a and b, by Pythagoras and the triangle inequality,

    ‖a − b‖² = ‖Pa − Pb‖² + ‖(a − Pa) − (b − Pb)‖² ≥ ‖Pa − Pb‖² + (‖a − Pa‖ − ‖b − Pb‖)².

Pictures are compared pixel by pixel in the order of that bound, until it is above the least distance found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GRID = 8  # blocks along a side, at most
_ROWS = 64  # pictures compared at a time
_PREPARED = 512  # pictures whose squares are summed at a time
_SLACK = 1e-6  # of the bound, against its rounding


@dataclass(frozen=True)
class Neighbor:
    """The training picture nearest to another.

    Attributes:
        index: into the training pictures, the first of several.
        distance: root mean square difference of the pixels, in levels from 0 to 255.
    """

    index: int
    distance: float


class NearestPixels:
    """Answers which of some pictures is nearest to a given one, as `doggan.metrics.pixel_distance.nearest_pixels` does.

    Beside the pictures, which are not copied, it keeps at most 64 sums of each of their channels.

    Args:
        images: uint8 [N, H, W, C], N > 0, square, at most 258 wide. Sides with a divisor near 8 are searched fast.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._rows = images.reshape(len(images), -1)
        side = images.shape[1]
        self._grid = max(n for n in range(1, _GRID + 1) if side % n == 0)
        self._block = (side // self._grid) ** 2  # pixels
        parts = [self._summary(images[start : start + _PREPARED]) for start in range(0, len(images), _PREPARED)]
        self._sums, self._coarse, self._rest = (np.concatenate(each) for each in zip(*parts, strict=True))

    def __call__(self, picture: NDArray[np.uint8]) -> Neighbor:
        """The nearest of the pictures to `picture`, uint8 [H, W, C]."""
        bound = self._bound(picture)
        order = np.argsort(bound, kind="stable")
        wanted = picture.reshape(-1).astype(np.float32)
        least, index = np.inf, len(order)
        for start in range(0, len(order), _ROWS):
            rows = np.sort(order[start : start + _ROWS])  # so that the first of several is found first
            if bound[order[start]] > least:
                break
            # Whole numbers below 2²⁴ along a line, so float32 is exact there, and float64 for all lines.
            lines = (self._rows[rows] - wanted).reshape(len(rows), -1, picture.shape[1])
            squares = np.einsum("nls,nls->nl", lines, lines).sum(1, dtype=np.float64)
            best = int(squares.argmin())
            if (squares[best], rows[best]) < (least, index):
                least, index = float(squares[best]), int(rows[best])
        return Neighbor(index, float(np.sqrt(least / len(wanted))))

    def _bound(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """What the sum of squared differences is at least, float64 [N]."""
        (sums,), (coarse,), (rest,) = self._summary(picture[None])
        between = self._coarse + coarse - 2 * (self._sums @ sums) / self._block  # ‖Pa − Pb‖²
        bound: NDArray[np.float64] = between + np.square(self._rest - rest)
        return bound - _SLACK * (1 + self._coarse + coarse)

    def _summary(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Of each picture the sums over its blocks [N, blocks · C], ‖Pa‖² [N] and ‖a − Pa‖ [N]."""
        n, side, _, channels = images.shape
        edge = side // self._grid
        blocks = images.reshape(n, self._grid, edge, self._grid, edge, channels)
        sums = blocks.sum((2, 4), dtype=np.int64).reshape(n, -1).astype(np.float64)
        pixels = images.reshape(n, -1).astype(np.float64)
        squares = np.einsum("nd,nd->n", pixels, pixels)
        coarse = np.einsum("nd,nd->n", sums, sums) / self._block
        return sums, coarse, np.sqrt(np.maximum(squares - coarse, 0))
