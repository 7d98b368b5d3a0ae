"""Commands that show what a run has learned, and whether it memorises."""

import click

from doggan.cli.explore.arithmetic import arithmetic
from doggan.cli.explore.attention import attention
from doggan.cli.explore.collision import collision
from doggan.cli.explore.features import features
from doggan.cli.explore.interpolate import interpolate
from doggan.cli.explore.modes import modes
from doggan.cli.explore.neighbors import neighbors
from doggan.cli.explore.overfit import overfit
from doggan.cli.explore.visualize import visualize


@click.group()
def explore() -> None:
    """What a run has learned, and whether it memorises: pictures and figures."""


for _command in (
    neighbors,
    collision,
    overfit,
    modes,
    interpolate,
    arithmetic,
    features,
    visualize,
    attention,
):
    explore.add_command(_command)
