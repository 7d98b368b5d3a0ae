"""Arithmetic on z, as in figure 7 of Radford et al. 2016, https://arxiv.org/abs/1511.06434; and numbered samples."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import draw_text, grid
from doggan.plots.style import BLUE, DPI, FAINT, INK, new_figure, save

if TYPE_CHECKING:
    from doggan.explore.arithmetic import Arithmetic

_PICTURE = 128  # pixels, about
_GAP, _APART, _MARGIN, _HEAD, _NUMBER = 8, 64, 28, 110, 26
_CAPTIONS = 170  # width of what is said at the left
_FRAME = 4


def arithmetic_figure(path: str | Path, found: "Arithmetic", title: str, noise: float) -> None:
    """Write a column for each group, its samples above the picture of its mean z, and at the right what comes of them.

    The result stands in the middle of its eight neighbours, framed, in the line of the mean z; below, in the line of
    the mean pictures, is what the same arithmetic makes of pixels.

    Args:
        path: the PNG.
        found: at least one group.
        title: the first line.
        noise: of the neighbours, to be said.

    Raises:
        OSError: the file cannot be written.
    """
    scale = max(1, round(_PICTURE / found.result.shape[1]))
    height, width = found.result.shape[0] * scale, found.result.shape[1] * scale
    rows = max(len(part) for part in found.samples)
    line = height + _NUMBER
    start = _HEAD + max(0, (height + _GAP) - rows * line - 24)  # the neighbours reach a picture above the mean z
    of_means = start + rows * line + 24
    of_pixels = of_means + 2 * (height + _GAP) + 24
    columns = [_MARGIN + _CAPTIONS + i * (width + _APART) for i in range(len(found.groups))]
    right = columns[-1] + width + _APART
    shape = (of_pixels + height + _MARGIN, max(right + 3 * width + 2 * _GAP + _MARGIN, 1000))
    canvas = np.full((*shape, 3), 255, np.uint8)
    figure = new_figure(shape[1] / DPI, shape[0] / DPI)

    def put(picture: NDArray[np.uint8], x: int, y: int) -> None:
        canvas[y : y + height, x : x + width] = grid(picture[None], scale=scale)

    def sign(text: str, x: int, y: int) -> None:
        figure.text((x - _APART / 2) / shape[1], 1 - (y + height / 2) / shape[0], text, fontsize=15, color=INK,
                    ha="center", va="center")  # fmt: skip

    draw_text(figure, canvas, _MARGIN, 22, title, 10, "bold")
    said = f"middle: the result · around it: uniform noise in ±{noise:g} added to its z"
    draw_text(figure, canvas, _MARGIN, 62, said, 7.5)
    for text, y in (
        ("samples", start + (rows - 1) * line // 2),
        ("their mean z", of_means),
        ("their mean\nin pixels", of_pixels),
    ):
        draw_text(figure, canvas, _MARGIN, y + height // 2 - 10, text, 7.5)
    for i, (group, x) in enumerate(zip(found.groups, columns, strict=True)):
        first = start + (rows - len(group.numbers)) * line
        for k, number in enumerate(group.numbers):
            put(found.samples[i][k], x, first + k * line)
            draw_text(figure, canvas, x, first + k * line + height + 3, str(number), 6.5)
        for pictures, y in ((found.means, of_means), (found.pixel_means, of_pixels)):
            put(pictures[i], x, y)
            if i or group.sign < 0:
                sign("+" if group.sign > 0 else "−", x, y)
    around = grid(np.insert(found.neighbours, 4, found.result, axis=0), 3, _GAP, scale)
    y, x = of_means - height - _GAP, right
    middle = slice(height + _GAP - _FRAME, 2 * height + _GAP + _FRAME)
    across = slice(width + _GAP - _FRAME, 2 * width + _GAP + _FRAME)
    centre = around[height + _GAP : 2 * height + _GAP, width + _GAP : 2 * width + _GAP].copy()
    around[middle, across] = [int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]
    around[height + _GAP : 2 * height + _GAP, width + _GAP : 2 * width + _GAP] = centre
    canvas[y : y + around.shape[0], x : x + around.shape[1]] = around
    sign("=", right, of_means)
    put(found.pixels, right, of_pixels)
    sign("=", right, of_pixels)
    rule = int(FAINT[1:3], 16)
    canvas[of_pixels - 20 : of_pixels - 18, _MARGIN : shape[1] - _MARGIN] = rule
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def numbered_sheet(path: str | Path, pictures: NDArray[np.uint8], title: str) -> None:
    """Write pictures, enlarged to about 96 pixels, with their numbers from 0 on under them.

    Args:
        path: the PNG.
        pictures: uint8 [N, H, W, C], N > 0.
        title: above them.

    Raises:
        OSError: the file cannot be written.
    """
    scale = max(1, round(96 / pictures.shape[2]))
    height, width = pictures.shape[1] * scale, pictures.shape[2] * scale
    columns = min(math.ceil(math.sqrt(len(pictures))), 16)
    rows = math.ceil(len(pictures) / columns)
    line, head = height + 30, 64
    canvas = np.full(
        (head + rows * line + 12, max(2 * _MARGIN + columns * (width + _GAP) - _GAP, 900), 3), 255, np.uint8
    )
    figure = new_figure(canvas.shape[1] / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, _MARGIN, 20, title, 10, "bold")
    for i, picture in enumerate(pictures):
        y, x = head + i // columns * line, _MARGIN + i % columns * (width + _GAP)
        canvas[y : y + height, x : x + width] = grid(picture[None], scale=scale)
        draw_text(figure, canvas, x, y + height + 4, str(i), 7)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)
