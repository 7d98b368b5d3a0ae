"""The curves of a run, from its table: losses, D's outputs, rates, spectral norms, scores."""

import math
from collections.abc import Sequence

from doggan.reporting.charts import Chart, Line, has_numbers
from doggan.reporting.record import Record
from doggan.runs.history import Row

_SPREADS = ("_standard_error", "_std")
_APART = "memorization_distance"


def curves(record: Record) -> list[Chart]:
    """Those for which the table has numbers."""
    rows = record.epochs
    x = [row["epoch"] for row in rows]
    sigmas = [name for name in (rows[0] if rows else {}) if name.startswith("sigma_")]
    drawn = [
        (
            "Losses, mean ± one standard deviation",
            [_with_spread(rows, x, "g_loss", "generator", 1), _with_spread(rows, x, "d_loss", "discriminator", 2)],
            None,
        ),
        (
            "What D says: mean probability of being real",
            [_line(rows, x, "d_real", "real pictures", 3), _line(rows, x, "d_fake", "generated ones", 4)],
            (0.0, 1.0),
        ),
        (
            "Learning rates",
            [_line(rows, x, "g_lr", "generator", 1), _line(rows, x, "d_lr", "discriminator", 2, dashed=True)],
            None,
        ),
        (
            "Spectral norms σ of D's layers, from its input on",
            [_line(rows, x, name, f"layer {i + 1}", 1 + i % 8, dashed=i >= 8) for i, name in enumerate(sigmas)],
            None,
        ),
        ("Gradient penalty", [_with_spread(rows, x, "penalty", "penalty", 1)], None),
        ("Probability of augmentation", [_line(rows, x, "augment_p", "p", 1)], (0.0, 1.0)),
    ]
    return [Chart(title, lines, limits=limits) for title, lines, limits in drawn if has_numbers(lines)]


def score_curves(record: Record) -> list[Chart]:
    """A chart for each metric, the best checkpoint marked where it was chosen by it; MiFID's distance apart."""
    best = record.best
    charts = []
    for metric in record.run.config.train.metrics:
        names = record.names_of(metric)
        for group in ([name for name in names if _APART not in name], [name for name in names if _APART in name]):
            lines = score_lines(record, group)
            if not lines:
                continue
            mark = None
            if best is not None and best[0] == group[0]:
                value = best[1][best[0]]
                mark = (record.at(best[1]), value, f"best: {value:.4g} at epoch {record.at(best[1]):.3g}")
            title = group[0] if len(lines) == 1 else metric
            charts.append(Chart(title.replace("_", " "), lines, mark=mark, may_be_logarithmic=True))
    return charts


def score_lines(record: Record, names: Sequence[str], name: str | None = None, colour: int = 1) -> list[Line]:
    """The scores of these names by epoch; those that are the spread of the one before are bands.

    Args:
        record: of the run.
        names: columns of the table.
        name: in the legend; the columns' own by default.
        colour: of the first.
    """
    lines = []
    plain = [each for each in names if not each.endswith(_SPREADS)]
    for i, column in enumerate(plain):
        rows = [row for row in record.rows if not math.isnan(row.get(column, math.nan))]
        spread = next((column + end for end in _SPREADS if column + end in names), None)
        lines.append(
            Line(
                name or column.replace("_", " "),
                [record.at(row) for row in rows],
                [row[column] for row in rows],
                [row.get(spread, math.nan) for row in rows] if spread else (),
                colour + i,
            )
        )
    return lines


def _line(rows: list[Row], x: list[float], key: str, name: str, colour: int, dashed: bool = False) -> Line:
    return Line(name, x, [row.get(key, math.nan) for row in rows], (), colour, dashed)


def _with_spread(rows: list[Row], x: list[float], key: str, name: str, colour: int) -> Line:
    spread = [row.get(f"{key}_std", math.nan) for row in rows]
    return Line(name, x, [row.get(key, math.nan) for row in rows], spread, colour)
