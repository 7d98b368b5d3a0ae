"""`doggan explore attention`."""

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
@click.option("--out", "-o", type=PATH, default=Path("attention.png"), help="The PNG to write.")
@click.option("--n", type=click.IntRange(1, 16), default=4, help="Samples, a row each.")
@click.option("--network", type=click.Choice(["generator", "discriminator"]), default="generator",
              help="Whose attention; the discriminator's is what it attends to in the same samples.")  # fmt: skip
@click.option("--layer", "number", type=click.IntRange(min=1), default=None, help="Number of the convolution that the "
              "layer comes after, as in the recipe; the first that has one by default.")  # fmt: skip
@click.option("--class", "class_name", default=None, metavar="NAME", help="Of a conditional run: samples of this "
              "class; by default of different ones.")  # fmt: skip
@checkpoint_option
@raw_option
@seed_option
def attention(run: Path, out: Path, checkpoint: str, **options: Any) -> None:
    """Draw what self-attention attends to in samples of a RUN.

    A row for each sample: the sample with four numbered positions, one in each quarter of it, then for each of them
    where its attention goes. The positions are those whose attention is least like the average one.

    \b
    Examples:
      doggan explore attention runs/00002-cifar10-sagan
      doggan explore attention runs/00000-dogs-best --network discriminator --n 6
    """
    load_keras()
    from doggan.explore.attention import draw_attention
    from doggan.runs import Run

    click.echo(draw_attention(Run.open(run), out, which=checkpoint, **options))
