"""The `doggan` command: each sub-command parses, calls one public function and prints."""

import os

import click

from doggan import __version__
from doggan.cli.sections import EXIT_MISTAKE, SECTIONS, Contents
from doggan.cli.startup import main as run_command

__all__ = ["EXIT_MISTAKE", "cli", "main"]

_EPILOG = """\
COMMAND --help has options and examples. Exit codes: 0 done, 1 unexpected error,
2 a mistake, 3 training collapsed, 130 and 143 stopped by Ctrl-C and SIGTERM."""


@click.group(
    cls=Contents,
    sections=SECTIONS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="doggan")
def cli() -> None:
    """From photographs of dogs to a scored submission of 10,000 generated ones."""


def main(command: click.Command = cli) -> None:
    """Run a command line, `doggan` itself by default; a user's mistake is one sentence on stderr and exit status 2."""
    if "_DOGGAN_COMPLETE" in os.environ:
        import doggan.cli.completion  # noqa: F401  what bash needs beside click
    run_command(command)
