"""The command that lists the recipes."""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

import click

from doggan.startup import load_keras

if TYPE_CHECKING:
    from rich.table import Table

    from doggan.runs.catalog import RecipeRow

_WIDE = 96  # columns of a terminal from which on a recipe is one row
_UNFOLDED = 300  # columns for what is not read on a terminal


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects in place of a table.")
def recipes(as_json: bool) -> None:
    """List the recipes: their data and source, the sizes of G and D, what training costs, and what the source reached.

    GFLOP are those of a training step for each real picture that it sees.

    \b
    Examples:
      doggan recipes
      doggan recipes --json
    """
    load_keras()
    from doggan.runs.catalog import describe_recipes

    rows = describe_recipes()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        _print(rows)


def _print(rows: "list[RecipeRow]") -> None:
    """On a terminal a table of its width; anywhere else plain text, a line for each recipe."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    width = None if terminal else _UNFOLDED
    console = Console(
        width=width, force_terminal=terminal, force_jupyter=False, highlight=False, markup=False, emoji=False
    )
    with console.capture() as capture:
        console.print(_table(rows, folded=terminal) if console.width >= _WIDE else _narrow_table(rows))
    encoding = console.encoding  # ASCII, say, which has no "×"
    for line in capture.get().encode(encoding, "replace").decode(encoding).splitlines():
        click.echo(line.rstrip())


def _table(rows: "list[RecipeRow]", folded: bool) -> "Table":
    """A row for each; where their cells are `folded` to fit the width, an empty line parts them."""
    from rich.table import Table

    padding = (0, 2, int(folded), 0)
    table = Table(box=None, padding=padding, pad_edge=False, expand=folded, header_style="bold")
    table.add_column("recipe", no_wrap=True, style="cyan")
    table.add_column("data", ratio=4, overflow="fold")
    table.add_column("source", ratio=6, overflow="fold")
    for heading in ("G weights", "D weights", "GFLOP"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("source's score", ratio=5, overflow="fold")
    for row in rows:
        numbers = (f"{row.generator_parameters:,}", f"{row.discriminator_parameters:,}", _gflop(row))
        table.add_row(row.name, row.data, row.source, *numbers, row.score)
    return table


def _narrow_table(rows: "list[RecipeRow]") -> "Table":
    """Everything of a recipe in lines beside its name."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for row in rows:
        lines = (
            row.data,
            row.source,
            f"weights: G {row.generator_parameters:,}, D {row.discriminator_parameters:,}",
            f"{_gflop(row)} GFLOP per picture and step",
            f"source's score: {row.score}",
        )
        table.add_row(row.name, "\n".join(lines))
    return table


def _gflop(row: "RecipeRow") -> str:
    """Three digits or four of it, from 0.01 on."""
    return f"{row.gflop:.2f}" if row.gflop >= 1 else f"{row.gflop:.3f}"
