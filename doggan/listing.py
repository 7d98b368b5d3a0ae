"""The runs in a folder, from their small files alone: no network is built, and Keras is not imported."""

import csv
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doggan.errors import DogganError

_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=*%#@"
_COLUMNS = {"is": "inception_score"}  # of metrics.csv, where it is called otherwise than the metric
_MORE_IS_BETTER = ("is",)


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Attributes:
        folder: its name.
        recipe: that it was started from.
        state: "finished", "epoch 3 of 10", and whether it was rolled back.
        epoch, epochs: ended, and wanted.
        kimg: thousands of real pictures seen.
        score: the name of the score that chooses the best checkpoint; None where it has none yet.
        best: the best of them: the lowest, of the Inception Score the highest; None likewise.
        scores: all of its values, in order; None for what is no finite number.
        age: seconds since something was written into its table or configuration.
    """

    folder: str
    recipe: str
    state: str
    epoch: int
    epochs: int
    kimg: float
    score: str | None
    best: float | None
    scores: tuple[float | None, ...]
    age: float

    def as_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON has."""
        return asdict(self) | {"scores": list(self.scores)}


@dataclass(frozen=True)
class Listing:
    """The runs in a folder, the one that was written to last at the end; and the damaged file of each that has one."""

    runs: list[ListedRun]
    unreadable: list[str]


def list_runs(folder: str | Path) -> Listing:
    """The runs directly below a folder; or, where that is a run itself, it alone. Folders without config.json are none.

    Raises:
        DogganError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DogganError(f"There is no folder {folder}; `doggan train` makes runs/ with the first run in it.")
    runs, unreadable = [], []
    itself = (folder / "config.json").exists()
    for path in [folder] if itself else sorted(path.parent for path in folder.glob("*/config.json")):
        try:
            runs.append(_read(path))
        except _DamagedFile as damaged:
            unreadable.append(str(damaged))
    return Listing(sorted(runs, key=lambda run: -run.age), unreadable)


def sparkline(values: Sequence[float | None], width: int = 12, *, plain: bool = False) -> str:
    """Values as a line of little bars, on a logarithmic scale where all are positive; of more than `width`, some.

    >>> sparkline([8, 4, 2, 1])
    '█▆▃▁'
    >>> sparkline([3, 1, 2], plain=True)
    '@_%'

    Args:
        values: finite numbers; None is blank.
        width: bars at most, at even distances, the first and the last among them.
        plain: by characters that every encoding has.
    """
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    known = [value for value in values if value is not None]
    if known and min(known) > 0:
        values = [None if value is None else math.log(value) for value in values]
        known = [math.log(value) for value in known]
    levels = _ASCII if plain else _LEVELS
    low, high = min(known, default=0.0), max(known, default=0.0)

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - low) / (high - low) if high > low else 0.0
        return levels[min(int(share * len(levels)), len(levels) - 1)]

    return "".join(map(bar, values))


def _read(folder: Path) -> ListedRun:
    path, table = folder / "config.json", folder / "metrics.csv"
    written = max(file.stat().st_mtime for file in (path, table) if file.exists())
    with _blamed(path):
        config = json.loads(path.read_text(encoding="utf-8"))["config"]
        recipe, train, epochs = config["recipe"], config["train"], int(config["train"]["epochs"])
        metric = train["metrics"][0]  # which chooses the best checkpoint
        name = ("random-" if train["extractor"] == "random" else "") + _COLUMNS.get(metric, metric)
    with _blamed(table):
        rows = _rows(table)
        scores = tuple(_finite(float(row[name])) for row in rows if row.get(name))
        epoch, kimg = (int(rows[-1]["epoch"]), float(rows[-1]["kimg"])) if rows else (0, 0.0)
    known = [score for score in scores if score is not None]
    state = "finished" if epoch >= epochs else f"epoch {epoch:,} of {epochs:,}"
    if (folder / "rollback.json").exists():
        state += ", rolled back"
    return ListedRun(
        folder.name or folder.resolve().name,
        recipe,
        state,
        epoch,
        epochs,
        kimg,
        name if scores else None,
        (max if metric in _MORE_IS_BETTER else min)(known, default=None),
        scores,
        max(0.0, time.time() - written),
    )


class _DamagedFile(Exception):
    """Its argument is the file."""


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        raise _DamagedFile(path) from error


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():  # until the untrained generator is recorded
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
