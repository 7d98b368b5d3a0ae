"""Samples by the class that the generator was asked for."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import display_name, draw_text, grid
from doggan.plots.style import DPI, new_figure, save

_LINE = 24  # letters of a class name in a line; two lines at most


def class_sheet(path: str | Path, pictures: NDArray[np.uint8], names: Sequence[str], title: str) -> None:
    """Write a row of pictures for each class, its name at the left, small pictures enlarged to about 64 pixels.

    Args:
        path: the PNG.
        pictures: uint8 [classes, n, H, W, C], n > 0.
        names: of the classes.
        title: the first line.

    Raises:
        OSError: the file cannot be written.
    """
    classes, n, height, width, channels = pictures.shape
    scale = max(1, round(64 / width))
    labels = [textwrap.wrap(display_name(name), _LINE, max_lines=2, placeholder="…") for name in names]
    gap, margin, head = 4, 24, 64
    column = 16 + 9 * max(len(line) for lines in labels for line in lines)
    rows = grid(pictures.reshape(classes * n, height, width, channels), n, gap, scale)
    canvas = np.full((head + len(rows) + margin, max(2 * margin + column + rows.shape[1], 860), 3), 255, np.uint8)
    canvas[head : head + len(rows), margin + column : margin + column + rows.shape[1]] = rows
    figure = new_figure(canvas.shape[1] / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, margin, margin - 4, title, size=10, weight="bold")
    for i, lines in enumerate(labels):
        middle = head + i * (height * scale + gap) + height * scale // 2
        draw_text(figure, canvas, margin, middle, "\n".join(lines), size=7, va="center")
    figure.figimage(canvas, zorder=-1)
    save(figure, path)
