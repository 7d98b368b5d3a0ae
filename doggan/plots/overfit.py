"""What D says of pictures it learned from and of those it never saw, through training."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doggan.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, dress, new_figure, save

if TYPE_CHECKING:
    from doggan.explore.overfit import Overfit


def overfit_figure(path: str | Path, found: "Overfit", name: str) -> None:
    """Write four panels against epochs: mean logits, their gap with its 95% interval, the AUC, and the score.

    Args:
        path: the PNG.
        found: verdicts of at least one checkpoint.
        name: of the run.

    Raises:
        OSError: the file cannot be written.
    """
    verdicts = found.verdicts
    epochs = np.array([verdict.epoch for verdict in verdicts])

    def column(key: str) -> np.ndarray:
        return np.array([getattr(verdict, key) for verdict in verdicts])

    figure = new_figure(11, 7)
    (said, gap), (auc, score) = figure.subplots(2, 2, sharex=True)
    line = {"linewidth": 1.5, "marker": "o", "markersize": 3.5}
    for key, label, colour in (
        ("train", "training pictures", ORANGE),
        ("heldout", "held-out pictures", BLUE),
        ("fake", "samples", GREEN),
    ):
        said.plot(epochs, column(key), color=colour, label=label, **line)
    dress(said, "What D says", "", "mean logit (higher: more real)")
    said.legend(loc="best", fontsize=8, framealpha=0.9, edgecolor="white")
    middle, error = column("gap"), column("gap_error")
    gap.fill_between(epochs, middle - error, middle + error, color=PURPLE, alpha=0.25, linewidth=0)
    gap.plot(epochs, middle, color=PURPLE, **line)
    gap.axhline(0, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    dress(gap, "Gap between training and held-out, with its 95% interval", "", "logits")
    auc.plot(epochs, column("auc"), color=PURPLE, **line)
    auc.axhline(0.5, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    auc.set_ylim(min(0.45, column("auc").min() - 0.02), 1.02)
    dress(auc, "How well D tells them apart (0.5: not at all, 1: it memorises)", "epoch", "AUC")
    score.plot(epochs, column("score"), color=GREEN, **line)
    dress(score, f"Score of the samples against held-out pictures: {found.score}", "epoch", "lower is better")
    largest, least = column("score").max(), min(0.0, column("score").min())
    score.set_ylim(least, largest + 0.06 * (largest - least or 1))
    train, heldout, fake = found.n
    figure.suptitle(
        f"{name}: {len(verdicts)} checkpoints; {train:,} training and {heldout:,} held-out pictures, {fake:,} samples",
        x=0.012, ha="left", fontsize=11, fontweight="bold", color=INK,
    )  # fmt: skip
    figure.set_layout_engine("constrained")
    save(figure, path)
