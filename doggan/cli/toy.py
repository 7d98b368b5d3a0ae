"""The command that shows the theory on a GAN in one dimension."""

from pathlib import Path

import click

from doggan.cli.options import PATH, quiet_option
from doggan.startup import load_keras


@click.command()
@click.option("--out", "-o", type=PATH, default=Path("toy.png"), help="The PNG to write.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides the first weights, x and z.")
@quiet_option
def toy(out: Path, seed: int, quiet: bool) -> None:
    """A GAN in one dimension beside its theory: D against p_data / (p_data + p_g), the value against −log 4.

    \b
    Examples:
      doggan toy
      doggan toy --seed 5 -o five.png
    """
    load_keras()
    from doggan.toy import toy

    click.echo(str(toy(out, seed=seed, progress=not quiet)))
