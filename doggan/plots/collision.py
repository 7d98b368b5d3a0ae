"""Pairs of pictures with equal hashes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import draw_text, grid
from doggan.plots.style import DPI, INK, ORANGE, new_figure, save

_PICTURE = 128  # pixels, about
_COLUMNS = 4
_GAP, _BETWEEN, _TEXT, _TITLE, _MARGIN = 4, 34, 64, 116, 28
_LETTERS = 34  # that fit under a pair


class Pair(NamedTuple):
    """Two pictures uint8 [H, W, 3], their RMS distance in grey levels (0 to 255), and what is written beneath."""

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    rms: float
    caption: str


def collision_figure(
    path: str | Path, pairs: Sequence[Pair], doubtful: float, title: str, said: str, sides: str
) -> None:
    """Write pairs as a sheet, with the RMS distance under each; one beyond `doubtful` is in orange and bold.

    Args:
        path: the PNG.
        pairs: pictures of one size, at least one pair.
        doubtful: distance beyond which equal hashes are probably chance.
        title, said: the first and the second line.
        sides: what stands at the left and at the right of each pair.

    Raises:
        ValueError: there are no pairs.
        OSError: the file cannot be written.
    """
    if not pairs:
        raise ValueError("there are no pairs to draw")
    scale = max(1, round(_PICTURE / pairs[0].left.shape[1]))
    height, width = pairs[0].left.shape[0] * scale, 2 * pairs[0].left.shape[1] * scale + _GAP
    columns = min(_COLUMNS, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    canvas_width = max(2 * _MARGIN + columns * (width + _BETWEEN) - _BETWEEN, 1000)
    canvas = np.full((_TITLE + rows * (height + _TEXT) + _MARGIN // 2, canvas_width, 3), 255, np.uint8)
    figure = new_figure(canvas_width / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, _MARGIN, 18, title, 10, "bold")
    draw_text(figure, canvas, _MARGIN, 50, said, 7.5)
    legend = f"{sides} · RMS in grey levels · orange: beyond {doubtful:.1f}, as far as unrelated pictures"
    draw_text(figure, canvas, _MARGIN, 76, legend, 7.5)
    for place, pair in enumerate(pairs):
        y = _TITLE + place // columns * (height + _TEXT)
        x = _MARGIN + place % columns * (width + _BETWEEN)
        canvas[y : y + height, x : x + width] = grid(np.stack([pair.left, pair.right]), 2, _GAP, scale)
        far = pair.rms > doubtful
        weight, colour = ("bold", ORANGE) if far else ("normal", INK)
        draw_text(figure, canvas, x, y + height + 6, f"RMS {pair.rms:.1f}", 8, weight, colour=colour)
        caption = pair.caption if len(pair.caption) <= _LETTERS else pair.caption[: _LETTERS - 1] + "…"
        draw_text(figure, canvas, x, y + height + 30, caption, 6)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)
