"""Commands around a run: train it, sample from it, write and check a submission; and the demo of it all."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from doggan.cli.options import (
    PATH,
    bn_samples_option,
    checkpoint_option,
    devices_option,
    on_collapse_option,
    options_given,
    override_option,
    plain_bn_samples_option,
    quiet_option,
    raw_option,
    seed_option,
    set_option,
    truncation_option,
    weights_option,
)
from doggan.cli.startup import load_devices
from doggan.errors import DogganError
from doggan.startup import load_keras

if TYPE_CHECKING:
    from doggan.runs import Run

_IN_A_ROW = 8  # samples of a class


@click.command()
@click.argument("data", type=PATH, required=False)
@click.option("--recipe", "-r", default="dogs-dcgan", help="Name of a recipe, or a .toml file.")
@set_option
@click.option("--out", "-o", type=PATH, default=None, help="The run folder; a new one in runs/ by default.")
@click.option("--resume", type=PATH, default=None, metavar="RUN", help="Continue this run.")
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
    quiet: bool,
) -> None:
    """Train a recipe on DATA, the .npz that `doggan prepare` wrote; or continue a run with --resume.

    A run is continued with its own settings. What --recipe and --set say beside --resume must be those; --override
    changes some of them for good.
    """
    import time

    deadline = None if hours is None else time.monotonic() + 3600 * hours
    used = load_devices(devices)
    from doggan import runs
    from doggan.data.imageset import ImageSet
    from doggan.recipes import as_toml, load_recipe
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
            click.echo(as_toml(config))
            click.echo(runs.describe_cost(config, images, weights))
            return
        if out is None and used.processes > 1:
            raise click.UsageError("Several processes train one run: name its folder with --out.")
        folder = out or runs.next_folder(Path("runs"), config.recipe)
        run = runs.start_run(folder, config, images, data, weights=weights, devices=used)
    if used.chief:
        click.echo(f"run: {run.folder}")
    outcome = runs.train(run, images, weights=weights, deadline=deadline, progress=not quiet, devices=used)
    if used.chief:
        click.echo(f"{outcome}\nsamples: {run.folder / 'samples'}\ngif: {run.gif}")
    outcome.raise_if_interrupted()


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
@click.argument("run", type=PATH)
@click.option(
    "--n", type=click.IntRange(min=1), default=64, help="Pictures on the sheet; in a row of a class, at most 8."
)
@click.option("--class", "names", multiple=True, metavar="NAME", help="Of a conditional run: only this class; may be "
              "repeated.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=Path("samples.png"), help="The PNG to write.")
@checkpoint_option
@raw_option
@plain_bn_samples_option
@truncation_option
@seed_option
def sample(
    run: Path,
    n: int,
    names: tuple[str, ...],
    out: Path,
    checkpoint: str,
    raw: bool,
    bn_samples: int,
    truncation: float | None,
    seed: int,
) -> None:
    """Draw a sheet of pictures from a RUN's generator.

    Of a conditional run it has a row for each class, in which a column has the same z throughout; with one --class it
    has pictures of that class only.
    """
    load_keras()
    from doggan import plots, runs
    from doggan.sampling import sample_of_classes, sample_pictures

    opened = runs.Run.open(run)
    labels = opened.find_classes(names)
    generator, step, weights = runs.load_generator(opened, checkpoint, raw=raw, bn_samples=bn_samples, progress=True)
    made = f"of step {step}, {weights}"
    if opened.classes is None or len(labels) == 1:
        asked = np.full(n, labels[0], np.int32) if labels else None
        pictures = sample_pictures(generator, n, seed=seed, classes=asked, truncation=truncation)
        plots.save_png(out, plots.grid(pictures))
        kind = f" of class {opened.classes.names[labels[0]]}" if opened.classes else ""
        click.echo(f"{n} samples{kind} {made}: {out}")
        return
    rows = sample_of_classes(generator, labels, min(n, _IN_A_ROW), seed=seed, truncation=truncation)
    asked_for = [opened.classes.names[label] for label in labels]
    title = f"{opened.config.recipe}, step {step}: a row for each class, a column for each z"
    plots.class_sheet(out, rows, asked_for, title)
    click.echo(f"{rows.shape[1]} samples of each of {len(labels)} classes {made}: {out}")


@click.command()
@click.argument("run", type=PATH)
@click.option("--out", "-o", type=PATH, default=Path("images.zip"), help="The zip to write.")
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures; the competition wants 10,000.")
@checkpoint_option
@raw_option
@bn_samples_option
@truncation_option
@seed_option
@quiet_option
def submit(
    run: Path,
    out: Path,
    count: int,
    checkpoint: str,
    raw: bool,
    bn_samples: int | None,
    truncation: float | None,
    seed: int,
    quiet: bool,
) -> None:
    """Write images.zip from a RUN's generator, and check it."""
    load_keras()
    from doggan.runs import Run
    from doggan.runs.submit import submit

    written = submit(
        Run.open(run),
        out,
        count=count,
        checkpoint=checkpoint,
        raw=raw,
        bn_samples=bn_samples,
        truncation=truncation,
        seed=seed,
        progress=not quiet,
    )
    click.echo(str(written))


@click.command()
@click.argument("submission", type=PATH)
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures it must hold.")
def check(submission: Path, count: int) -> None:
    """Verify that a SUBMISSION (images.zip) is what the competition accepts."""
    from doggan.submission import check_submission

    click.echo(str(check_submission(submission, count)))


@click.command()
@click.option("--out", "-o", type=PATH, default=None, help="Folder for everything it makes; demo, or demo-2, ...")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides the dogs and the run.")
@quiet_option
def demo(out: Path | None, seed: int, quiet: bool) -> None:
    """The whole path on drawn dogs: no download, no GPU, a few minutes on two cores."""
    load_keras()
    from doggan.demo import demo

    names = (Path("demo" if i == 1 else f"demo-{i}") for i in itertools.count(1))
    folder = out or next(name for name in names if not name.exists())
    click.echo(str(demo(folder, seed=seed, progress=not quiet)))
