"""Pages about runs: the report of one, and several side by side."""

import json
from pathlib import Path

import click

from doggan.cli.options import PATH, complete_runs, json_option, run_argument
from doggan.startup import load_keras


@click.command(short_help="One page about a RUN: samples, scores, curves, settings.")
@run_argument
@click.option("--out", "-o", type=PATH, default=None, help="The page to write; report.html in the run's folder.")
@click.option("--quick", is_flag=True, help="Leave out what needs the networks: classes, nearest pictures, attention.")
def report(run: Path, out: Path | None, quick: bool) -> None:
    """Write one page about a RUN, finished or not, that needs nothing beside it.

    Samples through time, scores, losses, D's verdicts, rates and spectral norms, classes,
    nearest training pictures, attention, settings, versions, and the command to train it
    again. Nothing is fetched when it is opened.

    \b
    Examples:
      doggan report runs/00000-dogs-dcgan
      doggan report runs/00000-dogs-dcgan --quick -o quick.html
    """
    load_keras()
    from doggan.reporting import write_report
    from doggan.runs import Run

    click.echo(f"report: {write_report(Run.open(run), out, quick=quick)}")


@click.command(short_help="What differs between RUNS: settings, curves, sheets.")
@click.argument("runs", type=PATH, nargs=-1, required=True, metavar="RUN RUN...", shell_complete=complete_runs)
@click.option("--out", "-o", type=PATH, default=Path("compare.html"), help="The page to write.")
@json_option
def compare(runs: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Put runs side by side: the settings that differ and the results as a table here, and with their curves and newest
    sheets on a page.

    \b
    Examples:
      doggan compare runs/00000-dogs-dcgan runs/00001-dogs-best
      doggan compare runs/*-dogs-* -o dogs.html
    """
    load_keras()
    from doggan.reporting import write_comparison
    from doggan.runs import Run

    compared = write_comparison([Run.open(run) for run in runs], out)
    if as_json:
        click.echo(json.dumps(compared.as_dict() | {"page": str(out)}, ensure_ascii=False))
    else:
        click.echo(f"{compared}\npage: {out}")
