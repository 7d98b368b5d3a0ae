"""Samples beside the training pictures nearest to them, and how near that is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import draw_text, grid
from doggan.plots.style import BLUE, DPI, INK, ORANGE, dress, new_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from doggan.explore.neighbors import Neighbors

_PICTURE = 112  # pixels, about
_GAP, _APART, _MARGIN, _TITLE, _HEAD, _LINE = 6, 56, 28, 84, 52, 30
_HISTOGRAM = 400
_BINS = 40
_NEARER = "1% of held-out pictures are nearer"


def neighbors_figure(
    path: str | Path,
    samples: NDArray[np.uint8],
    training: NDArray[np.uint8],
    found: Sequence["Neighbors"],
    chosen: NDArray[np.intp],
    title: str,
) -> None:
    """Write some samples, each with its nearest training picture by every measure, above histograms of all distances.

    The first half of `chosen` stands at the left, the rest at the right. A distance below the measure's threshold is
    printed in orange and bold.

    Args:
        path: the PNG.
        samples, training: uint8 [N, H, W, C] and [M, H, W, C].
        found: by each measure, at least one.
        chosen: samples to show, at least one; see `doggan.explore.neighbors.shown`.
        title: the first line.

    Raises:
        OSError: the file cannot be written.
    """
    scale = max(1, round(_PICTURE / samples.shape[2]))
    height, width = samples.shape[1] * scale, samples.shape[2] * scale
    halves = [half for half in np.array_split(chosen, 2) if len(half)]
    block = (1 + len(found)) * (width + _GAP) - _GAP
    rows = len(halves[0])
    top = _TITLE + _HEAD
    pictures = rows * (height + _LINE)
    canvas_width = max(2 * _MARGIN + len(halves) * (block + _APART) - _APART, 420 * len(found), 900)
    canvas = np.full((top + pictures + _HISTOGRAM, canvas_width, 3), 255, np.uint8)
    figure = new_figure(canvas_width / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, _MARGIN, 20, title, 10, "bold")
    draw_text(figure, canvas, _MARGIN, 50, "a sample, then the training picture nearest to it by each measure", 7.5)
    said = ("nearest of all", "at even ranks of the rest")
    for half, x, text in zip(halves, (_MARGIN, _MARGIN + block + _APART), said, strict=False):
        draw_text(figure, canvas, x, _TITLE + 2, f"{text}, by {found[0].measure}", 7.5, "bold")
        for column, name in enumerate(("sample", *(each.measure for each in found))):
            draw_text(figure, canvas, x + column * (width + _GAP), _TITLE + 28, name, 7)
        for row, i in enumerate(half):
            y = top + row * (height + _LINE)
            cells = [samples[i], *(training[each.index[i]] for each in found)]
            canvas[y : y + height, x : x + block] = grid(np.stack(cells), len(cells), _GAP, scale)
            for column, each in enumerate(found, 1):
                _distance(figure, canvas, x + column * (width + _GAP), y + height + 3, each, int(i))
    _histograms(figure, canvas, found)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def _distance(figure: "Figure", canvas: NDArray[np.uint8], x: int, y: int, each: "Neighbors", i: int) -> None:
    near = each.distance[i] < each.threshold  # never where there is no threshold
    weight, colour = ("bold", ORANGE) if near else ("normal", INK)
    draw_text(figure, canvas, x, y, f"{each.distance[i]:.3g}", 7, weight, colour=colour)


def _histograms(figure: "Figure", canvas: NDArray[np.uint8], found: Sequence["Neighbors"]) -> None:
    from matplotlib.ticker import MaxNLocator

    bottom, height = 74 / canvas.shape[0], (_HISTOGRAM - 172) / canvas.shape[0]
    left = 84 / canvas.shape[1]
    share = (1 - left) / len(found)
    for k, each in enumerate(found):
        axes = figure.add_axes((left + share * k, bottom, share * 0.86, height))
        sets = {"samples": (each.distance, ORANGE)}
        if each.heldout is not None:
            sets["held-out pictures"] = (each.heldout, BLUE)
        known = np.concatenate([values[~np.isnan(values)] for values, _ in sets.values()])
        bins = np.linspace(known.min(), max(known.max(), known.min() + 1e-9), _BINS + 1).tolist()
        for name, (values, colour) in sets.items():
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, bins, weights=weights, histtype="stepfilled", color=colour, alpha=0.35, label=name)
            axes.hist(values, bins, weights=weights, histtype="step", color=colour, linewidth=1.2)
        said = ""
        if each.heldout is not None:
            axes.axvline(each.threshold, color=INK, linewidth=1, linestyle=(0, (3, 2)), label=_NEARER)
            said = f": {each.share:.1%} below the line"
        dress(axes, "", each.label, "% of pictures" if k == 0 else None)
        axes.set_title(f"{each.measure}{said}", loc="left", fontsize=8.5, fontweight="bold", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.label.set_fontsize(7.5)
        axes.set_ylim(bottom=0)
        if k == 0:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.14), ncols=3, fontsize=7.5, frameon=False)
