"""Several runs side by side: what differs in their settings, their results, their curves and sheets."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doggan import __version__
from doggan.errors import DogganError
from doggan.files import write_text
from doggan.recipes import flatten
from doggan.reporting.charts import Chart, Line, has_numbers
from doggan.reporting.curves import score_lines
from doggan.reporting.page import render
from doggan.reporting.pictures import Picture, sheets_through_time
from doggan.reporting.record import Record
from doggan.runs import Run
from doggan.runs.panel import duration

_CURVES = {
    "g_loss": "Loss of the generator",
    "d_loss": "Loss of the discriminator",
    "d_real": "D's mean probability of real pictures",
    "d_fake": "D's mean probability of generated pictures",
}
_COLOURS = 8
_DIGITS = 12  # of a sha256, enough to tell sets of pictures apart


@dataclass(frozen=True)
class Compared:
    """Runs side by side; its `str` is two tables for a terminal.

    Attributes:
        names: of the runs.
        settings: key → a value for each run, where they are not all the same.
        results: what → a value for each run, None where it has none: state, pictures (their sha256), score (the name of
            the first), best, best_step, best_epoch, kimg, steps, seconds.
        note: why scores cannot be compared, or "".
    """

    names: list[str]
    settings: dict[str, list[Any]]
    results: dict[str, list[Any]]
    note: str

    @property
    def shown(self) -> dict[str, list[str]]:
        """The results as people read them."""
        results = self.results
        best = [None if name is None else f"{name} {value:.4g}" for name, value in _pairs(results, "score", "best")]
        return {
            "state": results["state"],
            "pictures": [digest[:_DIGITS] for digest in results["pictures"]],
            "best score": list(map(show, best)),
            "at epoch": list(map(show, results["best_epoch"])),
            "kimg": list(map(show, results["kimg"])),
            "steps": list(map(show, results["steps"])),
            "training time": [show(None if each is None else duration(each)) for each in results["seconds"]],
        }

    def __str__(self) -> str:
        rows = [["", *self.names], *([key, *values] for key, values in self.shown.items())]
        rows += [[""] * len(rows[0]), *([key, *map(show, values)] for key, values in self.settings.items())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *([f"note: {self.note}"] if self.note else [])])

    def as_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON has."""
        return {"runs": self.names, "results": self.results, "settings": self.settings, "note": self.note or None}


def compare(runs: Sequence[Run]) -> Compared:
    """What differs between runs.

    Raises:
        DogganError: there are fewer than two.
    """
    return _compared(_records(runs))


def write_comparison(runs: Sequence[Run], out: str | Path = "compare.html") -> Compared:
    """Write a page like a run's report with several of them side by side.

    Scores are drawn together where they were made alike, with the same features, counts and pictures, and apart where
    they were not.

    Args:
        runs: two or more.
        out: the page.

    Returns:
        What stands at its top.

    Raises:
        DogganError: there are fewer than two.
        OSError: the page cannot be written.
    """
    records = _records(runs)
    compared = _compared(records)
    alike = not compared.note
    pictures = [sheets_through_time(dict(list(record.run.sheets().items())[-1:]))[0] for record in records]
    newest: list[Picture | None] = [shown[0] if shown else None for shown in pictures]
    text = render(
        "compare.html",
        title="Runs side by side: " + ", ".join(compared.names),
        compared=compared,
        show=show,
        score_charts=_score_charts(records, compared.names, alike),
        charts=_charts(records, compared.names),
        newest=list(zip(compared.names, newest, strict=True)),
        version=__version__,
    )
    write_text(out, text)
    return compared


def show(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value)) or "none"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _pairs(results: dict[str, list[Any]], *keys: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(results[key] for key in keys), strict=True)


def _records(runs: Sequence[Run]) -> list[Record]:
    if len(runs) < 2:
        raise DogganError("Name at least two runs to compare.")
    return [Record.of(run) for run in runs]


def _compared(records: Sequence[Record]) -> Compared:
    names = _names([record.run.folder for record in records])
    flat = [flatten(record.run.config) for record in records]
    settings = {key: [each[key] for each in flat] for key in flat[0] if len({repr(each[key]) for each in flat}) > 1}
    pictures = [record.run.data_hash for record in records]
    bests = [record.best for record in records]
    results: dict[str, list[Any]] = {
        "state": [record.state for record in records],
        "pictures": pictures,
        "score": [None if best is None else best[0] for best in bests],
        "best": [None if best is None else best[1][best[0]] for best in bests],
        "best_step": [None if best is None else int(best[1]["step"]) for best in bests],
        "best_epoch": [
            None if best is None else record.at(best[1]) for record, best in zip(records, bests, strict=True)
        ],
        "kimg": [record.kimg if math.isfinite(record.kimg) else None for record in records],
        "steps": [record.step for record in records],
        "seconds": [record.seconds or None for record in records],
    }
    scored = {str(record.comparison) for record in records if record.comparison is not None}
    note = ""
    if len(scored) > 1:
        note = f"the scores are not comparable: they are of {'; of '.join(sorted(scored))}"
    elif len(set(pictures)) > 1:
        note = "the runs were trained on different pictures, so their scores are against different ones too"
    return Compared(names, settings, results, note)


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, or as much of their paths as tells them apart."""
    paths = [folder.resolve() for folder in folders]
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _charts(records: Sequence[Record], names: Sequence[str]) -> list[Chart]:
    charts = []
    for key, title in _CURVES.items():
        lines = []
        for i, (record, name) in enumerate(zip(records, names, strict=True)):
            rows = record.epochs
            y = [row.get(key, math.nan) for row in rows]
            lines.append(Line(name, [row["epoch"] for row in rows], y, (), 1 + i % _COLOURS, i >= _COLOURS))
        lines = [line for line in lines if has_numbers([line])]
        if lines:
            charts.append(Chart(title, lines, limits=(0.0, 1.0) if key in ("d_real", "d_fake") else None))
    return charts


def _score_charts(records: Sequence[Record], names: Sequence[str], alike: bool) -> list[Chart]:
    """A chart for each score; or, where they are not alike, one for each score of each run."""
    lines: dict[tuple[str, str], list[Line]] = {}
    for i, (record, name) in enumerate(zip(records, names, strict=True)):
        for metric in record.run.config.train.metrics:
            columns = record.names_of(metric)
            for column in (each for each in columns if not each.endswith("_standard_error")):
                group = [column, f"{column}_standard_error"]
                found = score_lines(record, [each for each in group if each in columns], name, 1 + i % _COLOURS)
                lines.setdefault((column, "" if alike else name), []).extend(found)
    return [
        Chart(column.replace("_", " ") + (f", {name}" if name else ""), each, may_be_logarithmic=True)
        for (column, name), each in lines.items()
    ]
