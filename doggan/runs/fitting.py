"""Whether a recipe fits a set of pictures, and which recipes would."""

from doggan.config import Config
from doggan.data.annotations import PHOTOGRAPH_ID
from doggan.data.crops import CROP_RULES
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.nets import family
from doggan.recipes import load_recipe, recipe_names


def conditional(config: Config) -> bool:
    """Whether the networks are told classes."""
    return config.generator.condition != "none"


def picture_size(config: Config, images: ImageSet) -> int:
    """Side of the pictures that the networks see: the generator's, or the stored one where it takes any.

    Raises:
        DogganError: there is no such generator.
    """
    made = made_size(config)
    return images.image_shape[0] if made is None else made


def check_networks(config: Config, image_shape: tuple[int, int, int], n_classes: int) -> None:
    """Refuse settings of the networks that contradict each other or the pictures.

    Raises:
        DogganError: one sentence with the remedy; also for networks that do not exist.
    """
    told = n_classes if conditional(config) else 0
    for section, given in (("generator", (told,)), ("discriminator", (image_shape, told))):
        settings = getattr(config, section)
        getattr(family(settings.network, section), f"check_{section}", _no_check)(settings, *given)


def _no_check(*args: object) -> None:
    """Of a family that checks its settings when it is built."""


def check_classes(config: Config, images: ImageSet) -> None:
    """Refuse networks of which one is told classes and the other is not, and pictures without classes.

    Raises:
        DogganError: one sentence with the remedy.
    """
    g, d = config.generator.condition, config.discriminator.condition
    if (g == "none") != (d == "none"):
        raise DogganError(
            f"generator.condition = {g} and discriminator.condition = {d}: either both networks are told the class, or "
            "neither."
        )
    if conditional(config) and images.labels is None:
        raise DogganError(
            f"Recipe {config.recipe} is told the classes of the pictures, and these have none; put them into one "
            f"folder for each class, or choose {_alternatives(images)}."
        )


_OF_BOXES = frozenset(CROP_RULES) - {"whole"}  # rules that only photographs with boxes are cut by


def check_crop(config: Config, images: ImageSet) -> None:
    """Refuse pictures cut from Stanford Dogs by another rule than the recipe is meant for.

    Raises:
        DogganError: one sentence with the remedy.
    """
    wanted = config.data.crop
    if wanted not in ("any", images.crop) and _from_photographs(images):
        raise DogganError(
            f"Recipe {config.recipe} is meant for pictures of the crop {wanted!r} and these are of {images.crop!r}; "
            f"prepare them with --crop {wanted}, or set data.crop=any to train on these all the same."
        )


def _from_photographs(images: ImageSet) -> bool:
    """Whether pictures are known to be cut from Stanford Dogs' photographs.

    Those of other data sets are "whole" too, and may show what was cut out before: a folder with classes has ids
    `class/name`, and one without has no labels.
    """
    if images.crop != "whole":
        return images.crop in _OF_BOXES
    if images.labels is None or len(images) == 0:
        return False
    return PHOTOGRAPH_ID.fullmatch(str(images.source_ids[0])) is not None


def check_size(config: Config, images: ImageSet, size: int) -> None:
    """Refuse pictures that are not square, or not of the size that the networks see.

    Args:
        config, images: as they are to be trained.
        size: as `picture_size` says.

    Raises:
        DogganError: one sentence with the remedy.
    """
    height, width, _ = images.image_shape
    if height != width:
        raise DogganError(f"The pictures are {width}×{height}; the networks want squares. Prepare them again.")
    if config.data.random_crop and made_size(config) is None:
        raise DogganError(
            "data.random_crop cuts pictures to the size that the generator makes, and generator.network = "
            f"{config.generator.network!r} makes any; leave it out, and prepare the pictures in the size you want."
        )
    stored = config.data.size
    if stored and (stored < size or (stored > size and not config.data.random_crop)):
        raise DogganError(
            f"data.size = {stored} is not the {size} px of the networks; leave it out, or for larger pictures set "
            "data.random_crop=true."
        )
    if stored and height != stored:
        raise DogganError(
            f"Recipe {config.recipe} is meant for pictures stored at {stored} px and these have {height}; prepare them "
            f"with --size {stored}, or set data.size=0."
        )
    if height < size or (height > size and not config.data.random_crop):
        crop = ", or set data.random_crop=true to cut them at random" if height > size else ""
        raise DogganError(
            f"The pictures are {height} px wide and the generator of recipe {config.recipe} makes {size} px; prepare "
            f"them with --size {size}{crop}, or choose {_alternatives(images)}."
        )


def fitting_recipes(images: ImageSet) -> list[str]:
    """The recipes of the package that a set of pictures can be trained with as it is."""
    return [name for name in recipe_names() if _fits(load_recipe(name), images)]


def _fits(config: Config, images: ImageSet) -> bool:
    if made_size(config) not in (None, images.image_shape[0]) or (conditional(config) and images.labels is None):
        return False
    try:
        check_networks(config, images.image_shape, len(images.class_names))
        check_crop(config, images)
    except DogganError:
        return False
    return len(images) >= config.train.batch_size * config.train.d_steps


def _alternatives(images: ImageSet) -> str:
    names = fitting_recipes(images)
    return f"a recipe that fits: {', '.join(names)}" if names else "other pictures: no recipe fits these"


def made_size(config: Config) -> int | None:
    """Side of the pictures that the generator makes; None where it makes any."""
    image_size = getattr(family(config.generator.network, "generator"), "image_size", None)
    return None if image_size is None else image_size(config.generator)
