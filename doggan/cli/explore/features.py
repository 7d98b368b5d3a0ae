"""`doggan explore features`."""

from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    complete_data,
    quiet_option,
    run_argument,
)
from doggan.startup import load_keras


@click.command()
@run_argument
@click.option("--real", type=PATH, default=None, metavar="NPZ", shell_complete=complete_data,
              help="Labelled pictures; by default those that the run was trained on.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=Path("features.png"), help="The PNG to write.")
@click.option("--classes", type=click.IntRange(min=0), default=10, help="So many of the most frequent classes; 0 for "
              "all, which may take long.")  # fmt: skip
@click.option("--n", type=click.IntRange(min=20), default=3000, help="Pictures to learn from, at most.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides which pictures.")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was computed before.")
@checkpoint_option
@quiet_option
def features(
    run: Path, real: Path | None, out: Path, checkpoint: str, no_cache: bool, quiet: bool, **options: Any
) -> None:
    """Ask what the features of a RUN's discriminator are worth.

    A linear SVM learns the classes from the activations of all of its convolutions, pooled to 4×4, as in the DCGAN
    paper; and, so that the accuracy means something, from those of the same network untrained, from the pixels, and
    from the colours.

    \b
    Examples:
      doggan explore features runs/00000-dogs-dcgan
      doggan explore features runs/00000-dogs-dcgan --classes 0 --n 10000
    """
    load_keras()
    from doggan.cache import ExploreCache
    from doggan.data.imageset import ImageSet
    from doggan.explore.features import draw_features
    from doggan.runs import Run

    opened = Run.open(run)
    data = ImageSet.load(real or opened.data_path)
    cache = None if no_cache else ExploreCache()
    found = draw_features(opened, out, data, which=checkpoint, cache=cache, progress=not quiet, **options)
    for quality in found.qualities:
        click.echo(str(quality))
    click.echo(f"chance: {found.chance:.1%}")
    if found.seen:
        click.echo("D has seen the pictures of the test (not their labels): fewer than 100 are held out")
    click.echo(f"{found.n_train:,} pictures to learn from, {found.n_test:,} to test with: {out}")
