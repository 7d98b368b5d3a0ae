"""What a run leaves behind while it trains: epoch lines, metrics.csv, figures, sample sheets, checkpoints."""

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from tqdm import tqdm

from doggan import plots
from doggan.config import Train
from doggan.data.batches import BatchPlan
from doggan.errors import DogganError
from doggan.files import write_text
from doggan.training.checkpoints import Checkpoints

Row = dict[str, float]

_STATS = ("g_loss", "d_loss", "d_real", "d_fake")
# Of metrics.csv: one row an epoch, the first at step 0. Losses and D's probabilities are means over the epoch, with
# their standard deviations; rates are those of the next step; kid is the cheap score; seconds are the epoch's.
COLUMNS = (
    *("epoch", "step", "kimg"),
    *(f"{name}{end}" for name in _STATS for end in ("", "_std")),
    *("g_lr", "d_lr", "kid", "seconds"),
)


@dataclass
class History:
    """The rows of metrics.csv, written whole and atomically at every epoch; what is unknown is empty."""

    path: Path
    rows: list[Row]

    @classmethod
    def until(cls, path: Path, step: int) -> "History":
        """The rows of the file up to `step`; what a killed run wrote beyond its last checkpoint is dropped."""
        if not path.exists():
            return cls(path, [])
        with path.open(newline="", encoding="utf-8") as file:
            try:
                rows = [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]
                return cls(path, [row for row in rows if row["step"] <= step])
            except (ValueError, KeyError, TypeError):
                raise DogganError(f"{path} is not a metrics.csv of doggan; move it away to resume.") from None

    def add(self, row: Row) -> None:
        """Append a row and write the file."""
        self.rows.append(row)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(name, row.get(name, math.nan)) for name in COLUMNS] for row in self.rows)
        write_text(self.path, text.getvalue())


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if name in ("epoch", "step") else repr(float(value))


class Stop(keras.callbacks.Callback):
    """Ends training after the step in progress, once asked to or once `deadline` (of time.monotonic) has passed."""

    def __init__(self, deadline: float | None = None) -> None:
        super().__init__()
        self.deadline = deadline
        self.reason: str | None = None

    def ask(self, reason: str) -> None:
        """Stop after this step; safe to call from a signal handler."""
        self.reason = self.reason or reason

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.ask("the time is up")
        if self.reason:
            self._model.stop_training = True


class Recorder(keras.callbacks.Callback):
    """Writes the run folder: `metrics.csv`, `losses.png`, `losses-epoch.png`, `samples/`, `checkpoints/`.

    Args:
        folder: the run folder.
        config: intervals.
        plan: the data's, for the length of an epoch.
        checkpoints: where and how many.
        sample: n → uint8 [n, H, W, C] from the generator as it is, always from the same z.
        score: pictures uint8 → a cheap distance to real ones, lower is better; None scores nothing.
        progress: show a bar of steps and print a line an epoch.

    Memory per step is constant: the losses of one epoch by iteration and one row per epoch are all that is kept.
    """

    def __init__(
        self,
        folder: Path,
        config: Train,
        plan: BatchPlan,
        checkpoints: Checkpoints,
        sample: Callable[[int], NDArray[np.uint8]],
        score: Callable[[NDArray[np.uint8]], float] | None,
        *,
        start_step: int,
        progress: bool = True,
    ) -> None:
        super().__init__()
        self.folder, self.config, self.plan, self.checkpoints = folder, config, plan, checkpoints
        self.sample, self.score = sample, score
        self.step = start_step
        self.history = History.until(folder / "metrics.csv", start_step)
        self.progress = progress
        self.iterations: dict[str, list[float]] = {"g_loss": [], "d_loss": []}
        self.bar: tqdm | None = None
        self.logs: dict[str, Any] = {}

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.plan.steps_per_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.bar is None:
            total = self.config.epochs * self.plan.steps_per_epoch
            self.bar = tqdm(
                total=total,
                initial=self.step,
                unit="step",
                disable=not self.progress,
                dynamic_ncols=True,
                mininterval=1.0,
            )
        if self.step == 0 and not self.history.rows:
            self._end_of_epoch({})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.monotonic()
        for values in self.iterations.values():
            values.clear()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        assert self.bar is not None
        self.step += 1
        self.logs = logs
        for name, values in self.iterations.items():
            values.append(float(logs[name]))
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.step % self.plan.steps_per_epoch == 0:  # otherwise it was stopped inside, and is not counted
            seconds = time.monotonic() - self.started
            values = {name: float(self.logs[f"{name}_mean"]) for name in _STATS}
            spread = {f"{name}_std": float(self.logs[f"{name}_std"]) for name in _STATS}
            self._end_of_epoch(values | spread | {"seconds": seconds})

    def close(self) -> None:
        """Save where training stopped, and end the bar."""
        if self.bar is not None:
            self.bar.close()
        if self.step not in dict(self.checkpoints.saved()):
            self.checkpoints.save(self.model)

    def _end_of_epoch(self, values: Row) -> None:
        last = self.epoch == self.config.epochs
        row: Row = {"epoch": self.epoch, "step": self.step, "kimg": self.step * self.plan.batch_size / 1000}
        row |= values
        for name, optimizer in (("g_lr", self.model.g_optimizer), ("d_lr", self.model.d_optimizer)):
            row[name] = float(ops.convert_to_numpy(optimizer.learning_rate))
        if self.score is not None and (_due(self.epoch, self.config.score_every) or last):
            row["kid"] = self.score(self.sample(self.config.score_samples))
        self.history.add(row)
        if self.progress:
            tqdm.write(_line(row, self.config.epochs))
        if _due(self.epoch, self.config.sample_every) or last:
            self._draw()
        if _due(self.epoch, self.config.checkpoint_every) or last or "kid" in row:
            self.checkpoints.save(self.model, row.get("kid"))

    def _draw(self) -> None:
        sheet = plots.grid(self.sample(self.config.samples))
        plots.save_png(self.folder / "samples" / f"epoch-{self.epoch:04d}.png", sheet)
        if self.iterations["g_loss"]:
            plots.epoch_losses(
                self.folder / "losses-epoch.png", self.iterations["g_loss"], self.iterations["d_loss"], self.epoch
            )
            plots.all_losses(self.folder / "losses.png", self.history.rows)


def _due(epoch: int, every: int) -> bool:
    return every > 0 and epoch % every == 0


def _line(row: Row, epochs: int) -> str:
    parts = [f"epoch {row['epoch']}/{epochs}", f"step {row['step']}", f"{row['kimg']:.1f} kimg"]
    if "g_loss" in row:
        parts += [
            f"g_loss {row['g_loss']:.3f} ± {row['g_loss_std']:.3f}",
            f"d_loss {row['d_loss']:.3f} ± {row['d_loss_std']:.3f}",
            f"D(real) {row['d_real']:.2f}",
            f"D(fake) {row['d_fake']:.2f}",
        ]
    parts.append(f"lr {row['g_lr']:.2e}")
    if "kid" in row:
        parts.append(f"kid {row['kid']:.4f}")
    if "seconds" in row:
        parts.append(f"{row['seconds']:.1f} s")
    return "  ".join(parts)
