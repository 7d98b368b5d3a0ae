"""Maps of self-attention over samples, as in figure 5 of Zhang et al. 2019, https://arxiv.org/abs/1805.08318."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import display_name, grid
from doggan.plots.style import BLUE, DPI, GREEN, INK, ORANGE, PURPLE, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from doggan.explore.attention import Attention

_DOTS = ((BLUE, "white"), (ORANGE, "white"), (GREEN, "white"), (PURPLE, INK))  # and their numbers
_PICTURE = 192  # pixels, about
_DOT = 28
_GAP, _APART, _MARGIN, _HEAD, _FOOT = 10, 28, 28, 120, 96
_LINE = 24  # of small text
_BAR = (300, 24)


def attention_figure(
    path: str | Path,
    attention: "Attention",
    queries: NDArray[np.intp],
    title: str,
    class_names: Sequence[str] | None = None,
) -> None:
    """Write a row for each sample: the sample with its queries as numbered dots, then a map for each query.

    A map lies over the sample in grey, which is dimmed so that the colours stand out; every cell has the colour of its
    own weight, from 0 to the largest weight of the map. That is written beneath, times the number of positions attended
    to: uniform attention is 1. A ring on the map is the query itself.

    Args:
        path: the PNG.
        attention: pictures and maps, at least one.
        queries: (row, column) in the feature map of at most four positions of each sample, [N, Q, 2].
        title: the first line, cut where it is too long; γ stands in the second.
        class_names: of the samples, written under them.

    Raises:
        OSError: the file cannot be written.
    """
    n, height, width, _ = attention.pictures.shape
    scale = max(1, round(_PICTURE / width))
    height, width = height * scale, width * scale
    names = [] if class_names is None else [_wrapped(display_name(name), 2, width // 9) for name in class_names]
    caption = 12 + _LINE * max([1, *(name.count("\n") + 1 for name in names)]) + 20
    columns = [_MARGIN] + [_MARGIN + width + _APART + i * (width + _GAP) for i in range(queries.shape[1])]
    shape = (_HEAD + n * (height + caption) + _FOOT, max(columns[-1] + width + _MARGIN, 900))

    canvas = np.full((*shape, 3), 255, np.uint8)
    figure = new_figure(shape[1] / DPI, shape[0] / DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, shape[1]), ylim=(shape[0], 0), frameon=False)  # a unit is a pixel
    axes.set_axis_off()
    axes.patch.set_visible(False)

    _, rows, cols, h, w = attention.maps.shape
    for i, picture in enumerate(attention.pictures):
        y = _HEAD + i * (height + caption)
        canvas[y : y + height, _MARGIN : _MARGIN + width] = grid(picture[None], scale=scale)
        if names:
            _write(axes, _MARGIN, y + height + 10, names[i], 7.5)
        grey = _grey(canvas[y : y + height, _MARGIN : _MARGIN + width])
        for number, (row, column) in enumerate(queries[i]):
            x, weights = columns[number + 1], attention.maps[i, row, column]
            largest = float(weights.max())
            enlarged = cv2.resize(weights / largest, (width, height), interpolation=cv2.INTER_NEAREST)
            canvas[y : y + height, x : x + width] = _over(grey, enlarged)
            at = (column + 0.5) / cols * width, y + (row + 0.5) / rows * height
            _dot(axes, _MARGIN + at[0], at[1], number)
            _ring(axes, x + at[0], at[1])
            middle = y + height + 8 + _DOT / 2
            _dot(axes, x + _DOT / 2, middle, number)
            _write(axes, x + _DOT + 8, middle, f"largest {_short(largest * h * w)}", 7.5, va="center_baseline")
    _write(axes, _MARGIN, 22, _wrapped(title, 1, shape[1] // 13), 10, "bold")
    gamma = round(attention.gamma, 3) + 0.0  # not "-0.000"
    said = f"γ = {gamma:.3f}".replace("-", "−") + " (it adds nothing yet)" * (gamma == 0)
    said += (
        f" · left: samples with some of {rows}×{cols} positions · right: how each of these attends to {h}×{w} positions"
    )
    _write(axes, _MARGIN, 62, _wrapped(said, 2, (shape[1] - 2 * _MARGIN) // 9), 7.5)
    _scale(axes, canvas, columns[1] if len(columns) > 1 else _MARGIN, shape[0] - _FOOT + 6)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The brightness in [0, 1] of a picture uint8 [H, W, 3], RGB."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) / 255.0


def _over(grey: NDArray[np.float64], weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Weights in [0, 1] in colours over brightnesses in [0, 1], both [H, W] → RGB, uint8 [H, W, 3].

    The larger a weight, the more its colour covers: where there is none the picture is seen, where there is most almost
    the colour alone.
    """
    from matplotlib import colormaps

    colours = colormaps["inferno"](weights)[..., :3]
    cover = (0.45 + 0.45 * weights)[..., None]
    return np.rint(255 * (cover * colours + (1 - cover) * grey[..., None])).astype(np.uint8)


def _scale(axes: "Axes", canvas: NDArray[np.uint8], x: int, y: int) -> None:
    """The scale of colours, over black at its lower edge and over white at its upper one."""
    width, height = _BAR
    weights, grey = np.meshgrid(np.linspace(0, 1, width), np.linspace(1, 0, height))
    canvas[y : y + height, x : x + width] = _over(grey, weights)
    for place, ha, text in ((x, "left", "0"), (x + width, "right", "the map's largest")):
        _write(axes, place, y + height + 6, text, 7.5, ha=ha)
    _write(axes, x + width + 20, y - 3, "attention weight × positions\n(1 = uniform)", 7.5)


def _dot(axes: "Axes", x: float, y: float, number: int) -> None:
    colour, ink = _DOTS[number]
    axes.plot(x, y, "o", markersize=_points(_DOT), color=colour, markeredgecolor="white", markeredgewidth=1.2)
    _write(axes, x, y, str(number + 1), 7.5, "bold", ink, ha="center", va="center_baseline")


def _ring(axes: "Axes", x: float, y: float) -> None:
    for colour, thickness in ((INK, 2.8), ("white", 1.2)):  # to be seen on dark maps and on bright ones
        axes.plot(x, y, "o", markersize=_points(14), markerfacecolor="none", markeredgecolor=colour,
                  markeredgewidth=thickness)  # fmt: skip


def _write(
    axes: "Axes", x: float, y: float, text: str, size: float, weight: str = "normal", colour: str = INK, **place: Any
) -> None:
    axes.text(
        x, y, text, fontsize=size, fontweight=weight, color=colour, linespacing=1.1, parse_math=False,
        **{"va": "top", **place},
    )  # fmt: skip


def _points(pixels: float) -> float:
    return pixels * 72 / DPI


def _wrapped(text: str, lines: int, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder="…"))


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"
