"""The `doggan` command: each sub-command parses, calls one public function and prints."""

import errno
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from doggan import __version__
from doggan.errors import DogganError, Interrupted

EXIT_MISTAKE = 2
_EXIT_SIGNAL = {"SIGINT": 130, "SIGTERM": 143}

# TensorFlow writes banners about CPU features and missing GPUs to stderr; a user who wants them sets this themselves.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(command: click.Command | None = None) -> None:
    """Run a command line (`doggan` itself by default); a user's mistake is one sentence on stderr and exit status 2."""
    try:
        (command or cli).main(standalone_mode=False)
    except DogganError as error:
        click.echo(f"doggan: {error}", err=True)
        sys.exit(EXIT_MISTAKE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Interrupted as error:
        click.echo(f"doggan: stopped by {error}", err=True)
        sys.exit(_EXIT_SIGNAL[str(error)])
    except (KeyboardInterrupt, click.Abort):
        click.echo("doggan: interrupted", err=True)
        sys.exit(_EXIT_SIGNAL["SIGINT"])
    except OSError as error:
        remedy = "; free some space, or choose another place, and run the command again"
        cannot_write = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
        click.echo(f"doggan: {error}{remedy if cannot_write else ''}", err=True)
        sys.exit(EXIT_MISTAKE)


def load_keras() -> None:
    """Import Keras, its backend and what is needed to know the devices, without TensorFlow's banners on stderr.

    TensorFlow writes them before any setting of its own can stop it. Should the import fail, they are shown.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            from doggan.training.gan import has_accelerator

            has_accelerator()
        except ModuleNotFoundError as error:
            raise DogganError(
                f"Keras or its backend is not installed ({error}); pip install tensorflow, or 'doggan[jax]' and set "
                "KERAS_BACKEND=jax."
            ) from None
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="doggan")
def cli() -> None:
    """From photographs of dogs to a scored submission of 10,000 generated ones.

    \b
    The whole path on drawn dogs, in minutes:   doggan demo
    On the real ones:   doggan prepare PHOTOS → doggan train dogs64.npz → doggan submit RUN
    """


_path = click.Path(path_type=Path)
_quiet = click.option("--quiet", "-q", is_flag=True, help="No progress bars, no epoch lines.")


@cli.command()
@click.argument("source", type=_path)
@click.option("--out", "-o", type=_path, default=Path("dogs64.npz"), help="The file to write.")
@click.option("--size", type=click.Choice(["32", "64", "96", "128"]), default="64", help="Side of the crops in pixels.")
@click.option("--crop", type=click.Choice(["square", "reference", "box", "whole"]), default="square", help="Crop rule.")
@click.option(
    "--holdout", type=click.FloatRange(0, 1, max_open=True), default=0.0, help="Share of photographs held out."
)
@click.option(
    "--fast-decode", is_flag=True, help="Decode large JPEGs at a reduced scale: faster, slightly other pixels."
)
@click.option("--strict", is_flag=True, help="Stop at the first bad input instead of counting it.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Threads; all cores by default.")
@_quiet
def prepare(source: Path, out: Path, size: str, quiet: bool, **options: Any) -> None:
    """Cut every boxed dog under SOURCE out of its photograph, into one .npz file.

    SOURCE holds Stanford Dogs as published (Images/, Annotation/) or as Kaggle has it (all-dogs/, annotation/).
    """
    from doggan.data.prepare import prepare

    click.echo(str(prepare(source, out, size=int(size), progress=not quiet, **options)))


@cli.command()
@click.argument("data", type=_path)
@click.option("--out", "-o", type=_path, default=Path(), help="Folder for sheet.png and breeds.png.")
@click.option("--n", type=click.IntRange(min=1), default=64, help="Crops on the sheet.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides which.")
def look(data: Path, out: Path, n: int, seed: int) -> None:
    """Draw a labelled sheet of the crops in DATA (.npz) and the histogram of its breeds."""
    from doggan import plots
    from doggan.data.imageset import ImageSet

    images = ImageSet.load(data)
    sheet, histogram = out / "sheet.png", out / "breeds.png"
    plots.labelled_sheet(sheet, images, n=n, seed=seed)
    click.echo(f"{len(images)} crops of {images.image_shape[0]} px, {len(images.class_names)} breeds\nsheet: {sheet}")
    if images.labels is not None:
        plots.class_histogram(histogram, images)
        click.echo(f"breeds: {histogram}")


@cli.command()
@click.argument("name", type=click.Choice(["stanford-dogs", "inception"]))
@click.option("--dest", type=_path, default=None, help="Folder to put it in; data/, or for the network the cache.")
@click.option("--source", type=click.Choice(["official", "kaggle"]), default="official", help="Where from.")
@_quiet
def download(name: str, dest: Path | None, source: str, quiet: bool) -> None:
    """Fetch the photographs, or the network that scores; resumes, and verifies what it fetched."""
    from doggan.data.download import download

    if dest is None and name == "inception":
        from doggan.metrics.inception import default_folders

        dest = default_folders()[0]
    dest = dest or Path("data")
    click.echo(download(name, dest, source=source, progress=not quiet, say=click.echo))


@cli.command()
@click.argument("data", type=_path, required=False)
@click.option("--recipe", "-r", default="dogs-dcgan", help="Name of a recipe, or a .toml file.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; may be repeated.")
@click.option("--out", "-o", type=_path, default=None, help="The run folder; a new one in runs/ by default.")
@click.option("--resume", type=_path, default=None, metavar="RUN", help="Continue this run.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=None, help="Stop cleanly after so long.")
@click.option("--dry-run", is_flag=True, help="Print the settings and what the run would cost, and train nothing.")
@_quiet
def train(
    data: Path | None,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
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
            click.echo(runs.describe_cost(config, images))
            return
        run = runs.start_run(out or runs.next_folder(Path("runs"), config.recipe), config, images, data)
    click.echo(f"run: {run.folder}")
    outcome = runs.train(run, images, deadline=deadline, progress=not quiet)
    click.echo(f"{outcome}\nsamples: {run.folder / 'samples'}\ngif: {run.gif}")
    outcome.raise_if_interrupted()


def _require_plain_resume() -> None:
    """A resumed run keeps its settings: say so rather than ignore what was given beside --resume."""
    context = click.get_current_context()
    given = [
        name
        for name in ("recipe", "overrides", "out", "dry_run")
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given:
        options = ", ".join({"overrides": "--set"}.get(name, "--" + name.replace("_", "-")) for name in given)
        raise DogganError(f"--resume continues a run with the settings it was started with; leave out {options}.")


_checkpoint = click.option("--checkpoint", default="best", help='"best", "newest", or a step number.')
_truncation = click.option("--truncation", type=click.FloatRange(min=0, min_open=True), default=None,
                           help="Draw z again beyond so many standard deviations.")  # fmt: skip
_seed = click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides z.")


@cli.command()
@click.argument("run", type=_path)
@click.option("--n", type=click.IntRange(min=1), default=64, help="Pictures on the sheet.")
@click.option("--out", "-o", type=_path, default=Path("samples.png"), help="The PNG to write.")
@_checkpoint
@_truncation
@_seed
def sample(run: Path, n: int, out: Path, checkpoint: str, truncation: float | None, seed: int) -> None:
    """Draw a sheet of pictures from a RUN's generator."""
    import numpy as np

    load_keras()
    from doggan import plots, runs
    from doggan.sampling import generate

    generator, step = runs.load_generator(runs.Run.open(run), checkpoint)
    pictures = np.concatenate(list(generate(generator, n, seed=seed, truncation=truncation)))
    plots.save_png(out, plots.grid(pictures))
    click.echo(f"{n} samples of step {step}: {out}")


@cli.command()
@click.argument("run", type=_path)
@click.option("--out", "-o", type=_path, default=Path("images.zip"), help="The zip to write.")
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures; the competition wants 10,000.")
@_checkpoint
@_truncation
@_seed
@_quiet
def submit(run: Path, out: Path, count: int, checkpoint: str, truncation: float | None, seed: int, quiet: bool) -> None:
    """Write images.zip from a RUN's generator, and check it."""
    load_keras()
    from doggan import runs
    from doggan.sampling import generate
    from doggan.submission import check_submission, write_submission

    generator, step = runs.load_generator(runs.Run.open(run), checkpoint)
    batches = generate(generator, count, seed=seed, truncation=truncation, progress=not quiet)
    click.echo(f"{write_submission(batches, out, count)}, from step {step}")
    click.echo(str(check_submission(out, count)))


@cli.command()
@click.argument("submission", type=_path)
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures it must hold.")
def check(submission: Path, count: int) -> None:
    """Verify that a SUBMISSION (images.zip) is what the competition accepts."""
    from doggan.submission import check_submission

    click.echo(str(check_submission(submission, count)))


@cli.command()
@click.option("--out", "-o", type=_path, default=None, help="Folder for everything it makes; demo, or demo-2, ...")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides the dogs and the run.")
@_quiet
def demo(out: Path | None, seed: int, quiet: bool) -> None:
    """The whole path on drawn dogs: no download, no GPU, a few minutes on two cores."""
    load_keras()
    from doggan.demo import demo

    names = (Path("demo" if i == 1 else f"demo-{i}") for i in itertools.count(1))
    folder = out or next(name for name in names if not name.exists())
    click.echo(str(demo(folder, seed=seed, progress=not quiet)))
