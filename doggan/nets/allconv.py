"""The DCGAN of convolutions only, as PyTorch's tutorial has it: 4×4 kernels, no dense layer, no bias anywhere.

G sees z as a picture of one pixel, and D ends in one. Each width is a doubling of the side, so four make 64 pixels. For
pictures of another size the networks have fewer or more layers at their deep end, where the maps are small: three for
32 pixels, and for 128 a fifth, with twice as many channels as the deepest.

References: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks, ICLR 2016, https://arxiv.org/abs/1511.06434; Inkawhich: DCGAN Tutorial,
https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html
"""

import dataclasses
from typing import Any, TypeVar

import keras
from keras import layers

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.layers import ConvSN2D, ConvSN2DTranspose
from doggan.nets.conditioning import (
    beside,
    beside_as_maps,
    check_condition,
    check_plain_generator,
    class_input,
    class_vector,
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

_Config = TypeVar("_Config", Generator, Discriminator)

_BASE = 4  # side of the first map of G and of the last of D


def fitted(config: _Config, side: int) -> _Config:
    """The settings with as many layers as pictures of `side` pixels need, each per-layer setting cut or continued.

    Raises:
        DogganError: the side is not 8, 16, 32, ….
    """
    n = (side // _BASE).bit_length() - 1
    if n < 1 or side != _BASE * 2**n:
        raise DogganError(
            f"The networks allconv double and halve the side down to {_BASE} pixels, and these pictures have {side}; "
            "prepare them with --size 32, 64 or 128."
        )
    deep_first = isinstance(config, Generator)

    def of_each(values: tuple[Any, ...], factor: int = 1) -> tuple[Any, ...]:
        from_shallow = list(reversed(values) if deep_first else values)[:n]
        while len(from_shallow) < n:
            from_shallow.append(from_shallow[-1] * factor if factor > 1 else from_shallow[-1])
        return tuple(reversed(from_shallow) if deep_first else from_shallow)

    return dataclasses.replace(
        config,
        widths=of_each(config.widths, factor=2),
        batch_norm=of_each(config.batch_norm),
        dropout=of_each(config.dropout),
    )


def generator(config: Generator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0) -> keras.Model:
    """z [B, latent_dim], and classes [B] where it is conditional → pictures [B, *image_shape], float32 in [-1, 1].

    z (beside it a vector of the class) as one pixel → transposed 4×4 convolutions, each with BatchNorm and ReLU → one
    more with tanh. The first has no padding, all others double the side. The last computes in float32 under every
    dtype policy. The same `seed` gives the same weights on the same backend.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_generator` says.
    """
    check_generator(config, n_classes)
    config = fitted(config, image_shape[0])
    conv = ConvSN2DTranspose if config.spectral_norm else layers.Conv2DTranspose
    seeds = Seeds(seed, GENERATOR)

    z, x = latent_input(config)
    classes = class_input(config)
    x = beside(x, class_vector(classes, config, n_classes, seeds))
    x = layers.Reshape((1, 1, x.shape[-1]), name="pixel")(x)  # [B, 1, 1, 100]
    for i, width in enumerate(config.widths):  # → [B, 4, 4, 512] → [B, 8, 8, 256] → … → [B, 32, 32, 64]
        x = conv(width, **_convolution(i == 0, f"conv_{i + 1}", config, seeds))(x)
        x = after_layer(x, i, config, seeds, classes, n_classes)
    last = _convolution(False, "image", config, seeds)
    # Float32, since a half-precision tanh has fewer levels than a picture.
    image = conv(image_shape[-1], **last, activation="tanh", dtype="float32")(x)  # [B, 64, 64, 3]
    return keras.Model(z if classes is None else [z, classes], image, name="generator")


def discriminator(
    config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0
) -> keras.Model:
    """Pictures [B, *image_shape] in [-1, 1], and classes [B] where it is conditional → logits [B, 1], float32.

    The higher the logit, the more real. 4×4 convolutions (of the picture, beside it maps of the class) that halve the
    side, each with BatchNorm (but the first) and LeakyReLU → one without padding, which covers all of the last map.
    The sigmoid belongs to the loss.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_discriminator` says.
    """
    check_discriminator(config, image_shape, n_classes)
    config = fitted(config, image_shape[0])
    conv = ConvSN2D if config.spectral_norm else layers.Conv2D
    seeds = Seeds(seed, DISCRIMINATOR)

    image = keras.Input(image_shape, name="image")
    classes = class_input(config)
    x = beside_as_maps(image, class_vector(classes, config, n_classes, seeds))
    for i, width in enumerate(config.widths):  # [B, 32, 32, 64] → [B, 16, 16, 128] → [B, 8, 8, 256] → [B, 4, 4, 512]
        x = conv(width, **_convolution(False, f"conv_{i + 1}", config, seeds))(x)
        x = after_layer(x, i, config, seeds, classes, n_classes)
    x = conv(1, **_convolution(True, "last", config, seeds), dtype="float32")(x)  # [B, 1, 1, 1]
    logit = layers.Flatten(dtype="float32", name="logit")(x)  # [B, 1]
    return keras.Model(image if classes is None else [image, classes], logit, name="discriminator")


def _convolution(whole: bool, name: str, config: Generator | Discriminator, seeds: Seeds) -> dict[str, Any]:
    """What the convolutions share. One that is `whole` lies between a single pixel and a map; others change the side
    by two."""
    return {
        "kernel_size": _BASE,
        "strides": 1 if whole else 2,
        "padding": "valid" if whole else "same",
        "use_bias": False,
        "kernel_initializer": initial(config.init, seeds),
        "name": name,
    }


def check_generator(config: Generator, n_classes: int = 0) -> None:
    """Refuse settings that contradict each other, or that these networks do not have.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_plain_generator(config, n_classes)


def check_discriminator(config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0) -> None:
    """The same for a discriminator, whose convolutions must bring the square pictures [H, W, C] to 4×4.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_common(config, "discriminator", PLAIN)
    check_condition(config, "discriminator", n_classes)
    if config.condition == "projection":
        raise DogganError(
            "discriminator.condition = projection needs a vector before the logit, which discriminator.network = "
            "'allconv' has not; use embedding or one_hot."
        )
    fitted(config, image_shape[0])
