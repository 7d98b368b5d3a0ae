"""Pictures of data and of training: sheets, the class histogram, losses, scores and verdicts, the GIF of a run."""

from doggan.plots.classes import class_sheet
from doggan.plots.gif import write_gif
from doggan.plots.losses import all_losses, epoch_losses
from doggan.plots.scores import all_scores
from doggan.plots.sheets import (
    augmented_sheet,
    balanced_choice,
    class_histogram,
    display_name,
    grid,
    labelled_sheet,
    representatives,
    save_png,
)
from doggan.plots.verdicts import all_verdicts

__all__ = [
    "all_losses",
    "all_scores",
    "all_verdicts",
    "augmented_sheet",
    "balanced_choice",
    "class_histogram",
    "class_sheet",
    "display_name",
    "epoch_losses",
    "grid",
    "labelled_sheet",
    "representatives",
    "save_png",
    "write_gif",
]
