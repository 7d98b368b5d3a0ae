"""The tables of a run.

metrics.csv has a row an epoch, and one wherever the generator was scored between; histograms.csv has a row an epoch.
Both are what `pandas.read_csv` takes as it is: whole numbers for `epoch` and `step`, floats, empty where unknown.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from doggan.errors import DogganError
from doggan.files import write_text
from doggan.training.histogram import BINS

Row = dict[str, float]

STATS = ("g_loss", "d_loss", "d_real", "d_fake", "penalty", "augment_p")  # all that a `GAN` may report


def columns(stats: Sequence[str] = STATS[:4], scores: Sequence[str] = (), sigmas: int = 0) -> tuple[str, ...]:
    """The columns of metrics.csv, which has one row an epoch, the first at step 0.

    - `epoch`, `step`: finished so far; `kimg`: thousands of real pictures seen.
    - `g_loss`, `d_loss`, `d_real` and `d_fake` (D's mean probabilities), and what else the `GAN` reports: means over
      the epoch's steps, each with its standard deviation (`_std`).
    - `g_lr`, `d_lr`: rates of the next step.
    - `sigma_1`, `sigma_2`, …: spectral norms of the kernels of D's layers that have spectral norm, from its input on,
      as power iteration estimates them.
    - `seconds`: of the epoch, without those of scoring.
    - the scores.

    A row between two epochs has rates, spectral norms and scores only, and the number of epochs finished.

    Args:
        stats: what the `GAN` reports, some of `STATS`.
        scores: the names of the scores.
        sigmas: layers of D with spectral norm.
    """
    return (
        *("epoch", "step", "kimg"),
        *(f"{name}{end}" for name in stats for end in ("", "_std")),
        *("g_lr", "d_lr"),
        *(f"sigma_{i}" for i in range(1, sigmas + 1)),
        "seconds",
        *scores,
    )


def verdict_columns() -> tuple[str, ...]:
    """The columns of histograms.csv, which has one row an epoch, the first at the end of epoch 1.

    `d_real_00` counts D's probabilities of the epoch's real pictures from 0 to 0.05, `d_real_19` those from 0.95 to 1;
    `d_fake_00` to `d_fake_19` those of its fakes.
    """
    return ("epoch", "step", *bin_columns("d_real"), *bin_columns("d_fake"))


def bin_columns(name: str) -> list[str]:
    """The columns of one histogram, "d_real" or "d_fake", from 0 to 1."""
    return [f"{name}_{i:02d}" for i in range(BINS)]


@dataclass
class History:
    """The rows of such a file, written whole and atomically at every change; what is unknown is empty.

    Attributes:
        path: of the file.
        rows: by step, one for each.
        columns: their names, as `columns` or `verdict_columns` gives them.
    """

    path: Path
    rows: list[Row]
    columns: Sequence[str]

    @classmethod
    def until(cls, path: Path, step: int, columns: Sequence[str]) -> "History":
        """The rows of the file up to `step`; what a killed run wrote beyond its last checkpoint is dropped.

        Raises:
            DogganError: the file is not one of ours.
        """
        if not path.exists():
            return cls(path, [], columns)
        with path.open(newline="", encoding="utf-8") as file:
            try:
                rows = [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]
                return cls(path, [row for row in rows if row["step"] <= step], columns)
            except (ValueError, KeyError, TypeError):
                raise DogganError(f"{path} is not a {path.name} of doggan; move it away to resume.") from None

    def put(self, row: Row) -> Row:
        """Append a row, or complete the last one if it is of the same step, in memory; returns what is new in it."""
        new = {name: value for name, value in row.items() if not self.has(name, int(row["step"]))}
        if self.rows and self.rows[-1]["step"] == row["step"]:
            self.rows[-1] |= row
        else:
            self.rows.append(row)
        return new

    def write(self) -> None:
        """Write the file."""
        # A file may have columns of an older doggan: they are kept.
        names = list(dict.fromkeys((*self.columns, *self.rows[0])))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(name, row.get(name, math.nan)) for name in names] for row in self.rows)
        write_text(self.path, text.getvalue())

    def has(self, name: str, step: int) -> bool:
        """Whether the last row is of that step and has a number under that name."""
        return bool(self.rows) and self.rows[-1]["step"] == step and not math.isnan(self.rows[-1].get(name, math.nan))

    def last_with(self, name: str) -> int | None:
        """The step of the last row that has a number under that name."""
        return max((int(row["step"]) for row in self.rows if not math.isnan(row.get(name, math.nan))), default=None)


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if name in ("epoch", "step") else repr(float(value))


def epoch_line(row: Row, epochs: int) -> str:
    """A row as the line printed while training."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"step {row['step']}", f"{row['kimg']:.1f} kimg"]
    if "g_loss" in row:
        parts += [
            f"g_loss {row['g_loss']:.3f} ± {row['g_loss_std']:.3f}",
            f"d_loss {row['d_loss']:.3f} ± {row['d_loss_std']:.3f}",
            f"D(real) {row['d_real']:.2f}",
            f"D(fake) {row['d_fake']:.2f}",
        ]
    if "penalty" in row:
        parts.append(f"penalty {row['penalty']:.3f}")
    if "augment_p" in row:
        parts.append(f"augment p {row['augment_p']:.2f}")
    parts.append(f"lr {row['g_lr']:.2e}")
    if "seconds" in row:
        parts.append(f"{row['seconds']:.1f} s")
    return "  ".join(parts)


def score_line(step: int, values: Row, best: bool) -> str:
    """Scores as the line printed while training."""
    scores = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
    return f"  step {step} scored  {scores}{'  (the best so far)' if best else ''}"
