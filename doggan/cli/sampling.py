"""Commands that make pictures with a run: a sheet, a submission; and the check of a submission."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from doggan.cli.options import (
    PATH,
    bn_samples_option,
    checkpoint_option,
    json_option,
    options_given,
    plain_bn_samples_option,
    quiet_option,
    raw_option,
    run_argument,
    seed_option,
    truncation_option,
)
from doggan.errors import DogganError
from doggan.startup import load_keras

if TYPE_CHECKING:
    from doggan.runs import Run
    from doggan.submission import SubmissionCheck

_IN_A_ROW = 8  # samples of a class


@click.command()
@run_argument
@click.option(
    "--n", type=click.IntRange(min=1), default=64, help="Pictures on the sheet; in a row of a class, at most 8."
)
@click.option("--class", "names", multiple=True, metavar="NAME", help="Of a conditional run: only this class; may be "
              "repeated.")  # fmt: skip
@click.option("--mixed", is_flag=True, help="Of a conditional run: classes as the recipe has them, not a row for each.")
@click.option("--out", "-o", type=PATH, default=Path("samples.png"), help="The PNG to write.")
@checkpoint_option
@raw_option
@plain_bn_samples_option
@truncation_option
@seed_option
@click.option("--columns", type=click.IntRange(min=1), default=None, help="Pictures in a row; by default as many as "
              "there are rows. Not where a row is a class.")  # fmt: skip
@click.option("--scale", type=click.IntRange(1, 16), default=1, help="Every pixel becomes so many, in both directions.")
@json_option
def sample(
    run: Path,
    n: int,
    names: tuple[str, ...],
    mixed: bool,
    out: Path,
    checkpoint: str,
    raw: bool,
    bn_samples: int,
    truncation: float | None,
    seed: int,
    columns: int | None,
    scale: int,
    as_json: bool,
) -> None:
    """Draw a sheet of pictures from a RUN's generator.

    Of a conditional run it has a row for each class, in which a column has the same z throughout; with one --class it
    has pictures of that class only.

    \b
    Examples:
      doggan sample runs/00000-dogs-dcgan
      doggan sample runs/00000-dogs-dcgan --n 24 --columns 8 --scale 2 --seed 7
      doggan sample runs/00001-mnist-cgan --class 7
      doggan sample runs/00002-dogs-best --mixed --n 48 --columns 12 --scale 3
    """
    load_keras()
    from doggan import plots, runs
    from doggan.sampling import sample_of_classes, sample_pictures

    opened = runs.Run.open(run)
    labels = opened.find_classes(names)
    if mixed and (names or opened.classes is None):
        raise DogganError(
            f"--mixed is about all classes of a conditional run; leave out {'--class' if names else 'it'} for {run}."
        )
    in_rows = opened.classes is not None and len(labels) > 1 and not mixed
    _refuse_beside_rows(opened, in_rows)
    generator, step, weights = runs.load_generator(
        opened, checkpoint, raw=raw, bn_samples=bn_samples, progress=not as_json
    )
    kinds = [] if opened.classes is None else [opened.classes.names[label] for label in labels]
    if in_rows:
        rows = sample_of_classes(generator, labels, min(n, _IN_A_ROW), seed=seed, truncation=truncation)
        title = f"{opened.config.recipe}, step {step}: a row for each class, a column for each z"
        plots.class_sheet(out, rows, kinds, title)
        count, what = rows.shape[1], f"{rows.shape[1]} samples of each of {len(labels)} classes"
    else:
        one = np.full(n, labels[0], np.int32) if labels else None
        asked = opened.draw_classes(n, seed) if mixed else one
        pictures = sample_pictures(generator, n, seed=seed, classes=asked, truncation=truncation)
        plots.save_png(out, plots.grid(pictures, columns, scale=scale))
        of_class = f" of class {kinds[0]}" if kinds and not mixed else ""
        count, what = n, f"{n} samples{of_class}"
    if as_json:
        made = {"path": str(out), "step": step, "weights": weights, "seed": seed, "classes": kinds, "samples": count}
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        click.echo(f"{what} of step {step}, {weights}: {out}")


def _refuse_beside_rows(run: "Run", in_rows: bool) -> None:
    """A sheet with a row for each class has its own layout."""
    given = options_given("columns", "scale")
    if in_rows and given:
        raise DogganError(
            f"The sheet of {run.folder} has a row for each class, and its own layout; leave out {given}, or choose one "
            "--class, or --mixed."
        )


@click.command()
@run_argument
@click.option("--out", "-o", type=PATH, default=Path("images.zip"), help="The zip to write.")
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures; the competition wants 10,000.")
@checkpoint_option
@raw_option
@bn_samples_option
@truncation_option
@seed_option
@json_option
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
    as_json: bool,
    quiet: bool,
) -> None:
    """Write images.zip from a RUN's generator, and check it.

    \b
    Examples:
      doggan submit runs/00000-dogs-dcgan
      doggan submit runs/00000-dogs-best --checkpoint newest -o newest.zip
    """
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
        progress=not (quiet or as_json),
    )
    if as_json:
        made = {"step": written.step, "weights": written.weights, "seed": seed}
        click.echo(json.dumps(_as_dict(written.check) | made))
    else:
        click.echo(str(written))


@click.command()
@click.argument("submission", type=PATH)
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures it must hold.")
@json_option
def check(submission: Path, count: int, as_json: bool) -> None:
    """Verify that a SUBMISSION (images.zip) is what the competition accepts.

    One that is not ends with exit code 2 and a sentence that says what is wrong and where.

    \b
    Examples:
      doggan check images.zip
      doggan check images.zip && echo "hand it in"
    """
    from doggan.submission import check_submission

    found = check_submission(submission, count)
    click.echo(json.dumps(_as_dict(found)) if as_json else str(found))


def _as_dict(found: "SubmissionCheck") -> dict[str, Any]:
    return {"path": str(found.path), "images": found.count, "side": found.size, "bytes": found.n_bytes}
