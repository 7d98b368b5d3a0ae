"""The evidence for or against memorization: generated pictures beside the real ones nearest to them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import draw_text, grid
from doggan.plots.style import DPI, INK, ORANGE, new_figure, save

_PICTURE = 128  # pixels, about
_COLUMNS = 4  # pairs in a row
_GAP, _BETWEEN, _TEXT, _TITLE, _MARGIN = 4, 34, 58, 92, 26


class Pair(NamedTuple):
    """A generated and a real picture, uint8 [H, W, 3], their names, and the distance between their features."""

    generated: NDArray[np.uint8]
    real: NDArray[np.uint8]
    generated_name: str
    real_name: str
    distance: float


def draw_evidence(path: str | Path, pairs: Sequence[Pair], title: str, extractor: str, epsilon: float) -> None:
    """Write the pairs as a sheet, generated at the left and real at the right of each, with the distance beneath.

    A distance below `epsilon`, where a mean like it would be punished, is printed in orange and bold.

    Args:
        path: the PNG.
        pairs: pictures of one size, at least one pair.
        title: the first line.
        extractor: name of what measured.
        epsilon: MiFID's threshold for this extractor.

    Raises:
        ValueError: there are no pairs.
        OSError: the file cannot be written.
    """
    if not pairs:
        raise ValueError("there are no pairs to draw")
    scale = max(1, round(_PICTURE / pairs[0].real.shape[1]))
    height, width = pairs[0].real.shape[0] * scale, 2 * pairs[0].real.shape[1] * scale + _GAP
    columns = min(_COLUMNS, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    canvas_width = max(2 * _MARGIN + columns * (width + _BETWEEN) - _BETWEEN, 900)
    canvas = np.full((_TITLE + rows * (height + _TEXT) + _MARGIN // 2, canvas_width, 3), 255, np.uint8)
    figure = new_figure(canvas_width / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, _MARGIN, 20, title, 10, "bold")
    legend = f"generated left, real right · distance 1 − |cosine| of {extractor} · orange: below ε = {epsilon:g}"
    draw_text(figure, canvas, _MARGIN, 52, legend, 7.5)
    for place, pair in enumerate(pairs):
        y = _TITLE + place // columns * (height + _TEXT)
        x = _MARGIN + place % columns * (width + _BETWEEN)
        canvas[y : y + height, x : x + width] = grid(np.stack([pair.generated, pair.real]), 2, _GAP, scale)
        weight, colour = ("bold", ORANGE) if pair.distance < epsilon else ("normal", INK)
        draw_text(figure, canvas, x, y + height + 6, f"{pair.distance:.4f}", 8.5, weight, colour=colour)
        names = f"{_short(pair.generated_name)} → {_short(pair.real_name)}"
        draw_text(figure, canvas, x, y + height + 29, names, 6)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def _short(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"
