"""The course of a run: losses, the discriminator's outputs, learning rates."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doggan.plots.style import BLUE, GREEN, ORANGE, PURPLE, dress, legend_above, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def epoch_losses(
    path: str | Path,
    iteration: ArrayLike,
    g_loss: ArrayLike,
    d_loss: ArrayLike,
    means: tuple[float, float],
    epoch: int,
) -> None:
    """Write the losses of one epoch by iteration, and their means over the whole epoch.

    Args:
        path: the PNG.
        iteration: [n], the numbers of the steps within the epoch, from 1, rising; where they are not all there, the
            title says so.
        g_loss: [n], the generator's loss in them.
        d_loss: [n], the discriminator's loss.
        means: of the generator's and the discriminator's loss, over all steps.
        epoch: its number, for the title.

    Raises:
        OSError: the file cannot be written.
    """
    figure = new_figure(8, 3.6)
    axes = figure.add_subplot()
    steps = np.asarray(iteration)
    networks = (("generator", g_loss, means[0], BLUE), ("discriminator", d_loss, means[1], ORANGE))
    for name, values, mean, colour in networks:
        series = np.asarray(values, np.float64)
        axes.plot(
            steps,
            series,
            color=colour,
            linewidth=1.1,
            marker=_marker(len(series)),
            markersize=3,
            label=f"{name}, mean {mean:.3f}",
        )
        axes.axhline(mean, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8)
    every = int(np.diff(steps, prepend=0).max(initial=1))
    left_out = f", one iteration in {every}" if every > 1 else ""
    dress(axes, f"Epoch {epoch}: loss by iteration{left_out}", "iteration", "loss")
    legend_above(axes)
    figure.set_layout_engine("constrained")
    save(figure, path)


def all_losses(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the whole course of a run: losses (mean ± one standard deviation), D's outputs, rates.

    Args:
        path: the PNG.
        rows: one mapping per epoch with the numbers `epoch`, `g_loss`, `g_loss_std`, `d_loss`, `d_loss_std`,
            `d_real`, `d_fake` (probabilities), `g_lr`, `d_lr`; one that is missing, None or NaN leaves a gap.

    Raises:
        OSError: the file cannot be written.
    """
    figure = new_figure(9, 6)
    places = figure.add_gridspec(2, 2, height_ratios=(1.7, 1))
    epochs = _column(rows, "epoch")

    axes = figure.add_subplot(places[0, :])
    for name, key, colour in (("generator", "g_loss", BLUE), ("discriminator", "d_loss", ORANGE)):
        mean, std = _column(rows, key), _column(rows, f"{key}_std")
        _curve(axes, epochs, mean, colour, name)
        axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
    dress(axes, "Loss by epoch, mean ± one standard deviation", "epoch", "loss")
    legend_above(axes)

    axes = figure.add_subplot(places[1, 0])
    _curve(axes, epochs, _column(rows, "d_real"), GREEN, "real")
    _curve(axes, epochs, _column(rows, "d_fake"), PURPLE, "generated")
    axes.set_ylim(0, 1)
    dress(axes, "Discriminator's output", "epoch", "mean probability of real")
    legend_above(axes)

    axes = figure.add_subplot(places[1, 1])
    g_lr, d_lr = _column(rows, "g_lr"), _column(rows, "d_lr")
    _curve(axes, epochs, g_lr, BLUE, "generator")
    _curve(axes, epochs, d_lr, ORANGE, "discriminator", linestyle=(0, (3, 2)))
    highest = np.nan_to_num(np.concatenate([g_lr, d_lr])).max(initial=0)
    axes.set_ylim(0, 1.08 * highest or None)
    axes.yaxis.set_major_formatter("{x:g}")
    dress(axes, "Learning rate", "epoch", "rate")
    legend_above(axes)
    figure.set_layout_engine("constrained")
    save(figure, path)


def _marker(n: int) -> str:
    """Points while there are few: a single one would draw no line."""
    return "o" if n <= 30 else ""


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """One number per row; NaN where it is missing."""
    values = [row.get(key) for row in rows]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _curve(
    axes: "Axes",
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    colour: str,
    label: str,
    linestyle: str | tuple[int, tuple[int, ...]] = "-",
) -> None:
    axes.plot(
        x,
        y,
        color=colour,
        linewidth=1.5,
        linestyle=linestyle,
        marker=_marker(len(x)),
        markersize=3,
        label=label,
    )
