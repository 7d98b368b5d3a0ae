"""The one-dimensional GAN against its theory: densities, D beside D*, the course of the value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggan.plots.style import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, dress, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from doggan.toy import Moment

_SHOWN = (-4.0, 5.0)
_DASHES = (0, (3, 2))
_REAL, _FAKE = r"$p_\mathrm{data}$", r"$p_g$"


def toy_figure(
    path: str | Path, x: NDArray[np.float64], moments: Sequence["Moment"], shown: Mapping[str, "Moment"]
) -> None:
    """Write a column for each moment shown, densities above D, and below them the course of training.

    Args:
        path: the PNG.
        x: [bins], the middles of the bins, equally spaced.
        moments: of the whole training, in order; at least two.
        shown: some of them by their titles.

    Raises:
        OSError: the file cannot be written.
    """
    figure = new_figure(11, 8.2)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.55, 1))[:, 0]
    panels = upper.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    for i, (title, moment) in enumerate(shown.items()):
        _densities(panels[0, i], title, x, moment, first=i == 0)
        _verdicts(panels[1, i], x, moment, first=i == 0)
    panels[0, 0].set_ylim(bottom=0)
    panels[1, 0].set_ylim(-0.03, 1.03)
    for row in panels:
        row[0].legend(loc="upper left", fontsize=8, frameon=False)
    left, right = lower.subplots(1, 2)
    _values(left, moments)
    _distances(right, moments)
    for axes in (left, right):
        for moment in shown.values():
            axes.axvline(moment.step, color=INK, linewidth=0.7, linestyle=":", zorder=1)
        axes.legend(loc="upper right", fontsize=8, framealpha=1, edgecolor="white")  # hides the lines behind its text
    figure.set_layout_engine("constrained")
    save(figure, path)


def _densities(axes: "Axes", title: str, x: NDArray[np.float64], moment: "Moment", first: bool) -> None:
    width = x[1] - x[0]
    for name, masses, colour in ((_REAL, moment.real, BLUE), (_FAKE, moment.fake, ORANGE)):
        axes.plot(x, masses / width, color=colour, linewidth=1.5, label=name)
        axes.fill_between(x, masses / width, color=colour, alpha=0.15, linewidth=0)
    dress(axes, f"{title}\nstep {moment.step}", "", "density" if first else None)
    axes.set_xlim(_SHOWN)


def _verdicts(axes: "Axes", x: NDArray[np.float64], moment: "Moment", first: bool) -> None:
    axes.axhline(0.5, color=FAINT, linewidth=1.2)
    axes.plot(x, moment.d, color=GREEN, linewidth=1.8, label="D")
    axes.plot(x, moment.best, color=INK, linewidth=1.2, linestyle=_DASHES, label="D*")
    dress(axes, f"mean |D − D*| = {moment.deviation:.3f}", "x", "probability of real" if first else None)


def _values(axes: "Axes", moments: Sequence["Moment"]) -> None:
    steps = [moment.step for moment in moments]
    axes.plot(steps, [moment.value for moment in moments], color=GREEN, linewidth=1.8, label="V(G, D)")
    best = [moment.best_value for moment in moments]
    axes.plot(steps, best, color=INK, linewidth=1.2, linestyle=_DASHES, label="V(G, D*)")
    axes.axhline(-np.log(4), color=PURPLE, linewidth=1.2, label="−log 4")
    dress(axes, "Value of the game", "step", "nats")


def _distances(axes: "Axes", moments: Sequence["Moment"]) -> None:
    steps = [moment.step for moment in moments]
    jsd, deviation = [moment.jsd for moment in moments], [moment.deviation for moment in moments]
    axes.plot(steps, jsd, color=ORANGE, linewidth=1.5, label=f"JSD({_REAL}, {_FAKE}), nats")
    axes.plot(steps, deviation, color=GREEN, linewidth=1.5, label="mean |D − D*|")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    dress(axes, "Distance to the theory", "step", None)
