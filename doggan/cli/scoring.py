"""The command that scores."""

import json
from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    bn_samples_option,
    checkpoint_option,
    complete_runs,
    json_option,
    options_given,
    quiet_option,
    raw_option,
    seed_option,
    weights_option,
)
from doggan.errors import DogganError
from doggan.startup import load_keras


@click.command()
@click.argument("source", type=PATH, shell_complete=complete_runs)
@click.option("--real", type=PATH, required=True, help="Folder of the competition's photographs "
              "(protocol kaggle) or of other pictures (folder), or the .npz of `doggan prepare` (crops).")  # fmt: skip
@click.option("--metrics", default="fid,mifid,kid,prdc", help="Some of fid, mifid, kid, prdc, is.")
@click.option("--extractor", type=click.Choice(["inception", "random", "nasnet", "vgg19"]), default="inception",
              help="What makes the features.")  # fmt: skip
@weights_option
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", help="Of Inception; bf16 is faster "
              "and changes scores a little.")  # fmt: skip
@click.option("--xla", is_flag=True, help="Compile Inception with XLA: faster on accelerators, slower on CPUs.")
@click.option("--split", type=click.Choice(["train", "heldout", "all"]), default=None, help="Which pictures of "
              "the .npz; train by default.")  # fmt: skip
@click.option("--count", type=click.IntRange(min=2), default=10_000, help="Pictures to sample from a run.")
@seed_option
@checkpoint_option
@raw_option
@bn_samples_option
@click.option("--evidence", type=PATH, default=None, metavar="PNG", help="Draw the pictures nearest to a real one.")
@json_option
@click.option("--no-cache", is_flag=True, help="Neither use nor keep features in the user's cache folder.")
@quiet_option
def evaluate(
    source: Path,
    real: Path,
    metrics: str,
    extractor: str,
    precision: str,
    as_json: bool,
    no_cache: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Score generated pictures: FID, MiFID as the competition computed it, KID, precision and recall.

    SOURCE is a zip of PNG pictures, a folder of PNG or JPEG pictures, an .npz with `images`, or a RUN to sample from.

    \b
    --real            protocol
    FOLDER            kaggle, where it holds the competition's photographs: whole
                      ones, squashed to 64×64
    FOLDER            folder, where it holds others: squashed in the same way
    dogs64.npz        crops: those that it holds

    Never compare scores by different protocols.

    \b
    Examples:
      doggan evaluate images.zip --real data/stanford-dogs
      doggan evaluate runs/00000-dogs-dcgan --real dogs64.npz --count 5000
      doggan evaluate images.zip --real dogs64.npz --metrics fid --json
    """
    _require_run_for_sampling(source)
    load_keras()
    from doggan import evaluation
    from doggan.metrics.cache import FeatureCache

    result = evaluation.evaluate(
        source,
        real,
        metrics=tuple(name.strip() for name in metrics.split(",")),
        extractor=extractor,
        precision={"fp32": "float32", "bf16": "bfloat16"}[precision],
        cache=None if no_cache else FeatureCache(),
        progress=not quiet,
        **options,
    )
    if as_json:
        click.echo(json.dumps(result.as_dict(), ensure_ascii=False))
        return
    click.echo(str(result))
    if options["evidence"] is not None:
        click.echo(f"evidence: {options['evidence']}")


def _require_run_for_sampling(source: Path) -> None:
    """What decides the sampling of a run must not be ignored where nothing is sampled."""
    if (source / "config.json").exists():
        return
    given = options_given("count", "seed", "checkpoint", "raw", "bn_samples")
    if given and source.exists():
        raise DogganError(f"{source} is not a run, and its pictures are taken as they are; leave out {given}.")
