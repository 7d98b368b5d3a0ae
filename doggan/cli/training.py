"""The command that trains, and the demo of the whole path."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doggan.cli.options import (
    PATH,
    complete_data,
    complete_recipes,
    complete_runs,
    devices_option,
    json_option,
    on_collapse_option,
    options_given,
    override_option,
    quiet_option,
    set_option,
    weights_option,
)
from doggan.cli.startup import EXIT_COLLAPSED, load_devices
from doggan.errors import DogganError
from doggan.startup import load_keras

if TYPE_CHECKING:
    from doggan.runs import Outcome, Run


@click.command()
@click.argument("data", type=PATH, required=False, shell_complete=complete_data)
@click.option(
    "--recipe", "-r", default="dogs-dcgan", shell_complete=complete_recipes, help="Name of a recipe, or a .toml file."
)
@set_option
@click.option("--out", "-o", type=PATH, default=None, help="The run folder; a new one in runs/ by default.")
@click.option("--resume", type=PATH, default=None, metavar="RUN", shell_complete=complete_runs,
              help="Continue this run.")  # fmt: skip
@override_option
@on_collapse_option
@devices_option
@weights_option
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Stop cleanly after so long, the last score included.",
)
@click.option("--dry-run", is_flag=True, help="Print the settings and what the run would cost, and train nothing.")
@json_option
@quiet_option
def train(
    data: Path | None,
    recipe: str,
    settings: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    overrides: tuple[str, ...],
    on_collapse: str | None,
    devices: int | None,
    weights: Path | None,
    hours: float | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a recipe on DATA, the .npz that `doggan prepare` wrote; or continue a run with --resume.

    A run is continued with its own settings. What --recipe and --set say beside --resume must be those; --override
    changes some of them for good. A run that ends because training collapsed gives exit code 3.

    \b
    Examples:
      doggan train dogs64.npz
      doggan train dogs64.npz --recipe dogs-best --set train.batch_size=64
      doggan train dogs64.npz --recipe my.toml --dry-run
      doggan train --resume runs/00000-dogs-dcgan
    """
    import time

    deadline = None if hours is None else time.monotonic() + 3600 * hours
    used = load_devices(devices)
    from doggan import runs
    from doggan.data.imageset import ImageSet
    from doggan.recipes import as_toml, flatten, load_recipe
    from doggan.runs.resume import override_run

    what_to_do = () if on_collapse is None else (f"train.on_collapse={on_collapse}",)
    if resume is not None:
        _refuse_beside_resume("out", "dry_run")
        run = runs.Run.open(resume)
        _check_settings(run, recipe, settings)
        if data is None and not run.data_path.exists():
            raise DogganError(f"{run.data_path} is gone; give its new place: doggan train DATA --resume {resume}.")
        images = ImageSet.load(data or run.data_path)
        if overrides or what_to_do:
            run = override_run(run, (*overrides, *what_to_do), images, weights=weights, devices=used)
    elif overrides:
        raise click.UsageError("--override changes a run that is continued with --resume; for a new one use --set.")
    elif data is None:
        raise click.UsageError("DATA is missing: give the .npz that `doggan prepare` wrote, or --resume RUN.")
    else:
        config = load_recipe(recipe, (*settings, *what_to_do))
        images = ImageSet.load(data)
        if dry_run:
            cost = runs.describe_cost(config, images, weights)
            settings_and_cost = {"settings": flatten(config), "cost": cost.splitlines()}
            click.echo(json.dumps(settings_and_cost) if as_json else f"{as_toml(config)}\n{cost}")
            return
        if out is None and used.processes > 1:
            raise click.UsageError("Several processes train one run: name its folder with --out.")
        folder = out or runs.next_folder(Path("runs"), config.recipe)
        run = runs.start_run(folder, config, images, data, weights=weights, devices=used)
    if used.chief and not as_json:
        click.echo(f"run: {run.folder}")
    progress = not (quiet or as_json)
    outcome = runs.train(run, images, weights=weights, deadline=deadline, progress=progress, devices=used)
    if used.chief and as_json:
        click.echo(json.dumps(_as_dict(run, outcome)))
    elif used.chief:
        click.echo(f"{outcome}\nsamples: {run.folder / 'samples'}\ngif: {run.gif}")
    outcome.raise_if_interrupted()
    if outcome.collapsed:
        sys.exit(EXIT_COLLAPSED)


def _as_dict(run: "Run", outcome: "Outcome") -> dict[str, Any]:
    best = run.checkpoints.best()
    return {
        "run": str(run.folder),
        "recipe": run.config.recipe,
        "step": outcome.step,
        "total_steps": outcome.total_steps,
        "stopped_by": outcome.stopped_by,
        "collapsed": outcome.collapsed,
        "best": None if best is None else {"step": best[0], "score": best[1]},
    }


def _refuse_beside_resume(*names: str) -> None:
    given = options_given(*names)
    if given:
        raise DogganError(f"--resume continues a run in its folder; leave out {given}.")


def _check_settings(run: "Run", recipe: str, settings: tuple[str, ...]) -> None:
    """What the user typed of --recipe and --set must be the run's: --set alone is about the run's own settings."""
    from doggan.recipes import load_recipe, override

    if options_given("recipe"):
        run.check_settings(load_recipe(recipe, settings))
    elif settings:
        run.check_settings(override(run.config, settings, "--set"))


@click.command()
@click.option("--out", "-o", type=PATH, default=None, help="Folder for everything it makes; demo, or demo-2, ...")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides the dogs and the run.")
@json_option
@quiet_option
def demo(out: Path | None, seed: int, as_json: bool, quiet: bool) -> None:
    """The whole path on drawn dogs: no download, no GPU, a few minutes on two cores.

    \b
    Examples:
      doggan demo
      doggan demo --out dogs --seed 3
    """
    load_keras()
    from doggan.demo import demo

    names = (Path("demo" if i == 1 else f"demo-{i}") for i in itertools.count(1))
    folder = out or next(name for name in names if not name.exists())
    done = demo(folder, seed=seed, progress=not (quiet or as_json))
    click.echo(json.dumps(dataclasses.asdict(done), default=str) if as_json else str(done))
