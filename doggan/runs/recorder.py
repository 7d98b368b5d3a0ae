"""What a run leaves behind while it trains: lines, tables, figures, sample sheets, checkpoints, scalars."""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from doggan import plots
from doggan.config import Train
from doggan.data.batches import BatchPlan
from doggan.metrics.callback import Scored
from doggan.runs.board import Board
from doggan.runs.display import Display
from doggan.runs.figures import Figures
from doggan.runs.health import Health, finite
from doggan.runs.history import History, Row, columns, epoch_line, score_line, verdict_columns
from doggan.runs.panel import Score, Status
from doggan.runs.readings import Readings, normed, read
from doggan.runs.scores import Scoring
from doggan.runs.stop import Stop
from doggan.training.backend import to_numpy
from doggan.training.checkpoints import Checkpoints
from doggan.training.gan import GAN

_REFRESH = 300.0  # seconds, in epochs that take longer, between two sheets


class Recorder(keras.callbacks.Callback):
    """Writes the run folder: `metrics.csv`, `histograms.csv`, `losses.png`, `losses-epoch.png`, `verdicts.png`,
    `scores.png`, `samples/`, `checkpoints/`, `tensorboard/`; and says on a `Display` how it goes.

    It stands before the `ScoreCallback` in the list: an epoch's row and checkpoint are there before it is scored.

    Args:
        folder: the run folder.
        config: intervals.
        plan: the data's, for the length of an epoch.
        checkpoints: where and how many.
        sheet: draws a sheet uint8 [H, W, 3] from the networks as they are, always from the same z.
        scoring: names the scores, says which are better and what they are; None where nothing is scored.
        stop: knows how long a score takes, and whether there is time for one.
        health: says whether what would be saved now is a good checkpoint; its state goes into checkpoints.
        gan: as restored, at the step where training begins.
        begun: what the checkpoint knew beside the variables (see `_extras`); None where there was none and the
            untrained state is to be recorded first.
        progress: show how it goes, and print a line an epoch.

    Where several steps run in one call, it sees the numbers of the last one and the means over the epoch so far.
    Memory per step is constant: the losses of one epoch by call and one row per epoch are all that is kept.
    """

    def __init__(
        self,
        folder: Path,
        config: Train,
        plan: BatchPlan,
        checkpoints: Checkpoints,
        sheet: Callable[[], NDArray[np.uint8]],
        scoring: Scoring | None,
        stop: Stop,
        health: Health,
        gan: GAN,
        begun: Mapping[str, NDArray[np.float64]] | None,
        *,
        progress: bool = True,
    ) -> None:
        super().__init__()
        self.folder, self.config, self.plan, self.checkpoints = folder, config, plan, checkpoints
        self.stop, self.health = stop, health
        self.scoring, self.scorer = scoring, scoring.scorer if scoring else None
        self.step = int(to_numpy(gan.step))
        self.stats = [stat.name for stat in gan.stats]
        self.untrained = begun is None
        scores = [name for group in self.scorer.names for name in group] if self.scorer else []
        names = columns(self.stats, scores, len(normed(gan.discriminator)))
        self.history = self._table("metrics.csv", names)
        self.verdicts = self._table("histograms.csv", verdict_columns())
        self.calls: dict[str, list[float]] = {"iteration": [], "g_loss": [], "d_loss": []}  # of the epoch in progress
        self.seconds = 0.0
        self.counted: float | None = None  # until when `seconds` counts; None between epochs
        if begun:
            losses = {name: list(begun[name]) for name in ("g_loss", "d_loss")}
            # Older checkpoints do not say which iterations these were: all of them.
            iterations = begun.get("iteration", np.arange(1.0, len(losses["g_loss"]) + 1))
            self.calls = {"iteration": list(iterations)} | losses
            self.seconds = float(begun["seconds"])
        self.saved_at: int | None = None if begun is None else self.step
        self.saved_time = time.monotonic()
        self.owed = begun is not None and bool(begun.get("owed", False)) and not self.is_scored
        # Of `best.npz`: the table may name a better one, which a rollback took away.
        self.best_step = self._read_best_step()
        self.status = Status(config.epochs, plan.steps_per_epoch, plan.batch_size, self.stats, self.step)
        self._show_scores()
        self.display = Display(self.status, self._read, progress=progress)
        self.figures = Figures(folder, plan.steps_per_epoch, sheet)
        self.drawn = time.monotonic()  # the last sheet
        self.board: Board | None = None
        self.logs: dict[str, Any] = {}

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.plan.steps_per_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.board is None and self.config.tensorboard:
            sheets = self.figures.sheets(self.step)
            self.board = Board(self.folder / "tensorboard", self.history.rows, self.verdicts.rows, sheets)
        if self.untrained:
            self.untrained = False
            self._end_of_epoch({})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.step % self.plan.steps_per_epoch == 0:  # and not the rest of one
            self.calls = {name: [] for name in self.calls}
            self.seconds = 0.0
        self.counted = time.monotonic()
        self.display.resume()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        steps = self._model.steps_per_execution
        self.step += steps
        self.logs = logs
        self.calls["iteration"].append((self.step - 1) % self.plan.steps_per_epoch + 1)
        for name in ("g_loss", "d_loss"):
            self.calls[name].append(float(logs[name]))
        self.status.saved = self.saved_at
        self.display.advance(self.step, logs)
        if self.config.sample_every and time.monotonic() - self.drawn >= _REFRESH:
            self._refresh()
        if self.step % self.plan.steps_per_epoch:  # at the end of an epoch its row comes first
            self._save_if_due()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._count_seconds()
        self.counted = None
        # Else stopped inside, or its last call is still to come.
        if self.step % self.plan.steps_per_epoch == 0 and not self.health.diverged:
            values = {name: float(self.logs[f"{name}_mean"]) for name in self.stats}
            spread = {f"{name}_std": float(self.logs[f"{name}_std"]) for name in self.stats}
            self._end_of_epoch(values | spread | {"seconds": self.seconds})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        # Of a run that was told to stop; saved before it is scored, which may take longer than it is given. If it is
        # killed then, the checkpoint says that a score is owed, which `due` would not.
        if self._model.stop_training:
            unscored = self.scorer is not None and not self.is_scored
            owed = unscored and self.health.collapse is None and self.stop.leaves_time()
            if owed or self.step != self.saved_at:
                self._save(owed=owed)

    def scored(self, scored: Scored) -> None:
        """Take in the scores of the weights as they are: to the checkpoints, the figure and the table.

        The best checkpoint is first and the table is last. A row without its scores is how a resumed run knows that it
        was killed before all of them were written; then it scores once more, and writes them again.
        """
        assert self.scoring is not None
        scorer = self.scoring.scorer
        self._count_seconds(but=scored.seconds)
        self.stop.scored(scored.seconds)
        if self.health.collapse is not None:
            return
        new = self.history.put(self._row(self._read()) | scored.values)
        # The untrained generator has scores, for comparison, but is nobody's best. One that is suspicious can be: what
        # it draws is what was scored, whatever becomes of training.
        if self.step > 0 and self.checkpoints.save_best(self.model, scorer.rank(scored.values), self._extras()):
            self.best_step = self.step
        self._save()
        if self.step > 0:
            plots.all_scores(
                self.folder / "scores.png",
                self.history.rows,
                scorer.names,
                self.plan.steps_per_epoch,
                self.best_step,
                str(self.scoring.comparison),
            )
        gc.collect()
        self._write(new)
        self._show_scores()
        self.display.say(score_line(self.step, scored.values, self.step == self.best_step))
        self.display.resume()

    @property
    def scored_at(self) -> int | None:
        """The step at which the weights were last scored, if they were."""
        return None if self.scorer is None else self.history.last_with(self.scorer.names[0][0])

    @property
    def is_scored(self) -> bool:
        """Whether the weights have been scored as they are."""
        return self.scored_at == self.step

    def close(self) -> None:
        """Finish the display and the scalars."""
        self.display.close()
        if self.board is not None:
            self.board.close()

    def _end_of_epoch(self, values: Row) -> None:
        last = self.epoch == self.config.epochs
        self.status.readings = readings = self._read()
        row = self._row(readings) | values
        if values:
            self._write_verdicts(readings)
        self._write(self.history.put(row))
        self.display.say(epoch_line(row, self.config.epochs))
        every = self.config.sample_every
        if _due(self.epoch, every) or last or (every and self.epoch == 1):
            self._draw()
        if self._is_regular:
            self._save()
        self._save_if_due()

    def _table(self, name: str, columns: Sequence[str]) -> History:
        path = self.folder / name
        return History(path, [], columns) if self.untrained else History.until(path, self.step, columns)

    def _read(self) -> Readings:
        return read(self.model)

    def _row(self, readings: Readings) -> Row:
        kimg = self.step * self.plan.batch_size / 1000
        return {"epoch": self.epoch, "step": self.step, "kimg": kimg} | readings.row()

    def _write(self, new: Row) -> None:
        """Write the table, and into the scalars what is new of its last row."""
        self.history.write()
        if self.board is not None:
            self.board.write(new, self.step)

    def _write_verdicts(self, readings: Readings) -> None:
        row = {"epoch": self.epoch, "step": self.step} | readings.verdicts()
        self.verdicts.put(row)
        self.verdicts.write()
        if self.board is not None:
            self.board.write_verdicts(row)

    def _show_scores(self) -> None:
        if self.scorer is None:
            return
        name = self.scorer.names[0][0]
        values = {int(row["step"]): row[name] for row in self.history.rows if not math.isnan(row.get(name, math.nan))}
        last, best = self.scored_at, self.best_step
        self.status.score_name = name
        self.status.last = None if last is None else Score(last, values[last])
        # A process that was killed may have left a best checkpoint of a step that is still to come.
        self.status.best = Score(best, values[best]) if best in values else None

    def _read_best_step(self) -> int | None:
        best = self.checkpoints.best() if self.scorer else None
        return best[0] if best else None

    @property
    def _is_regular(self) -> bool:
        """Whether this is the end of an epoch whose checkpoint `checkpoint_every` asks for, or of the last."""
        if self.step % self.plan.steps_per_epoch:
            return False
        return _due(self.epoch, self.config.checkpoint_every) or self.epoch == self.config.epochs

    def _save(self, *, owed: bool = False) -> None:
        """Write a checkpoint, unless it would be a bad one to go back to."""
        if not self._may_save():
            return
        # A collapse that is found later may have begun with the streak that is running, or after the last look.
        sound = self.health.sound_until
        self.checkpoints.save(self.model, self._extras(owed), within=not self._is_regular, sound=sound)
        self.saved_at, self.saved_time = self.step, time.monotonic()

    def _save_if_due(self) -> None:
        """Write a checkpoint where the last one is some minutes old."""
        minutes = self.config.checkpoint_minutes
        due = minutes > 0 and time.monotonic() - self.saved_time >= 60 * minutes
        if due and self._may_save() and finite(self.model.weights):
            self._save()

    def _may_save(self) -> bool:
        """Whether the state is a good one to go back to, or the one that the user wants to stop at."""
        return not self.health.diverged and (not self.health.suspicious or self.stop.reason is not None)

    def _count_seconds(self, but: float = 0.0) -> None:
        """Add the time since the last count, less `but`, to the epoch's."""
        if self.counted is not None:
            now = time.monotonic()
            self.seconds += now - self.counted - but
            self.counted = now

    def _extras(self, owed: bool = False) -> dict[str, NDArray[np.float64]]:
        """What a resumed run needs, beside the variables, to go on as if never stopped."""
        self._count_seconds()
        of_epoch = {name: np.array(values) for name, values in self.calls.items()} | {"seconds": np.array(self.seconds)}
        of_scores = {"score_seconds": np.array(self.stop.score_seconds), "owed": np.array(float(owed))}
        return of_epoch | of_scores | self.health.state

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        sheet = self.figures.draw_sheet(self.epoch)
        if self.board is not None:
            self.board.write_sheet(sheet, self.step)
        if self.calls["iteration"]:
            row = self.history.rows[-1]
            self.figures.draw_epoch(self.calls, (row["g_loss"], row["d_loss"]), self.epoch)
            self.figures.draw_course(self.history.rows, self.verdicts.rows)
        gc.collect()  # figures are megabytes of objects that refer to each other, and would stay for hundreds of epochs

    def _refresh(self) -> None:
        """Draw, inside a long epoch, a sheet and the losses so far."""
        self.drawn = time.monotonic()
        if not self.health.diverged:
            _ = self.model  # which on JAX fetches the variables that `sample` draws with
            self.figures.draw_latest()
            means = float(self.logs["g_loss_mean"]), float(self.logs["d_loss_mean"])
            self.figures.draw_epoch(self.calls, means, self.status.in_epoch[0])
            self.display.resume()


def _due(epoch: int, every: int) -> bool:
    return every > 0 and epoch % every == 0
