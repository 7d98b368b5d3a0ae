"""`doggan explore arithmetic`."""

from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    raw_option,
    run_argument,
    seed_option,
)
from doggan.startup import load_keras


@click.command()
@run_argument
@click.option("--plus", multiple=True, metavar="I,J,K", help="Numbers of samples whose mean z is added, counted from "
              "0; may be repeated.")  # fmt: skip
@click.option("--minus", multiple=True, metavar="I,J,K", help="Numbers of samples whose mean z is taken away; may be "
              "repeated.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=None, help="The PNG to write; arithmetic.png, and numbered.png of the "
              "samples to choose from.")  # fmt: skip
@click.option("--n", type=click.IntRange(1, 1024), default=64, help="Samples to choose from.")
@click.option("--noise", type=click.FloatRange(min=0), default=0.25, help="Uniform noise in ± this is added to the "
              "result's z for the eight pictures around it.")  # fmt: skip
@click.option("--class", "class_name", default=None, metavar="NAME", help="Of a conditional run: all pictures are of "
              "this class; by default of the first that has any.")  # fmt: skip
@checkpoint_option
@raw_option
@seed_option
def arithmetic(
    run: Path, plus: tuple[str, ...], minus: tuple[str, ...], out: Path | None, checkpoint: str, **options: Any
) -> None:
    """Add and subtract groups of samples of a RUN in z, as in "with glasses − without + another without".

    Without --plus it writes a sheet of numbered samples to choose from, those of `doggan sample` with the same seed.
    Then name groups that share something, three or so in each.

    The same arithmetic on pixels is drawn for comparison.

    \b
    Examples:
      doggan explore arithmetic runs/00000-dogs-dcgan
      doggan explore arithmetic runs/00000-dogs-dcgan --plus 3,7 --minus 1,4
    """
    load_keras()
    from doggan.explore.arithmetic import draw_arithmetic
    from doggan.runs import Run

    path = out or Path("arithmetic.png" if plus or minus else "numbered.png")
    click.echo(draw_arithmetic(Run.open(run), path, plus=plus, minus=minus, which=checkpoint, **options))
