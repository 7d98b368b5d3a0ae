"""Dense networks: the first GANs, and those of the MNIST tutorials; pictures of any size.

Every dense layer has a bias. References: Goodfellow et al.: Generative Adversarial Nets, NeurIPS 2014,
https://arxiv.org/abs/1406.2661; the class as an embedding: Mirza, Osindero: Conditional Generative Adversarial Nets,
2014, https://arxiv.org/abs/1411.1784
"""

import math

import keras
from keras import layers

from doggan.config import Discriminator, Generator
from doggan.layers import DenseSN
from doggan.nets.conditioning import (
    beside,
    check_condition,
    check_plain_generator,
    class_input,
    class_vector,
    projected,
)
from doggan.nets.parts import (
    DISCRIMINATOR,
    GENERATOR,
    PLAIN,
    Seeds,
    after_layer,
    check_common,
    initial,
    latent_input,
)


def generator(config: Generator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0) -> keras.Model:
    """z [B, latent_dim], and classes [B] where it is conditional → pictures [B, *image_shape], float32 in [-1, 1].

    z (beside it a vector of the class) → dense layers, each with BatchNorm, ReLU and dropout → Dense with tanh → the
    picture. The last layer computes in float32 under every dtype policy. The same `seed` gives the same weights on the
    same backend.

    Raises:
        DogganError: a setting contradicts another, as `check_generator` says.
    """
    check_generator(config, n_classes)
    dense = DenseSN if config.spectral_norm else layers.Dense
    seeds = Seeds(seed, GENERATOR)

    z, x = latent_input(config)
    classes = class_input(config)
    x = beside(x, class_vector(classes, config, n_classes, seeds))
    for i, width in enumerate(config.widths):  # [B, 128] → [B, 256] → [B, 512] → [B, 1024]
        x = dense(width, kernel_initializer=initial(config.init, seeds), name=f"dense_{i + 1}")(x)
        x = after_layer(x, i, config, seeds, classes, n_classes)
    pixels = dense(
        math.prod(image_shape),
        activation="tanh",
        kernel_initializer=initial(config.init, seeds),
        dtype="float32",  # a half-precision tanh has fewer levels than a picture
        name="pixels",
    )(x)
    image = layers.Reshape(image_shape, dtype="float32", name="image")(pixels)  # [B, 32, 32, 1]
    return keras.Model(z if classes is None else [z, classes], image, name="generator")


def discriminator(
    config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0
) -> keras.Model:
    """Pictures [B, *image_shape] in [-1, 1], and classes [B] where it is conditional → logits [B, 1], float32.

    The higher the logit, the more real. The flat picture (beside it a vector of the class) → dense layers, each with
    LeakyReLU, BatchNorm and dropout where set → Dense 1. The sigmoid belongs to the loss.

    Raises:
        DogganError: a setting contradicts another, as `check_discriminator` says.
    """
    check_discriminator(config, image_shape, n_classes)
    dense = DenseSN if config.spectral_norm else layers.Dense
    seeds = Seeds(seed, DISCRIMINATOR)

    image = keras.Input(image_shape, name="image")
    classes = class_input(config)
    x = layers.Flatten(name="flatten")(image)  # [B, 1024]
    x = beside(x, class_vector(classes, config, n_classes, seeds))
    for i, width in enumerate(config.widths):  # [B, 1024] → [B, 512] → [B, 256]
        x = dense(width, kernel_initializer=initial(config.init, seeds), name=f"dense_{i + 1}")(x)
        x = after_layer(x, i, config, seeds, classes, n_classes)
    logit = dense(1, kernel_initializer=initial(config.init, seeds), dtype="float32", name="logit")(x)  # [B, 1]
    logit = projected(logit, x, classes, config, n_classes, seeds)
    return keras.Model(image if classes is None else [image, classes], logit, name="discriminator")


def check_generator(config: Generator, n_classes: int = 0) -> None:
    """Refuse settings that contradict each other, or that a dense network does not have.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_plain_generator(config, n_classes)


def check_discriminator(config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0) -> None:
    """The same for a discriminator; any picture fits.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_common(config, "discriminator", PLAIN)
    check_condition(config, "discriminator", n_classes)
