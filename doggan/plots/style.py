"""What all figures share: colours, a figure without `pyplot`, the look of axes.

Figures are made with matplotlib's `Figure` alone, so nothing is kept after a file is written and no display
is looked for. matplotlib is imported when the first one is made. The same arguments give the same file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from doggan.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito, "Color Universal Design", 2008: told apart with every kind of colour blindness.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, FAINT = "#222222", "#D8D8D8"
DPI = 150


def new_figure(width: float, height: float) -> "Figure":
    """A white figure of width × height inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def save(figure: "Figure", path: str | Path) -> None:
    """Write the figure as a PNG file, atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def dress(axes: "Axes", title: str, x_label: str, y_label: str | None) -> None:
    """What all axes share: a title at the left, named axes, whole numbers along x, a faint grid, no box."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel(x_label, fontsize=8.5, color=INK)
    if y_label is not None:
        axes.set_ylabel(y_label, fontsize=8.5, color=INK)
    axes.tick_params(labelsize=7.5, color=FAINT, labelcolor=INK)
    axes.grid(True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def legend_above(axes: "Axes") -> None:
    """A legend in the title's line, at the right, where it hides no curve."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8, frameon=False, borderaxespad=0.2)
