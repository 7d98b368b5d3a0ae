"""Accuracies of a linear classifier on different features."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doggan.plots.style import BLUE, FAINT, INK, ORANGE, dress, new_figure, save

if TYPE_CHECKING:
    from doggan.explore.features import Comparison


def features_figure(path: str | Path, found: "Comparison", name: str) -> None:
    """Write a bar for the accuracy on each kind of features, with its 95% interval, and a line for chance.

    Args:
        path: the PNG.
        found: at least one kind.
        name: of the run.

    Raises:
        OSError: the file cannot be written.
    """
    qualities = found.qualities
    figure = new_figure(9, 1.9 + 0.5 * len(qualities))
    axes = figure.add_subplot()
    places = np.arange(len(qualities))
    values = np.array([100 * quality.accuracy for quality in qualities])
    low, high = 100 * np.array([quality.interval for quality in qualities]).T
    colours = [ORANGE, *[BLUE] * (len(qualities) - 1)]
    axes.barh(places, values, color=colours, height=0.62)
    axes.errorbar(values, places, xerr=[values - low, high - values], fmt="none", ecolor=INK, elinewidth=1.2, capsize=4)
    for place, value, end in zip(places.tolist(), values.tolist(), high.tolist(), strict=True):
        axes.text(end, place, f"  {value:.1f}%", va="center", fontsize=8.5, color=INK)
    axes.axvline(100 * found.chance, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    axes.text(100 * found.chance, -0.62, f" chance {found.chance:.1%}", fontsize=7.5, color=INK, va="center")
    axes.set_yticks(places, [f"{quality.name}\n{quality.dimensions:,} dimensions" for quality in qualities])
    axes.set_ylim(len(qualities) - 0.5, -0.9)
    dress(axes, "", "accuracy on the test, %, with its 95% interval", None)
    axes.set_xlim(0, min(108, 1.15 * max(high.max(), 100 * found.chance) + 3))
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= 100])
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(FAINT)
    seen = " to test, which D has seen" if found.seen else " held out"
    figure.suptitle(
        f"{name}: linear SVM, {found.classes} classes, {found.n_train:,} pictures to learn, {found.n_test:,}{seen}",
        x=0.012, ha="left", fontsize=10, fontweight="bold", color=INK,
    )  # fmt: skip
    figure.set_layout_engine("constrained")
    save(figure, path)
