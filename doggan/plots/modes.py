"""Samples with their near-identical groups outlined; what the samples hit of clusters and classes."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import display_name, draw_text, grid
from doggan.plots.style import BLUE, DPI, GREEN, INK, ORANGE, PURPLE, dress, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from doggan.explore.groups import Groups
    from doggan.explore.modes import Clusters, Modes, PredictedClasses

_COLOURS = (ORANGE, BLUE, GREEN, PURPLE)
_PICTURE = 96  # pixels, about
_COLUMNS, _ROWS = 12, 8
_LINE, _GAP, _TITLE, _MARGIN, _CAPTION = 5, 12, 96, 28, 20
_OF_A_GROUP = 6
_CLASSES = 40  # on the histogram


def shown(groups: "Groups", seed: int = 0, n: int = _COLUMNS * _ROWS) -> NDArray[np.intp]:
    """Samples for the sheet: up to half of them of the largest groups, six of each, then others drawn by `seed`."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for group in range(len(groups)):
        members = np.flatnonzero(groups.label == group)[:_OF_A_GROUP]
        if len(chosen) + len(members) > n // 2:
            break
        chosen += members.tolist()
    rest = np.setdiff1d(rng.permutation(len(groups.label)), chosen)
    more = np.sort(rng.permutation(rest)[: n - len(chosen)])
    return np.array([*chosen, *more.tolist()], np.intp)


def modes_sheet(
    path: str | Path, samples: NDArray[np.uint8], groups: "Groups", chosen: NDArray[np.intp], title: str, said: str
) -> None:
    """Write samples, those of a group in an outline of one colour with the group's number and size beneath.

    Args:
        path: the PNG.
        samples: uint8 [N, H, W, C].
        groups: of them.
        chosen: which to draw, at least one; see `shown`.
        title, said: the first and the second line.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.colors import to_rgb

    scale = max(1, round(_PICTURE / samples.shape[2]))
    height, width = samples.shape[1] * scale, samples.shape[2] * scale
    step_x, step_y = width + 2 * _LINE + _GAP, height + 2 * _LINE + _CAPTION + 4
    rows = -(-len(chosen) // _COLUMNS)
    canvas_width = max(2 * _MARGIN + min(_COLUMNS, len(chosen)) * step_x - _GAP, 1100)
    canvas = np.full((_TITLE + rows * step_y + _MARGIN // 2, canvas_width, 3), 255, np.uint8)
    figure = new_figure(canvas_width / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, _MARGIN, 18, title, 10, "bold")
    draw_text(figure, canvas, _MARGIN, 52, said, 7.5)
    for place, i in enumerate(chosen):
        y, x = _TITLE + place // _COLUMNS * step_y, _MARGIN + place % _COLUMNS * step_x
        group = int(groups.label[i])
        if group >= 0:
            colour = np.array(to_rgb(_COLOURS[group % len(_COLOURS)])) * 255
            canvas[y : y + height + 2 * _LINE, x : x + width + 2 * _LINE] = colour.astype(np.uint8)
            text = f"{group + 1} ({groups.sizes[group]:,})"
            draw_text(figure, canvas, x, y + height + 2 * _LINE + 2, text, 6, "bold")
        y, x = y + _LINE, x + _LINE
        canvas[y : y + height, x : x + width] = grid(samples[i : i + 1], scale=scale)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def modes_charts(path: str | Path, modes: "Modes", title: str) -> None:
    """Write the shares of the clusters, and below them those of the classes where there are any.

    Raises:
        OSError: the file cannot be written.
    """
    panels = 1 if modes.classes is None else 2
    figure = new_figure(9.0, 0.5 + 3.4 * panels)
    _draw_clusters(figure.add_subplot(panels, 1, 1), modes.clusters)
    if modes.classes is not None:
        _draw_classes(figure.add_subplot(panels, 1, 2), modes.classes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK, parse_math=False)
    figure.set_layout_engine("constrained")
    save(figure, path)


def _draw_clusters(axes: "Axes", clusters: "Clusters") -> None:
    order = np.argsort(-clusters.training, kind="stable")
    (hit, hit_real), (bins, bins_real) = clusters.hit, clusters.ndb
    rows = (
        (clusters.training, "training pictures"),
        (clusters.heldout, f"held out ({hit_real} hit, NDB {bins_real})"),
        (clusters.samples, f"samples ({hit} hit, NDB {bins})"),
    )
    _steps(axes, [(100 * counts[order] / counts.sum(), label) for counts, label in rows])
    dress(axes, "Clusters of real pictures", "cluster, the largest first", "% of pictures")
    _legend(axes)


def _draw_classes(axes: "Axes", classes: "PredictedClasses") -> None:
    order = np.argsort(-classes.real, kind="stable")[:_CLASSES]
    rows = (
        (classes.real, "real, by their labels"),
        (classes.heldout, "held out, predicted"),
        (classes.samples, "samples, predicted"),
    )
    _steps(axes, [(100 * shares[order], label) for shares, label in rows])
    part = "" if len(order) == len(classes.real) else f", the {len(order)} most frequent of {len(classes.real)}"
    believed = "" if classes.believable else ", too low to be believed"
    dress(axes, "Classes", "", "% of pictures")
    names = [display_name(classes.names[i]) for i in order]
    if len(names) > 12:
        names, rotation = [name if len(name) <= 22 else name[:21] + "…" for name in names], 90
    else:  # side by side, so no wider than a bar
        names, rotation = [textwrap.fill(name, 12, max_lines=3, placeholder="…") for name in names], 0
    axes.set_xticks(np.arange(1, len(names) + 1), names, parse_math=False, fontsize=7, rotation=rotation)
    label = f"class{part} · accuracy of the prediction on held-out pictures: {classes.accuracy:.0%}{believed}"
    axes.set_xlabel(label, fontsize=8.5, color=INK)
    _legend(axes)


def _steps(axes: "Axes", rows: list[tuple[NDArray[np.float64], str]]) -> None:
    """Bars for what is real, marks for what is compared with it."""
    places = np.arange(1, len(rows[0][0]) + 1)
    axes.bar(places, rows[0][0], color="#C8CCD0", width=0.85, label=rows[0][1])
    for (shares, label), colour, marker in zip(rows[1:], (BLUE, ORANGE), ("_", "o"), strict=True):
        size, line = (5, 1.6) if marker == "_" else (3.2, 0)
        axes.plot(places, shares, marker, color=colour, markersize=size, markeredgewidth=line, label=label)
    axes.set_xlim(0, len(places) + 1)
    axes.set_ylim(bottom=0)


def _legend(axes: "Axes") -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=7.5, frameon=False, borderaxespad=0.2)
