"""What a run leaves behind while it trains: lines, metrics.csv, figures, sample sheets, checkpoints, scalars."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
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
from doggan.metrics.callback import Scored
from doggan.runs.board import Board
from doggan.runs.history import History, Row, columns, epoch_line, score_line
from doggan.runs.scores import Scoring
from doggan.runs.stop import Stop
from doggan.training.backend import to_numpy
from doggan.training.checkpoints import Checkpoints
from doggan.training.gan import GAN


class Recorder(keras.callbacks.Callback):
    """Writes the run folder: `metrics.csv`, `losses.png`, `losses-epoch.png`, `scores.png`, `samples/`, `checkpoints/`,
    `tensorboard/`.

    It stands before the `ScoreCallback` in the list: an epoch's row and checkpoint are there before it is scored.

    Args:
        folder: the run folder.
        config: intervals.
        plan: the data's, for the length of an epoch.
        checkpoints: where and how many.
        sample: n → uint8 [n, H, W, C] from the networks as they are, always from the same z.
        scoring: names the scores, says which are better and what they are; None where nothing is scored.
        stop: knows how long a score takes, and whether there is time for one.
        gan: as restored, at the step where training begins.
        begun: what the checkpoint knew beside the variables (see `_save`); None where there was none and the untrained
            state is to be recorded first.
        progress: show a bar of steps and print a line an epoch.

    Where several steps run in one call, it sees the numbers of the last one and the means over the epoch so far.
    Memory per step is constant: the losses of one epoch by call and one row per epoch are all that is kept.
    """

    def __init__(
        self,
        folder: Path,
        config: Train,
        plan: BatchPlan,
        checkpoints: Checkpoints,
        sample: Callable[[int], NDArray[np.uint8]],
        scoring: Scoring | None,
        stop: Stop,
        gan: GAN,
        begun: Mapping[str, NDArray[np.float64]] | None,
        *,
        progress: bool = True,
    ) -> None:
        super().__init__()
        self.folder, self.config, self.plan, self.checkpoints = folder, config, plan, checkpoints
        self.sample, self.stop = sample, stop
        self.scoring, self.scorer = scoring, scoring.scorer if scoring else None
        self.step = int(to_numpy(gan.step))
        self.stats = [stat.name for stat in gan.stats]
        self.untrained = begun is None
        path = folder / "metrics.csv"
        scores = [name for group in self.scorer.names for name in group] if self.scorer else []
        names = columns(self.stats, scores)
        self.history = History(path, [], names) if begun is None else History.until(path, self.step, names)
        self.calls: dict[str, list[float]] = {"iteration": [], "g_loss": [], "d_loss": []}  # of the epoch in progress
        self.seconds = 0.0
        self.counted: float | None = None  # until when `seconds` counts; None between epochs
        self.moments: list[NDArray[Any]] = []
        if begun:
            losses = {name: list(begun[name]) for name in ("g_loss", "d_loss")}
            # Older checkpoints do not say which iterations these were: all of them.
            iterations = begun.get("iteration", np.arange(1.0, len(losses["g_loss"]) + 1))
            self.calls = {"iteration": list(iterations)} | losses
            self.seconds = float(begun["seconds"])
        if begun and self.step % plan.steps_per_epoch:
            self.moments = [to_numpy(variable) for variable in gan.metrics_variables]
        self.saved_at: int | None = None if begun is None else self.step
        self.owed = begun is not None and bool(begun.get("owed", False)) and not self.is_scored
        self.healthy = True
        self.progress = progress
        self.bar: tqdm | None = None
        self.board: Board | None = None
        self.logs: dict[str, Any] = {}

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.plan.steps_per_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.bar is None:
            self.bar = tqdm(
                total=self.config.epochs * self.plan.steps_per_epoch,
                initial=self.step,
                unit="step",
                disable=not self.progress,
                dynamic_ncols=True,
                mininterval=1.0,
            )
            if self.config.tensorboard:
                self.board = Board(self.folder / "tensorboard", self.history.rows)
        if self.untrained:
            self.untrained = False
            self._end_of_epoch({})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.moments:  # the rest of an epoch of which `fit` has just set the moments to zero
            for variable, value in zip(self.model.metrics_variables, self.moments, strict=True):
                variable.assign(value)
            self.moments = []
        else:
            self.calls = {name: [] for name in self.calls}
            self.seconds = 0.0
        self.counted = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        assert self.bar is not None
        steps = self._model.steps_per_execution
        self.step += steps
        self.logs = logs
        self.calls["iteration"].append((self.step - 1) % self.plan.steps_per_epoch + 1)
        for name in ("g_loss", "d_loss"):
            self.calls[name].append(float(logs[name]))
            self.healthy = self.healthy and math.isfinite(float(logs[f"{name}_mean"]))  # of a step between as well
        self.bar.update(steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._count_seconds()
        self.counted = None
        self.healthy = self.healthy and _finite(self.model.weights)
        if self.step % self.plan.steps_per_epoch:  # not its end: stopped inside, or its last call is still to come
            self.moments = [to_numpy(variable) for variable in self.model.metrics_variables]
        elif self.healthy:
            values = {name: float(self.logs[f"{name}_mean"]) for name in self.stats}
            spread = {f"{name}_std": float(self.logs[f"{name}_std"]) for name in self.stats}
            self._end_of_epoch(values | spread | {"seconds": self.seconds})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        # Of a run that was told to stop; saved before it is scored, which may take longer than it is given. If it is
        # killed then, the checkpoint says that a score is owed, which `due` would not.
        if self._model.stop_training and self.healthy:
            owed = self.scorer is not None and not self.is_scored and self.stop.leaves_time()
            if owed or self.step != self.saved_at:
                self._save(None, owed=owed)

    def scored(self, scored: Scored) -> None:
        """Take in the scores of the weights as they are: to the checkpoints, the figure and the table.

        The table is last. A row without its scores is how a resumed run knows that it was killed before all of them
        were written; then it scores once more, and writes them again.
        """
        assert self.scoring is not None
        scorer = self.scoring.scorer
        self._count_seconds(but=scored.seconds)
        self.stop.scored(scored.seconds)
        if not self.healthy:
            return
        new = self.history.put(self._row() | scored.values)
        best = self._best_step()
        # The untrained generator has scores, for comparison, but is nobody's best.
        self._save(scorer.rank(scored.values) if self.step > 0 else None)
        if self.step > 0:
            plots.all_scores(
                self.folder / "scores.png",
                self.history.rows,
                scorer.names,
                self.plan.steps_per_epoch,
                best,
                str(self.scoring.comparison),
            )
        self._write(new)
        if self.progress:
            tqdm.write(score_line(self.step, scored.values, self.step == best))

    @property
    def scored_at(self) -> int | None:
        """The step at which the weights were last scored, if they were."""
        return None if self.scorer is None else self.history.last_with(self.scorer.names[0][0])

    @property
    def is_scored(self) -> bool:
        """Whether the weights have been scored as they are."""
        return self.scored_at == self.step

    def close(self) -> None:
        """Finish the bar and the scalars."""
        if self.bar is not None:
            self.bar.close()
        if self.board is not None:
            self.board.close()

    def _end_of_epoch(self, values: Row) -> None:
        last = self.epoch == self.config.epochs
        row = self._row() | values
        self._write(self.history.put(row))
        if self.progress:
            tqdm.write(epoch_line(row, self.config.epochs))
        if _due(self.epoch, self.config.sample_every) or last:
            self._draw()
        if _due(self.epoch, self.config.checkpoint_every) or last:
            self._save(None)

    def _row(self) -> Row:
        row: Row = {"epoch": self.epoch, "step": self.step, "kimg": self.step * self.plan.batch_size / 1000}
        for name, optimizer in (("g_lr", self.model.g_optimizer), ("d_lr", self.model.d_optimizer)):
            row[name] = float(ops.convert_to_numpy(optimizer.learning_rate))
        return row

    def _write(self, new: Row) -> None:
        """Write the table, and into the scalars what is new of its last row."""
        self.history.write()
        if self.board is not None:
            self.board.write(new, self.step)

    def _best_step(self) -> int | None:
        assert self.scorer is not None
        first, rank = self.scorer.names[0][0], self.scorer.rank
        trained = [row for row in self.history.rows if row["step"] > 0 and math.isfinite(row.get(first, math.nan))]
        return int(min(trained, key=rank)["step"]) if trained else None

    def _save(self, score: float | None, *, owed: bool = False) -> None:
        extras = {"score_seconds": np.array(self.stop.score_seconds), "owed": np.array(float(owed))}
        self.checkpoints.save(self.model, score, self._of_epoch() | extras)
        self.saved_at = self.step

    def _count_seconds(self, but: float = 0.0) -> None:
        """Add the time since the last count, less `but`, to the epoch's."""
        if self.counted is not None:
            now = time.monotonic()
            self.seconds += now - self.counted - but
            self.counted = now

    def _of_epoch(self) -> dict[str, NDArray[np.float64]]:
        """What the epoch in progress needs, beside the variables, to be finished as if never stopped."""
        return {name: np.array(values) for name, values in self.calls.items()} | {"seconds": np.array(self.seconds)}

    def _draw(self) -> None:
        sheet = plots.grid(self.sample(self.config.samples))
        plots.save_png(self.folder / "samples" / f"epoch-{self.epoch:04d}.png", sheet)
        if self.calls["iteration"]:
            path = self.folder / "losses-epoch.png"
            calls, row = self.calls, self.history.rows[-1]
            means = row["g_loss"], row["d_loss"]
            plots.epoch_losses(path, calls["iteration"], calls["g_loss"], calls["d_loss"], means, self.epoch)
            epochs = [row for row in self.history.rows if row["step"] % self.plan.steps_per_epoch == 0]
            plots.all_losses(self.folder / "losses.png", epochs)


def _finite(variables: Sequence[Any]) -> bool:
    return all(np.isfinite(to_numpy(variable)).all() for variable in variables)


def _due(epoch: int, every: int) -> bool:
    return every > 0 and epoch % every == 0
