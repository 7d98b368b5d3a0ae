"""What the recipes of the package are, beside each other."""

from dataclasses import dataclass

import keras

from doggan.config import Config
from doggan.data.classes import Classes
from doggan.losses import RELATIVISTIC
from doggan.nets.flops import step_gflop
from doggan.recipes import load_about, load_recipe, recipe_names
from doggan.runs.build import build_discriminator, build_generator


@dataclass(frozen=True)
class RecipeRow:
    """A recipe, its networks at the size of the pictures it is meant for.

    Attributes:
        name: as `load_recipe` takes it.
        data: the pictures it is meant for.
        source: whose networks and settings they are.
        generator_parameters, discriminator_parameters: trainable ones.
        gflop: of a training step, per real picture; see `doggan.nets.flops.step_gflop`.
        score: what the source reached.
    """

    name: str
    data: str
    source: str
    generator_parameters: int
    discriminator_parameters: int
    gflop: float
    score: str


def describe_recipes() -> list[RecipeRow]:
    """All recipes of the package, in the order of their names; builds their networks, and needs no data."""
    return [_row(name) for name in recipe_names()]


def _row(name: str) -> RecipeRow:
    config, about = load_recipe(name), load_about(name)
    classes = Classes(tuple(map(str, range(about.classes))), (1,) * about.classes) if about.classes else None
    generator = build_generator(config, about.image, classes)
    discriminator = build_discriminator(config, about.image, classes)
    return RecipeRow(
        name,
        about.data,
        about.source,
        _trainable(generator),
        _trainable(discriminator),
        gflop_of(config, generator, discriminator),
        about.score,
    )


def gflop_of(config: Config, generator: keras.Model, discriminator: keras.Model) -> float:
    """`step_gflop` of networks, trained as a configuration says."""
    return step_gflop(
        generator,
        discriminator,
        update=config.train.update,
        d_steps=config.train.d_steps,
        relativistic=config.train.loss in RELATIVISTIC,
    )


def _trainable(network: keras.Model) -> int:
    return sum(int(keras.ops.size(variable)) for variable in network.trainable_variables)
