"""`doggan explore modes`."""

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
@click.option("--out", "-o", type=PATH, default=Path("modes.png"), help="The PNG of samples to write.")
@click.option("--charts", type=PATH, default=Path("modes-charts.png"), help="The PNG of clusters and classes to write.")
@click.option("--extractor", type=click.Choice(["inception", "random", "nasnet"]), default="random",
              help="What makes the features.")  # fmt: skip
@weights_option
@click.option("--clusters", type=click.IntRange(min=2), default=100, help="Of real pictures, by k-means.")
@click.option("--count", type=click.IntRange(min=2), default=1000, help="Pictures to sample from a run.")
@click.option("--real-count", type=click.IntRange(min=10), default=10_000, help="Training pictures to use at most, "
              "and as many held-out ones as there are samples.")  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Neither use nor keep features in the user's cache folder.")
@checkpoint_option
@raw_option
@seed_option
@quiet_option
def modes(
    source: Path,
    real: Path | None,
    out: Path,
    charts: Path,
    extractor: str,
    weights: Path | None,
    clusters: int,
    real_count: int,
    no_cache: bool,
    seed: int,
    quiet: bool,
    **options: Any,
) -> None:
    """Measure how diverse samples are: repeated ones, clusters and classes of real pictures that they reach.

    SOURCE is a run to sample from, a zip, a folder of pictures, or an .npz with `images`.

    Each figure stands beside that of held-out pictures; where there are none, a part of the training pictures takes
    their place.

    \b
    Examples:
      doggan explore modes runs/00000-dogs-dcgan
      doggan explore modes runs/00001-mnist-cgan --count 5000
    """
    load_keras()
    from doggan.explore.modes_of import modes_of
    from doggan.explore.subject import open_subject
    from doggan.metrics.cache import FeatureCache
    from doggan.metrics.extractors import load_extractor
    from doggan.plots.modes import modes_charts, modes_sheet, shown

    network = load_extractor(extractor, weights)
    subject = open_subject(source, real, seed=seed, progress=not quiet, **options)
    found = modes_of(
        subject,
        network,
        source=source,
        n_clusters=clusters,
        real_count=real_count,
        seed=seed,
        cache=None if no_cache else FeatureCache(),
        progress=not quiet,
    )
    click.echo(str(found))
    outlined = f"outlines: near-identical samples, with the number of their group and its size · by {network.name}"
    modes_sheet(
        out, subject.samples, found.groups, shown(found.groups, seed), f"{subject.name}: {found.verdict}", outlined
    )
    modes_charts(charts, found, f"Modes of {subject.name}, {found.n_samples:,} samples, by {network.name}")
    click.echo(f"samples: {out}\ncharts: {charts}")
