"""`doggan explore interpolate`."""

from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    options_given,
    quiet_option,
    raw_option,
    run_argument,
    seed_option,
    weights_option,
)
from doggan.errors import DogganError
from doggan.startup import load_keras


@click.command()
@run_argument
@click.option("--out", "-o", type=PATH, default=Path("interpolation.png"), help="The PNG to write.")
@click.option("--n", type=click.IntRange(1, 16), default=6, help="Pairs of samples: 0 and 1, 2 and 3, and so on.")
@click.option("--between", multiple=True, metavar="I,J", help="Two samples by their numbers on the sheet of `doggan "
              "sample` with the same seed, counted from 0 row by row; may be repeated, in place of --n.")  # fmt: skip
@click.option("--steps", type=click.IntRange(2, 17), default=9, help="Pictures of a path.")
@click.option("--path", "kind", type=click.Choice(["spherical", "linear", "both"]), default="both",
              help="Along a great circle, where every z is as long as those of training, or straight.")  # fmt: skip
@click.option("--class", "class_name", default=None, metavar="NAME", help="Of a conditional run: paths in this "
              "class; by default each in another.")  # fmt: skip
@click.option("--extractor", type=click.Choice(["random", "inception"]), default="random",
              help="Whose features steps are measured in; inception takes minutes on a CPU.")  # fmt: skip
@weights_option
@click.option("--ppl", "pairs", type=click.IntRange(min=0), default=500, help="Pairs for the perceptual path length; "
              "0 leaves it out.")  # fmt: skip
@click.option("--animation", type=PATH, default=None, metavar="FILE", help="Write a walk through z too, as .gif, or as "
              ".mp4 with doggan[video].")  # fmt: skip
@click.option("--tiles", type=click.IntRange(1, 36), default=16, help="Walks side by side in the animation; with "
              "--between there are as many as pairs.")  # fmt: skip
@checkpoint_option
@raw_option
@seed_option
@quiet_option
def interpolate(run: Path, out: Path, checkpoint: str, between: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Draw what lies between samples of a RUN, and measure how evenly pictures change there.

    A generator that has learned changes its picture steadily on the way from one z to another. One that has memorised
    shows one picture, jumps, and shows the next: then a path's largest step is many times its mean.

    The path length is the mean square speed of the features on spherical paths, smaller where pictures change less.
    It compares with others by the same extractor only.

    \b
    Examples:
      doggan explore interpolate runs/00000-dogs-dcgan --n 4 --steps 7
      doggan explore interpolate runs/00000-dogs-dcgan --between 3,17
    """
    if between and options_given("n"):
        raise DogganError("--between names the pairs, so there is no number of them to choose; leave out --n.")
    load_keras()
    from doggan.explore.draw_interpolation import draw_interpolation
    from doggan.runs import Run

    click.echo(draw_interpolation(Run.open(run), out, which=checkpoint, between=between, progress=not quiet, **options))
