"""The `doggan` command: each sub-command parses, calls one public function and prints."""

import click

from doggan import __version__
from doggan.cli.data import download, look, prepare
from doggan.cli.explore import explore
from doggan.cli.recipes import recipes
from doggan.cli.scoring import evaluate
from doggan.cli.startup import EXIT_MISTAKE
from doggan.cli.startup import main as run_command
from doggan.cli.toy import toy
from doggan.cli.training import check, demo, sample, submit, train

__all__ = ["EXIT_MISTAKE", "cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="doggan")
def cli() -> None:
    """From photographs of dogs to a scored submission of 10,000 generated ones.

    \b
    The whole path on drawn dogs, in minutes:   doggan demo
    On the real ones:   doggan prepare PHOTOS → doggan train dogs64.npz → doggan submit RUN
    The score:   doggan evaluate images.zip --real PHOTOS
    Other pictures, other GANs:   doggan recipes, doggan prepare --dataset mnist FILES
    """


for _command in (prepare, look, download, train, sample, submit, check, evaluate, demo, toy, explore, recipes):
    cli.add_command(_command)


def main(command: click.Command = cli) -> None:
    """Run a command line, `doggan` itself by default; a user's mistake is one sentence on stderr and exit status 2."""
    run_command(command)
