"""Networks by the name a recipe calls them: `generator.network` and `discriminator.network`."""

from collections.abc import Callable

import keras

from doggan.nets import dcgan

GENERATORS: dict[str, Callable[..., keras.Model]] = {"dcgan": dcgan.generator}
"""(config: Generator, channels: int = 3, seed: int = 0) → model from z to pictures."""

DISCRIMINATORS: dict[str, Callable[..., keras.Model]] = {"dcgan": dcgan.discriminator}
"""(config: Discriminator, image_shape: (H, W, C), seed: int = 0) → model from pictures to logits."""

__all__ = ["DISCRIMINATORS", "GENERATORS"]
