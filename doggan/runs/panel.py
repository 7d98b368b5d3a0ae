"""The live part of the display: what a run is doing now, drawn for a terminal of any width from 60 columns on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from doggan.runs.readings import Readings

WIDE = 116  # columns from which on what is below in a narrow terminal is beside
_LEVELS = "▁▂▃▄▅▆▇█"
_LABELS = {"d_real": "D(real)", "d_fake": "D(fake)", "augment_p": "augment p"}
_COLOURS = {"g_loss": "blue", "d_loss": "yellow", "d_real": "green", "d_fake": "magenta"}


class Score(NamedTuple):
    """A score and the step it is of."""

    step: int
    value: float


@dataclass
class Status:
    """What the display shows.

    Attributes:
        epochs, steps_per_epoch, batch_size: of the run.
        stats: names of what the `GAN` reports.
        step: steps done.
        logs: of the last call, as `fit` gives them; empty before the first.
        readings: of some seconds ago; None before the first.
        score_name: of the first score; empty where the run is not scored.
        last, best: the last value of it, and the best after some training.
        saved: the step of the last checkpoint.
        speed: steps per second over the last seconds; None while unknown.
        epoch_left, run_left: seconds to their ends; None while unknown.
        saved_ago: seconds since the last checkpoint was written by this process.
    """

    epochs: int
    steps_per_epoch: int
    batch_size: int
    stats: Sequence[str]
    step: int
    logs: Mapping[str, float] = field(default_factory=dict)
    readings: Readings | None = None
    score_name: str = ""
    last: Score | None = None
    best: Score | None = None
    saved: int | None = None
    speed: float | None = None
    epoch_left: float | None = None
    run_left: float | None = None
    saved_ago: float | None = None

    @property
    def in_epoch(self) -> tuple[int, int]:
        """The number of the epoch in progress, from 1, and its steps done; of a call's last step, those of its own."""
        if self.step == 0:
            return 1, 0
        epoch, step = divmod(self.step - 1, self.steps_per_epoch)
        return epoch + 1, step + 1


def duration(seconds: float | None) -> str:
    """A time as people write it: 0:42, 12:05, 3:07:00, 2 d 4 h; an unknown one as "?".

    >>> duration(3 * 3600 + 7 * 60)
    '3:07:00'
    """
    if seconds is None or not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole >= 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    minutes = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{minutes}" if whole >= 3600 else minutes.removeprefix("0")


def bars(counts: NDArray) -> str:
    """Counts as a line of little bars, the highest one full; a bin that holds anything is not blank.

    >>> import numpy as np
    >>> bars(np.array([0, 1, 50, 100]))
    ' ▁▄█'
    """
    highest = max(float(counts.max()), 1.0)
    heights = [math.ceil(len(_LEVELS) * float(count) / highest) for count in counts]
    return "".join(_LEVELS[height - 1] if height else " " for height in heights)


@dataclass(frozen=True)
class Panel:
    """A rich renderable of a `Status`."""

    status: Status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE
        yield Text("─" * options.max_width, style="dim", no_wrap=True)
        yield from self._progress(wide)
        if not wide:
            yield self._numbers()
            yield self._facts()
            return
        halves = Table.grid(padding=(0, 4))
        halves.add_row(self._numbers(), self._facts())
        yield halves

    def _progress(self, wide: bool) -> list[Table | Text]:
        status = self.status
        epoch, step = status.in_epoch
        speed = "?" if status.speed is None else f"{status.speed * status.batch_size:,.1f}"
        amounts = Text(
            f"{status.step * status.batch_size / 1000:,.1f} kimg  {speed} images/s  "
            f"left {duration(status.epoch_left)}, run {duration(status.run_left)}"
        )
        line = Table.grid(padding=(0, 2), expand=True)
        cells: list[Text | ProgressBar] = [
            Text(f"epoch {epoch}/{status.epochs}", style="bold", no_wrap=True),
            ProgressBar(total=status.steps_per_epoch, completed=step, complete_style="cyan", finished_style="cyan"),
            Text(f"{step}/{status.steps_per_epoch}", no_wrap=True),
        ]
        ratios: list[int | None] = [None, 1, None]
        if wide:
            cells.append(amounts)
            ratios.append(None)
        for ratio in ratios:
            line.add_column(ratio=ratio)
        line.add_row(*cells)
        return [line] if wide else [line, amounts]

    def _numbers(self) -> Table:
        """A line for each of what the GAN reports: now, over the epoch, and for D its distribution over the epoch."""
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(justify="right")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        status, readings = self.status, self.status.readings
        counts = {} if readings is None else {"d_real": readings.on_real, "d_fake": readings.on_fake}
        table.add_row("", Text("now", style="dim"), Text("this epoch", style="dim"))
        for name in status.stats:
            now, mean, spread = (
                f"{status.logs[key]:.3f}" if key in status.logs else "" for key in (name, f"{name}_mean", f"{name}_std")
            )
            row: list[Text | str] = [
                Text(_LABELS.get(name, name), style=_COLOURS.get(name, "")),
                now,
                f"{mean} ± {spread}",
            ]
            if name in counts:
                row.append(Text.assemble("0 ", (bars(counts[name]), _COLOURS[name]), " 1"))
            table.add_row(*row)
        return table

    def _facts(self) -> Table:
        """Rates, spectral norms, scores and the last checkpoint."""
        status, readings = self.status, self.status.readings
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        if readings is not None:
            table.add_row("lr", f"G {readings.g_lr:.2e}  D {readings.d_lr:.2e}")
            if readings.sigmas:
                table.add_row("σ in D", "  ".join(f"{sigma:.2f}" for sigma in readings.sigmas))
        if status.last is not None:
            best = "" if status.best is None else f", best {status.best.value:.4f} at {status.best.step}"
            table.add_row(status.score_name, f"{status.last.value:.4f} at step {status.last.step}{best}")
        if status.saved is not None:
            ago = "" if status.saved_ago is None else f", {duration(status.saved_ago)} ago"
            table.add_row("checkpoint", f"step {status.saved}{ago}")
        return table
