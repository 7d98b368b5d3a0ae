"""Commands around a run: train it, sample from it, write and check a submission; and the demo of it all."""

import itertools
from pathlib import Path

import click

from doggan.cli.options import (
    PATH,
    bn_samples_option,
    checkpoint_option,
    options_given,
    quiet_option,
    raw_option,
    seed_option,
    truncation_option,
    weights_option,
)
from doggan.cli.startup import load_keras
from doggan.errors import DogganError


@click.command()
@click.argument("data", type=PATH, required=False)
@click.option("--recipe", "-r", default="dogs-dcgan", help="Name of a recipe, or a .toml file.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; may be repeated.")
@click.option("--out", "-o", type=PATH, default=None, help="The run folder; a new one in runs/ by default.")
@click.option("--resume", type=PATH, default=None, metavar="RUN", help="Continue this run.")
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
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    weights: Path | None,
    hours: float | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train a recipe on DATA, the .npz that `doggan prepare` wrote; or continue a run with --resume."""
    import time

    deadline = None if hours is None else time.monotonic() + 3600 * hours
    load_keras()
    from doggan import runs
    from doggan.data.imageset import ImageSet
    from doggan.recipes import as_toml, load_recipe

    if resume is not None:
        _require_plain_resume()
        run = runs.Run.open(resume)
        if data is None and not run.data_path.exists():
            raise DogganError(f"{run.data_path} is gone; give its new place: doggan train DATA --resume {resume}.")
        images = ImageSet.load(data or run.data_path)
    elif data is None:
        raise click.UsageError("DATA is missing: give the .npz that `doggan prepare` wrote, or --resume RUN.")
    else:
        config = load_recipe(recipe, overrides)
        images = ImageSet.load(data)
        if dry_run:
            click.echo(as_toml(config))
            click.echo(runs.describe_cost(config, images, weights))
            return
        run = runs.start_run(
            out or runs.next_folder(Path("runs"), config.recipe), config, images, data, weights=weights
        )
    click.echo(f"run: {run.folder}")
    outcome = runs.train(run, images, weights=weights, deadline=deadline, progress=not quiet)
    click.echo(f"{outcome}\nsamples: {run.folder / 'samples'}\ngif: {run.gif}")
    outcome.raise_if_interrupted()


def _require_plain_resume() -> None:
    """A resumed run keeps its settings: say so rather than ignore what was given beside --resume."""
    given = options_given("recipe", "overrides", "out", "dry_run")
    if given:
        raise DogganError(f"--resume continues a run with the settings it was started with; leave out {given}.")


@click.command()
@click.argument("run", type=PATH)
@click.option("--n", type=click.IntRange(min=1), default=64, help="Pictures on the sheet.")
@click.option("--out", "-o", type=PATH, default=Path("samples.png"), help="The PNG to write.")
@checkpoint_option
@raw_option
@bn_samples_option
@truncation_option
@seed_option
def sample(
    run: Path, n: int, out: Path, checkpoint: str, raw: bool, bn_samples: int, truncation: float | None, seed: int
) -> None:
    """Draw a sheet of pictures from a RUN's generator."""
    import numpy as np

    load_keras()
    from doggan import plots, runs
    from doggan.sampling import generate

    generator, step, weights = runs.load_generator(
        runs.Run.open(run), checkpoint, raw=raw, bn_samples=bn_samples, progress=True
    )
    pictures = np.concatenate(list(generate(generator, n, seed=seed, truncation=truncation)))
    plots.save_png(out, plots.grid(pictures))
    click.echo(f"{n} samples of step {step}, {weights}: {out}")


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
    bn_samples: int,
    truncation: float | None,
    seed: int,
    quiet: bool,
) -> None:
    """Write images.zip from a RUN's generator, and check it."""
    load_keras()
    from doggan import runs
    from doggan.sampling import generate
    from doggan.submission import check_submission, write_submission

    generator, step, weights = runs.load_generator(
        runs.Run.open(run), checkpoint, raw=raw, bn_samples=bn_samples, progress=not quiet
    )
    batches = generate(generator, count, seed=seed, truncation=truncation, progress=not quiet)
    click.echo(f"{write_submission(batches, out, count)}, from step {step}, {weights}")
    click.echo(str(check_submission(out, count)))


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
