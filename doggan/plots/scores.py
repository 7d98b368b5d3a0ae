"""The scores of a run against its epochs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from doggan.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, dress, legend_above, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
_SPREADS = ("_standard_error", "_std")  # ends of names that belong to the score before them
_APART = "memorization_distance"  # beside MiFID, but of another size
_SPAN = 10.0  # from this ratio of the largest to the smallest value on, the axis is logarithmic


def all_scores(
    path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[Sequence[str]],
    steps_per_epoch: int,
    best_step: int | None = None,
    subtitle: str = "",
) -> None:
    """Write the scores through training, a panel for each metric, the best moment marked.

    Args:
        path: the PNG.
        rows: one mapping per moment with the numbers `step` and, where it was scored, the scores; one that is missing
            or NaN is left out.
        names: for each metric the names of its scores; a name that ends in `_standard_error` or `_std` is drawn as a
            band around the score before it.
        steps_per_epoch: turns steps into epochs.
        best_step: the step that is best by the first score of all; None marks nothing.
        subtitle: what the scores are, in one line above the panels.

    Raises:
        OSError: the file cannot be written.
    """
    panels = [panel for group in names for panel in _panels(group)]
    columns = min(2, len(panels))
    lines = math.ceil(len(panels) / columns)
    figure = new_figure(8 if columns == 1 else 11, 3.6 if lines == 1 else 3.0 * lines)
    for i, panel in enumerate(panels):
        _panel(figure.add_subplot(lines, columns, i + 1), rows, panel, steps_per_epoch, best_step)
    if subtitle:
        figure.suptitle(subtitle, x=0.012, ha="left", fontsize=8.5, color=INK)
    figure.set_layout_engine("constrained")
    save(figure, path)


def _panels(group: Sequence[str]) -> list[list[str]]:
    apart = [name for name in group if name.endswith(_APART)]
    together = [name for name in group if name not in apart]
    return [together, *([name] for name in apart)]


def _panel(
    axes: "Axes", rows: Sequence[Mapping[str, Any]], group: Sequence[str], steps_per_epoch: int, best_step: int | None
) -> None:
    names = [name for name in group if not name.endswith(_SPREADS)]
    alone = len(names) == 1  # then the title says what the curve is
    smallest, largest = math.inf, -math.inf
    for name, colour in zip(names, _COLOURS, strict=False):
        known = [row for row in rows if not math.isnan(row.get(name, math.nan))]
        steps, values = _column(known, "step"), _column(known, name)
        epochs = steps / steps_per_epoch
        axes.plot(epochs, values, color=colour, linewidth=1.5, marker="o", markersize=3, label=None if alone else name)
        for end in _SPREADS:
            if name + end in group:
                spread = _column(known, name + end)
                axes.fill_between(epochs, values - spread, values + spread, color=colour, alpha=0.18, linewidth=0)
        if best_step in steps:
            at = steps == best_step
            label = f"best checkpoint (epoch {epochs[at][0]:.3g}): {values[at][0]:.4g}" if alone else None
            axes.plot(epochs[at], values[at], "o", markersize=9, fillstyle="none", color=INK, label=label)
        smallest, largest = min([smallest, *values]), max([largest, *values])
    dress(axes, names[0].replace("_", " ") if alone else "", "epoch", None)
    if 0 < smallest < largest / _SPAN:
        _logarithmic(axes)
    if axes.get_legend_handles_labels()[1]:
        legend_above(axes)


def _logarithmic(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """One number per row; NaN where it is missing."""
    return np.array([row.get(key, math.nan) for row in rows], np.float64)
