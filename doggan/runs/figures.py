"""The pictures in a run folder: sample sheets, and figures of its course."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan import plots
from doggan.runs.history import Row, bin_columns


class Figures:
    """Draws `samples/`, `losses-epoch.png`, `losses.png` and `verdicts.png`.

    Args:
        folder: of the run.
        steps_per_epoch: of the run.
        sheet: draws a sheet uint8 [H, W, 3] from the networks as they are, always from the same z.
    """

    def __init__(self, folder: Path, steps_per_epoch: int, sheet: Callable[[], NDArray[np.uint8]]) -> None:
        self.folder, self.steps_per_epoch, self.sheet = folder, steps_per_epoch, sheet

    def sheets(self, step: int) -> dict[int, Path]:
        """step → sheet, of the epochs finished by `step` that have one."""
        paths = ((epoch, self._sheet(epoch)) for epoch in range(step // self.steps_per_epoch + 1))
        return {epoch * self.steps_per_epoch: path for epoch, path in paths if path.exists()}

    def draw_sheet(self, epoch: int) -> NDArray[np.uint8]:
        """Draw the sheet of an epoch's end, also as the latest; returns it, uint8 [H, W, 3]."""
        sheet = self.sheet()
        plots.save_png(self._sheet(epoch), sheet)
        plots.save_png(self._latest, sheet)
        return sheet

    def draw_latest(self) -> None:
        """Draw a sheet that the next one replaces."""
        plots.save_png(self._latest, self.sheet())

    def draw_epoch(self, calls: Mapping[str, Sequence[float]], means: tuple[float, float], epoch: int) -> None:
        """Draw the losses within an epoch.

        Args:
            calls: `iteration`, `g_loss` and `d_loss` of each call so far, at least one.
            means: of both losses over all steps so far.
            epoch: its number, from 1.
        """
        path = self.folder / "losses-epoch.png"
        plots.epoch_losses(path, calls["iteration"], calls["g_loss"], calls["d_loss"], means, epoch)

    def draw_course(self, rows: Sequence[Row], verdicts: Sequence[Row]) -> None:
        """Draw losses and D's judgements by epoch, from the rows of metrics.csv and of histograms.csv."""
        epochs = [row for row in rows if row["step"] % self.steps_per_epoch == 0]
        plots.all_losses(self.folder / "losses.png", epochs)
        counts = [[[row[column] for column in bin_columns(name)] for row in verdicts] for name in ("d_real", "d_fake")]
        plots.all_verdicts(self.folder / "verdicts.png", [row["epoch"] for row in verdicts], *counts)

    def _sheet(self, epoch: int) -> Path:
        return self.folder / "samples" / f"epoch-{epoch:04d}.png"

    @property
    def _latest(self) -> Path:
        return self.folder / "samples" / "latest.png"
