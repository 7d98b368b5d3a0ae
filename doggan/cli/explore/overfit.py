"""`doggan explore overfit`."""

from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    complete_data,
    quiet_option,
    run_argument,
    seed_option,
    weights_option,
)
from doggan.startup import load_keras

_FEW = 3


@click.command()
@run_argument
@click.option("--real", type=PATH, default=None, metavar="NPZ", shell_complete=complete_data,
              help="The pictures it was trained on, where they are elsewhere now.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=Path("overfit.png"), help="The PNG to write.")
@click.option("--csv", "table", type=PATH, default=None, metavar="CSV", help="Write the figures too.")
@click.option("--n", type=click.IntRange(min=10), default=1000, help="Pictures of each kind at most.")
@click.option("--extractor", type=click.Choice(["random", "inception"]), default="random", help="Of the score.")
@weights_option
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was computed before.")
@seed_option
@quiet_option
def overfit(run: Path, out: Path, table: Path | None, no_cache: bool, quiet: bool, **options: Any) -> None:
    """Ask whether the discriminator of a RUN memorises.

    At every checkpoint: what D says of the pictures it learned from and of held-out ones that it never saw, and how
    good the samples are. A gap that widens is D memorising; a model that learns before it widens generalises.

    \b
    Examples:
      doggan explore overfit runs/00000-dogs-dcgan
    """
    load_keras()
    from doggan.cache import ExploreCache
    from doggan.explore.overfit import draw_overfit
    from doggan.runs import Run

    cache = None if no_cache else ExploreCache()
    found = draw_overfit(Run.open(run), out, table, cache=cache, progress=not quiet, **options)
    for verdict in found.verdicts:
        click.echo(str(verdict))
    for path in found.damaged:
        click.echo(f"left out, for it is damaged: {path}")
    if len(found.verdicts) < _FEW:
        click.echo(
            "a run keeps its last checkpoints only; to see its course train with "
            "--set train.keep=100 --set train.checkpoint_every=5"
        )
    click.echo(f"{found.score} of {found.n[2]:,} samples, {len(found.verdicts)} checkpoints: {out}")
