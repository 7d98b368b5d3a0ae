"""metrics.csv: a row an epoch."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from doggan.errors import DogganError
from doggan.files import write_text

Row = dict[str, float]

STATS = ("g_loss", "d_loss", "d_real", "d_fake")
# Of metrics.csv: one row an epoch, the first at step 0. Losses and D's probabilities are means over the epoch, with
# their standard deviations; rates are those of the next step; kid is the cheap score; seconds are the epoch's.
COLUMNS = (
    *("epoch", "step", "kimg"),
    *(f"{name}{end}" for name in STATS for end in ("", "_std")),
    *("g_lr", "d_lr", "kid", "seconds"),
)


@dataclass
class History:
    """The rows of metrics.csv, written whole and atomically at every epoch; what is unknown is empty."""

    path: Path
    rows: list[Row]

    @classmethod
    def until(cls, path: Path, step: int) -> "History":
        """The rows of the file up to `step`; what a killed run wrote beyond its last checkpoint is dropped.

        Raises:
            DogganError: the file is not one of ours.
        """
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
    parts.append(f"lr {row['g_lr']:.2e}")
    if "kid" in row:
        parts.append(f"kid {row['kid']:.4f}")
    if "seconds" in row:
        parts.append(f"{row['seconds']:.1f} s")
    return "  ".join(parts)
