"""`doggan explore collision`."""

from pathlib import Path

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    complete_data,
    complete_runs,
    quiet_option,
    raw_option,
    seed_option,
)
from doggan.errors import DogganError
from doggan.startup import load_keras


@click.command()
@click.argument("source", type=PATH, shell_complete=complete_runs, required=False)
@click.option("--real", type=PATH, default=None, metavar="NPZ", shell_complete=complete_data,
              help="The prepared pictures; of a run by default those that it was trained on.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=Path("collision.png"), help="The PNG to write.")
@click.option("--csv", "table", type=PATH, default=None, metavar="CSV", help="Write every collision too.")
@click.option("--deduplicated", type=PATH, default=None, metavar="NPZ", help="Write the prepared pictures without "
              "the training pictures that repeat; not with a SOURCE.")  # fmt: skip
@click.option("--n", type=click.IntRange(1, 200), default=24, help="Pairs on the picture.")
@click.option("--count", type=click.IntRange(min=2), default=1000, help="Pictures to sample from a run.")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was computed before.")
@checkpoint_option
@raw_option
@seed_option
@quiet_option
def collision(
    source: Path | None,
    real: Path | None,
    out: Path,
    table: Path | None,
    deduplicated: Path | None,
    n: int,
    count: int,
    no_cache: bool,
    checkpoint: str,
    raw: bool,
    seed: int,
    quiet: bool,
) -> None:
    """Find near-duplicates by hashes of 128 bits: among the training pictures, or of a SOURCE with them.

    SOURCE is a run to sample from, a zip, a folder of pictures, or an .npz with `images`. Without one the training
    pictures of --real are compared with each other.

    The hash is the code of an autoencoder that is trained on the training pictures. Equal hashes are compared by
    pixels too, so that false ones are seen. Held-out pictures show how many collide without copying.

    \b
    Examples:
      doggan explore collision --real dogs64.npz --deduplicated fewer64.npz
      doggan explore collision runs/00000-dogs-dcgan
    """
    if source is None and real is None:
        raise DogganError("There is nothing to compare; give a SOURCE, or training pictures by --real.")
    if source is not None and deduplicated is not None:
        raise DogganError("--deduplicated is about training pictures alone; leave out the SOURCE.")
    load_keras()
    from doggan.cache import ExploreCache
    from doggan.data.imageset import ImageSet
    from doggan.explore import collision as analysis
    from doggan.explore.subject import open_subject
    from doggan.plots.collision import collision_figure

    cache = None if no_cache else ExploreCache()
    found: analysis.Duplicates | analysis.Collisions
    if source is None:
        assert real is not None
        data = ImageSet.load(real)
        training = data.training()
        found = analysis.find_duplicates(training.images, cache=cache, progress=not quiet)
        pairs = analysis.duplicate_pairs(training, found, n)
        title, sides = (
            f"Equal hashes in the training pictures of {real.name}",
            "first of a group, and the least like it",
        )
        if table is not None:
            analysis.write_duplicates(table, training.source_ids, found)
        if deduplicated is not None:
            analysis.deduplicated(data, found).save(deduplicated)
    else:
        subject = open_subject(
            source, real, count=count, seed=seed, checkpoint=checkpoint, raw=raw, progress=not quiet
        )  # fmt: skip
        found = analysis.find_collisions(subject, cache=cache, progress=not quiet)
        pairs = analysis.collision_pairs(subject, found, n)
        title, sides = f"Samples of {subject.name} with the hash of a training picture", "sample, training picture"
        if table is not None:
            analysis.write_collisions(table, subject.training.source_ids, found)
    click.echo(str(found))
    click.echo(str(found.hashes))
    if pairs:
        collision_figure(out, pairs, found.hashes.doubtful, title, found.summary, sides)
        click.echo(f"{len(pairs)} pairs: {out}")
    for path in (table, deduplicated):
        if path is not None:
            click.echo(str(path))
