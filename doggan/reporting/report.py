"""One page about a run, with everything in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doggan import __version__
from doggan.config import Config
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.files import write_text
from doggan.metrics.callback import LESS_IS_BETTER
from doggan.recipes import flatten
from doggan.reporting.curves import curves, score_curves
from doggan.reporting.networks import look
from doggan.reporting.page import render
from doggan.reporting.pictures import Picture, sheets_through_time, verdict_strip
from doggan.reporting.record import Record
from doggan.reporting.reproduce import command, starting_point
from doggan.runs import Run
from doggan.runs.build import data_hash, training_images
from doggan.runs.history import bin_columns
from doggan.runs.panel import duration

_CONFIDENCE = 1.96  # standard errors on either side of a mean that 19 of 20 true values lie within


@dataclass(frozen=True)
class Setting:
    """A line in the table of settings."""

    key: str
    value: str
    default: str

    @property
    def is_changed(self) -> bool:
        """Whether it is not the default."""
        return self.value != self.default


def write_report(run: Run, out: str | Path | None = None, *, quick: bool = False) -> Path:
    """Write one self-contained page about a run: nothing is fetched when it is opened.

    It has the settings, the samples through time, losses, D's outputs, rates, spectral norms, scores with what they
    are, classes, nearest training pictures, attention, machine and versions, and the command to train it again. The
    run need not be finished; what it has not yet, or what is damaged, is a sentence.

    Args:
        run: the run.
        out: the page; `report.html` in the run's folder by default.
        quick: leave out what needs the networks: classes, nearest training pictures, attention.

    Returns:
        The page.

    Raises:
        OSError: it cannot be written.
    """
    page = Path(out) if out is not None else run.folder / "report.html"
    record = Record.of(run)
    sheets, damaged = sheets_through_time(run.sheets())
    best = record.best
    text = render(
        "report.html",
        title=f"{_name(run)}: a run of {run.config.recipe}",
        name=_name(run),
        record=record,
        config=run.config,
        facts=_facts(record),
        sheets=sheets,
        damaged=damaged,
        charts=curves(record),
        verdicts=_verdicts(record),
        score_charts=score_curves(record),
        best=None if best is None else (best[0], best[1], record.at(best[1])),
        score_rows=_score_rows(record),
        direction=_direction(run.config.train.metrics),
        seen=None if quick else look(run),
        settings=_settings(run.config),
        data=_data(run),
        start=starting_point(run.config),
        command=command(run.config, str(run.data_path)),
        version=__version__,
    )
    write_text(page, text)
    return page


def _name(run: Run) -> str:
    return run.folder.resolve().name


def _facts(record: Record) -> list[tuple[str, str]]:
    """What stands at the top: (what, value)."""
    facts = [("recipe", record.run.config.recipe), ("state", record.state)]
    if record.best is not None:
        name, row = record.best
        facts.append((name.replace("_", " ") + ", best", f"{row[name]:.4g} at epoch {record.at(row):.3g}"))
    facts += [("pictures seen", f"{record.kimg:,.1f} thousand"), ("steps", f"{record.step:,}")]
    if record.seconds:
        facts.append(("training took", duration(record.seconds)))
    return facts


def _verdicts(record: Record) -> list[Picture]:
    rows = record.verdicts
    if not rows:
        return []
    epochs = [row["epoch"] for row in rows]
    names = {"d_real": "real pictures", "d_fake": "generated pictures"}
    return [
        verdict_strip(epochs, [[row[column] for column in bin_columns(key)] for row in rows], what)
        for key, what in names.items()
    ]


def _score_rows(record: Record) -> dict[str, Any]:
    """The table of scores: its heads, and a row of texts for each moment that was scored."""
    names = [name for metric in record.run.config.train.metrics for name in record.names_of(metric)]
    plain = [name for name in names if not name.endswith("_standard_error")]
    best = record.best
    rows = []
    for row in record.scored:
        cells = []
        for name in plain:
            error = row.get(f"{name}_standard_error")
            interval = "" if error is None else f" ± {_CONFIDENCE * error:.2g}"
            cells.append(f"{row.get(name, float('nan')):.4g}{interval}")
        rows.append((f"{record.at(row):.4g}", f"{row['step']:,.0f}", cells, best is not None and row is best[1]))
    return {"names": plain, "rows": rows, "has_interval": len(plain) < len(names)}


def _direction(metrics: Sequence[str]) -> str:
    """Whether less or more is better, in a sentence."""
    lower = [name for name in metrics if LESS_IS_BETTER.get(name)]
    higher = [name for name in metrics if not LESS_IS_BETTER.get(name)]
    if not higher:
        return "Lower is better."
    if not lower:
        return "Higher is better."
    return f"Lower is better of {' and '.join(lower)}, higher of {' and '.join(higher)}."


def _settings(config: Config) -> list[Setting]:
    """All, those first that are not the defaults."""
    defaults = flatten(Config())
    settings = [Setting(key, _text(value), _text(defaults[key])) for key, value in flatten(config).items()]
    return sorted(settings, key=lambda setting: not setting.is_changed)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _data(run: Run) -> str:
    """What is known of the pictures, in a sentence."""
    try:
        images = ImageSet.load(run.data_path)
        known = data_hash(run.config, training_images(run.config, images))
    except DogganError as error:
        return f"What it was trained on cannot be looked at: {error}"
    if known != run.data_hash:
        return f"{run.data_path} holds other pictures now than those it was trained on."
    height, width, channels = images.image_shape
    kind = "colour" if channels == 3 else "grey"
    classes = f" of {len(images.class_names)} classes" if images.class_names else ""
    crop = f", cut by the rule “{images.crop}”" if images.crop else ""
    heldout = len(images.heldout())
    counted = f"{len(images):,} {kind} pictures of {width}×{height}{classes}{crop}"
    return f"{counted}; {heldout:,} of them are held out."
