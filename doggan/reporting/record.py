"""What a run folder says of its run, read without its networks; a damaged file is a sentence, not the end."""

import csv
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from doggan.errors import DogganError
from doggan.metrics.callback import LESS_IS_BETTER
from doggan.metrics.extractors import RandomExtractor
from doggan.metrics.scores import score_names
from doggan.runs import Run
from doggan.runs.history import History, Row, verdict_columns
from doggan.runs.rollback import Rollback
from doggan.runs.scores import Comparison
from doggan.training.checkpoints import examine

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """A run as its folder tells it.

    Attributes:
        run: the run.
        rows: of metrics.csv, by step.
        verdicts: of histograms.csv, an epoch each.
        comparison: what its scores are; None where it has none yet.
        rollback: that it went back once, or None.
        versions: of Python, the machine and the packages, when it was started.
        overrides: what was changed since, each with the step from which on.
        best_step: of `best.npz`; None where that is not there, or cannot be used.
        problems: a sentence for each file that could not be read, or not whole, by its name.
    """

    run: Run
    rows: list[Row]
    verdicts: list[Row]
    comparison: Comparison | None
    rollback: Rollback | None
    versions: dict[str, str]
    overrides: list[dict[str, Any]]
    best_step: int | None
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> "Record":
        """The record of a run, finished or not."""
        problems: dict[str, str] = {}

        def read(name: str, reader: Callable[[Path], T], otherwise: T) -> T:
            path = run.folder / name
            if not path.exists():
                return otherwise
            try:
                return reader(path)
            except (DogganError, OSError, ValueError, TypeError, KeyError, csv.Error) as error:
                said = isinstance(error, DogganError)
                problems[name] = str(error) if said else f"{path} cannot be read ({error})."
                return otherwise

        def table(name: str, needed: Sequence[str]) -> list[Row]:
            rows: list[Row] = read(name, lambda path: History.until(path, sys.maxsize, ()).rows, [])
            whole = [row for row in rows if all(math.isfinite(row.get(key, math.nan)) for key in needed)]
            if len(whole) < len(rows):
                left_out = f"{len(rows) - len(whole):,} of its {len(rows):,} rows lack numbers, and are left out"
                problems[name] = f"{run.folder / name} is damaged: {left_out}."
            return whole

        started = json.loads((run.folder / "config.json").read_text(encoding="utf-8"))
        return cls(
            run,
            table("metrics.csv", ("epoch", "step")),
            table("histograms.csv", verdict_columns()),
            read("scores.json", _comparison, None),
            read("rollback.json", _rollback, None),
            started.get("versions", {}),
            started.get("overrides", []),
            _best_step(run),
            problems,
        )

    @property
    def epochs(self) -> list[Row]:
        """The rows at ends of epochs, the untrained state first."""
        length = self.steps_per_epoch
        return [row for row in self.rows if row["step"] == (row["epoch"] * length if length else 0)]

    @property
    def steps_per_epoch(self) -> int | None:
        """None where no epoch has ended yet."""
        return next((int(row["step"]) for row in self.rows if row["epoch"] == 1), None)

    @property
    def step(self) -> int:
        """Of the last row."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def kimg(self) -> float:
        """Thousands of real pictures seen."""
        return self.rows[-1].get("kimg", math.nan) if self.rows else 0.0

    @property
    def seconds(self) -> float:
        """Of training, without scoring, as far as the table knows."""
        return sum(row["seconds"] for row in self.rows if not math.isnan(row.get("seconds", math.nan)))

    @property
    def state(self) -> str:
        """In words: "finished", or how far it is."""
        total = self.run.config.train.epochs
        if self.epoch >= total:
            return f"finished, {total:,} epochs"
        return f"epoch {self.epoch:,} of {total:,}" if self.epoch else f"within the first of {total:,} epochs"

    def names_of(self, metric: str) -> list[str]:
        """The columns of a metric that the table has."""
        prefix = RandomExtractor.prefix if self.run.config.train.extractor == "random" else ""
        known = {name for row in self.rows for name, value in row.items() if not math.isnan(value)}
        return [name for name in score_names(metric, prefix) if name in known]

    @property
    def scored(self) -> list[Row]:
        """The rows with the first score, which decides which checkpoint is the best."""
        names = self.names_of(self.run.config.train.metrics[0])
        return [row for row in self.rows if names and not math.isnan(row.get(names[0], math.nan))]

    @property
    def best(self) -> tuple[str, Row] | None:
        """The first score's name and the row of the best checkpoint; None before a trained generator was scored.

        Where `best.npz` is of no row, the row is the best of the table; the untrained generator is nobody's best.
        """
        rows = [row for row in self.scored if row["step"] > 0]
        if not rows:
            return None
        metric = self.run.config.train.metrics[0]
        name = self.names_of(metric)[0]
        # A rollback, or damage, may have taken away the checkpoint of a row that is better.
        kept = [row for row in rows if row["step"] == self.best_step]
        sign = 1 if LESS_IS_BETTER[metric] else -1
        return name, min(kept or rows, key=lambda row: sign * row[name])

    def at(self, row: Row) -> float:
        """The moment of a row, in epochs."""
        return row["step"] / self.steps_per_epoch if self.steps_per_epoch else 0.0


def _comparison(path: Path) -> Comparison | None:
    found = Comparison(**json.loads(path.read_text(encoding="utf-8")))
    str(found)  # which what is of another type does not survive
    return found


def _rollback(path: Path) -> Rollback | None:
    found = Rollback.of(path.parent)
    return found and replace(found, from_step=int(found.from_step), to_step=int(found.to_step))


def _best_step(run: Run) -> int | None:
    path = run.checkpoints.folder / "best.npz"
    try:
        found = examine(path, run.identity)
    except (DogganError, OSError):
        return None
    return None if found is None else found[0]
