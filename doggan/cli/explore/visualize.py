"""`doggan explore visualize`."""

from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    complete_data,
    quiet_option,
    run_argument,
    seed_option,
)
from doggan.startup import load_keras


@click.command()
@run_argument
@click.option("--real", type=PATH, default=None, metavar="NPZ", shell_complete=complete_data,
              help="The pictures it was trained on, where they are elsewhere now.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=Path("visualize.png"), help="The PNG to write.")
@click.option("--layer", "number", type=click.IntRange(min=1), default=None, help="Number of the convolution; the last "
              "by default.")  # fmt: skip
@click.option("--features", "k", type=click.IntRange(1, 16), default=6, help="The most selective ones of its features, "
              "a row each.")  # fmt: skip
@click.option("--top", type=click.IntRange(1, 10), default=6, help="Training pictures of each.")
@click.option("--n", type=click.IntRange(min=1), default=5000, help="Training pictures to look at, at most.")
@checkpoint_option
@seed_option
@quiet_option
def visualize(run: Path, out: Path, checkpoint: str, quiet: bool, **options: Any) -> None:
    """Draw what the features of a RUN's discriminator respond to.

    A row for each feature: the training pictures that it responds to most, the pixels of them that speak for it, by
    guided backpropagation, beside those of the same network before training; and what the generator makes of a z that
    is moved until the feature responds more, from the best of several beginnings.

    \b
    Examples:
      doggan explore visualize runs/00000-dogs-dcgan
    """
    load_keras()
    from doggan.explore.visualize import draw_visualized
    from doggan.runs import Run

    found = draw_visualized(Run.open(run), out, which=checkpoint, progress=not quiet, **options)
    for row, feature in enumerate(found.features):
        click.echo(
            f"feature {feature}: training pictures up to {found.responses[row, 0]:.3g}; generator "
            f"{found.maximised.before[row]:.3g} → {found.maximised.after[row]:.3g}"
        )
    click.echo(f"{len(found.features)} features of {found.layer}: {out}")
