"""The command that lists runs."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from doggan.listing import ListedRun

_WIDEST, _NARROWEST = 12, 5  # bars of a course


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects in place of a table.")
def runs(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER, the one that was written to last at the end.

    Each with its recipe, where its name does not say that, its state, thousands of pictures seen, its best score (lower
    is better, but for inception_score), and the course of that score. Scores of different pictures or features are not
    comparable: `doggan compare` says where they differ.

    \b
    Examples:
      doggan runs
      doggan runs old-runs --json
    """
    from doggan.listing import list_runs

    listing = list_runs(folder)
    if as_json:
        click.echo(json.dumps([run.as_dict() for run in listing.runs], ensure_ascii=False))
    elif listing.runs:
        click.echo("\n".join(_table(listing.runs)))
    else:
        click.echo(f"no runs in {folder} yet; start one with doggan train")
    if listing.unreadable:
        n = len(listing.unreadable)
        what = "1 folder is left out: it has a damaged" if n == 1 else f"{n} folders are left out: they have a damaged"
        click.echo(f"{what} {', '.join(listing.unreadable)}", err=True)


def _table(runs: "list[ListedRun]") -> list[str]:
    """A line for each under a heading, on a terminal as wide as that where the courses can give way."""
    from doggan.listing import sparkline

    columns = {
        "run": [run.folder for run in runs],
        "recipe": [run.recipe for run in runs],
        "state": [run.state for run in runs],
        "kimg": [f"{run.kimg:,.1f}" for run in runs],
        "best score": ["" if run.best is None else f"{run.score} {run.best:.4g}" for run in runs],
        "": ["" for _ in runs],
        "written": [f"{_ago(run.age)} ago" for run in runs],
    }
    if all(run.folder.endswith(f"-{run.recipe}") for run in runs):
        del columns["recipe"]
    widths = {heading: max(map(len, (heading, *cells))) for heading, cells in columns.items()}
    most = _WIDEST
    if sys.stdout.isatty():
        left = shutil.get_terminal_size().columns - sum(widths.values()) - 2 * (len(widths) - 1)
        most = max(_NARROWEST, min(most, left))
    columns[""] = [sparkline(run.scores, most, plain=not _has_bars(sys.stdout.encoding)) for run in runs]
    widths[""] = max(map(len, columns[""]))
    return [
        "  ".join(
            cell.rjust(widths[heading]) if heading == "kimg" else cell.ljust(widths[heading])
            for heading, cell in zip(columns, line, strict=True)
        ).rstrip()
        for line in (tuple(columns), *zip(*columns.values(), strict=True))
    ]


def _has_bars(encoding: str | None) -> bool:
    try:
        "▁█".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _ago(seconds: float) -> str:
    """In the largest unit that fits: 40 s, 12 min, 5 h, 3 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
