"""How the discriminator judges through a run: the distributions of D(real) and D(fake) by epoch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doggan.plots.style import INK, ORANGE, dress, new_figure, save


def all_verdicts(path: str | Path, epochs: Sequence[float], on_real: ArrayLike, on_fake: ArrayLike) -> None:
    """Write two heat maps, real pictures above and generated ones below: an epoch a column, its mean as a line.

    Colours are the share of the epoch's pictures in each bin, by square root so that few are seen too. Epochs that are
    missing leave a gap.

    Args:
        path: the PNG.
        epochs: [n], whole numbers, rising; n may be 0.
        on_real, on_fake: [n, bins], how many probabilities fell into bins of equal width over [0, 1].

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(9, 4.8)
    shares = [shares_of(epochs, counts) for counts in (on_real, on_fake)]
    highest = max((float(np.nanmax(share)) for share in shares if share.size), default=1.0)
    panels = []
    for i, (title, share) in enumerate(zip(("Real pictures", "Generated pictures"), shares, strict=True)):
        axes = figure.add_subplot(2, 1, i + 1)
        panels.append(axes)
        dress(axes, title, "epoch" if i else "", "D's output")
        axes.grid(False)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # of a single epoch too
        if not share.size:
            continue
        first, last, bins = epochs[0], epochs[-1], share.shape[1]
        picture = axes.imshow(
            share.T,
            cmap="cividis",  # of one order in lightness, and for every kind of colour vision
            norm=PowerNorm(0.5, 0, highest),
            origin="lower",
            extent=(first - 0.5, last + 0.5, 0, 1),
            aspect="auto",
            interpolation="nearest",
        )
        middles = (np.arange(bins) + 0.5) / bins
        means = share @ middles
        places = np.arange(len(share)) + first
        axes.plot(places, means, color=ORANGE, linewidth=1.5, marker="o" if len(share) <= 30 else "", markersize=3)
    if shares[0].size:
        bar = figure.colorbar(picture, ax=panels, pad=0.015)
        bar.set_label("share of the epoch's pictures", fontsize=8.5, color=INK)
        bar.ax.tick_params(labelsize=7.5)
        panels[0].plot([], [], color=ORANGE, label="mean")
        panels[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False, borderaxespad=0.2)
    figure.set_layout_engine("constrained")
    save(figure, path)


def shares_of(epochs: Sequence[float], counts: ArrayLike) -> NDArray[np.float64]:
    """[last − first epoch + 1, bins], rows that sum to 1; NaN for an epoch that is missing."""
    if not len(epochs):
        return np.zeros((0, 0))
    table = np.asarray(counts, np.float64)
    places = np.asarray(epochs, int) - int(epochs[0])
    shares = np.full((places[-1] + 1, table.shape[1]), np.nan)
    shares[places] = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return shares
