"""Commands that show what a run has learned, and whether it memorises."""

import click

from doggan.cli.explore.attention import attention


@click.group()
def explore() -> None:
    """What a run has learned, and whether it memorises: pictures and figures."""


for _command in (attention,):
    explore.add_command(_command)
