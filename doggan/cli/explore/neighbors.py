"""`doggan explore neighbors`."""

from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    complete_data,
    complete_runs,
    quiet_option,
    raw_option,
    seed_option,
    weights_option,
)
from doggan.startup import load_keras


@click.command()
@click.argument("source", type=PATH, shell_complete=complete_runs)
@click.option("--real", type=PATH, default=None, metavar="NPZ", shell_complete=complete_data,
              help="The prepared pictures; of a run by default those that it was trained on.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=Path("neighbors.png"), help="The PNG to write.")
@click.option("--csv", "table", type=PATH, default=None, metavar="CSV", help="Write every sample's neighbours too.")
@click.option("--measures", default="l1,l2,inception", help="Some of l1, l2 (of pixels), inception, vgg19, random, "
              "nasnet (cosine of features); the first decides which samples are shown.")  # fmt: skip
@weights_option
@click.option("--n", type=click.IntRange(1, 40), default=12, help="Samples on the picture.")
@click.option("--count", type=click.IntRange(min=2), default=1000, help="Pictures to sample from a run.")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was computed before.")
@checkpoint_option
@raw_option
@seed_option
@quiet_option
def neighbors(
    source: Path,
    real: Path | None,
    out: Path,
    table: Path | None,
    measures: str,
    weights: Path | None,
    n: int,
    no_cache: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Find the training picture nearest to each sample, and whether that is suspiciously near.

    SOURCE is a run to sample from, a zip, a folder of pictures, or an .npz with `images`.

    Suspicious is a distance below that of 99% of the held-out pictures, which nobody can have copied: so without
    copying about 1% of the samples are that near. By pixels a blurred sample is near to everything: look at the
    picture, and trust features more.

    \b
    Examples:
      doggan explore neighbors runs/00000-dogs-dcgan
      doggan explore neighbors images.zip --real dogs64.npz --measures l2
    """
    load_keras()
    from doggan.cache import ExploreCache
    from doggan.explore.neighbors import draw_neighbors
    from doggan.explore.subject import open_subject
    from doggan.metrics.cache import FeatureCache

    wanted = [name.strip() for name in measures.split(",")]
    subject = open_subject(source, real, progress=not quiet, **options)
    found = draw_neighbors(
        subject,
        out,
        table,
        n=n,
        measures=wanted,
        weights=weights,
        cache=None if no_cache else ExploreCache(),
        features=None if no_cache else FeatureCache(),
        progress=not quiet,
    )
    for each in found:
        click.echo(str(each))
    if found[0].heldout is None:
        click.echo("no held-out pictures, so nothing says what is suspiciously near; prepare with --holdout 0.1")
    click.echo(f"{len(subject.samples):,} samples, {len(subject.training):,} training pictures: {out}")
