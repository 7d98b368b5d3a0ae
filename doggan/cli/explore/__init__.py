"""Commands that show what a run has learned, and whether it memorises."""

import click

from doggan.cli.explore.attention import attention
from doggan.cli.explore.neighbors import neighbors


@click.group()
def explore() -> None:
    """What a run has learned, and whether it memorises: pictures and figures."""


for _command in (neighbors, attention,):
    explore.add_command(_command)
