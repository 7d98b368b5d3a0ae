"""The DCGAN: strided convolutions with batch normalisation, and spectral norm in the discriminator.

With the default settings these are the networks of the reference solution, on 64×64 pictures. With others they are
the DCGANs of the tutorials, and with self-attention the SAGAN. A convolution has a bias exactly where no batch
normalisation follows it (whose own offset would make the bias idle); every dense layer has one. This does not depend
on spectral norm.

References: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks, ICLR 2016, https://arxiv.org/abs/1511.06434; Zhang, Goodfellow, Metaxas, Odena: Self-Attention
Generative Adversarial Networks, ICML 2019, https://arxiv.org/abs/1805.08318
"""

import dataclasses
import itertools
import math
import operator
from typing import Any

import keras
from keras import layers

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.layers import ConvSN2D, ConvSN2DTranspose, DenseSN
from doggan.nets.conditioning import (
    beside,
    beside_as_maps,
    check_condition,
    class_input,
    class_vector,
    projected,
)
from doggan.nets.parts import (
    DISCRIMINATOR,
    GENERATOR,
    Seeds,
    activated,
    after_layer,
    attended,
    check_attention,
    check_common,
    check_picture,
    initial,
    latent_input,
    normalised,
    require,
    side_of,
)

_OF_OTHERS = {"hierarchical_z", "blocks", "group_width", "expansion"}
_GENERATOR_SETTINGS = frozenset(field.name for field in dataclasses.fields(Generator)) - _OF_OTHERS
_DISCRIMINATOR_SETTINGS = frozenset(field.name for field in dataclasses.fields(Discriminator)) - _OF_OTHERS


def image_size(config: Generator) -> int:
    """Side in pixels of the generator's pictures: the base map's, times every stride."""
    return side_of(config) * (config.head_stride if config.head == "conv" else 1)


def generator(config: Generator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0) -> keras.Model:
    """z [B, latent_dim], and classes [B] where it is conditional → pictures [B, *image_shape], float32 in [-1, 1].

    z (beside it a vector of the class) → Dense → base map → transposed convolutions, each with BatchNorm, ReLU and
    dropout, and self-attention after some → the last layer, with tanh: Dense at every pixel, or one more transposed
    convolution. With `config.spectral_norm` all kernels are divided by their spectral norm. The last layer computes in
    float32 under every dtype policy. The same `seed` gives the same weights on the same backend.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_generator` says.
    """
    check_generator(config, n_classes)
    check_picture(image_size(config), image_shape)
    dense, conv = (DenseSN, ConvSN2DTranspose) if config.spectral_norm else (layers.Dense, layers.Conv2DTranspose)
    seeds = Seeds(seed, GENERATOR)
    size, depth = config.base_size, config.base_depth

    z, x = latent_input(config)
    classes = class_input(config)
    x = beside(x, class_vector(classes, config, n_classes, seeds))
    x = dense(size * size * depth, kernel_initializer=initial(config.init, seeds), name="dense")(x)
    if config.base_norm:
        x = activated(normalised(x, config, "bn_0", classes, n_classes), config, 0)
    x = layers.Reshape((size, size, depth), name="base_map")(x)  # [B, 4, 4, 128]
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True)):
        x = conv(  # [B, 4, 4, 512] → [B, 8, 8, 256] → … → [B, 64, 64, 32]
            width,
            config.kernel,
            strides=stride,
            padding="same",
            use_bias=not config.batch_norm[i],
            kernel_initializer=initial(config.init, seeds),
            name=f"conv_{i + 1}",
        )(x)
        x = after_layer(x, i, config, seeds, classes, n_classes)
        x = attended(x, i + 1, config, seeds)
    as_image: dict[str, Any] = {
        "activation": "tanh",
        "kernel_initializer": initial(config.init, seeds),
        "dtype": "float32",  # a half-precision tanh has fewer levels than a picture
        "name": "image",
    }
    if config.head == "dense":
        last = dense(image_shape[-1], **as_image)
    else:
        last = conv(image_shape[-1], config.kernel, strides=config.head_stride, padding="same", **as_image)
    image = last(x)  # [B, 64, 64, 3]
    return keras.Model(z if classes is None else [z, classes], image, name="generator")


def discriminator(
    config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0
) -> keras.Model:
    """Pictures [B, *image_shape] in [-1, 1], and classes [B] where it is conditional → logits [B, 1], float32.

    The higher the logit, the more real. Convolutions (of the picture, beside it maps of the class), each with BatchNorm
    (but the first), LeakyReLU and dropout, and self-attention after some → a vector, flat or summed over the positions
    → Dense 1, to which `condition = "projection"` adds the inner product of the vector with one of the class. The
    sigmoid belongs to the loss. Batch normalisation uses the statistics of the batch it is called on, so real pictures
    and fakes are meant to be scored in separate calls. The same `seed` gives the same weights on the same backend.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_discriminator` says.
    """
    check_discriminator(config, image_shape, n_classes)
    dense, conv = (DenseSN, ConvSN2D) if config.spectral_norm else (layers.Dense, layers.Conv2D)
    seeds = Seeds(seed, DISCRIMINATOR)

    image = keras.Input(image_shape, name="image")
    classes = class_input(config)
    x = beside_as_maps(image, class_vector(classes, config, n_classes, seeds))  # [B, 64, 64, 3]
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True)):
        x = conv(  # [B, 64, 64, 64] → [B, 32, 32, 64] → [B, 16, 16, 128] → [B, 8, 8, 256]
            width,
            config.kernel,
            strides=stride,
            padding="same",
            use_bias=not config.batch_norm[i],
            kernel_initializer=initial(config.init, seeds),
            name=f"conv_{i + 1}",
        )(x)
        x = after_layer(x, i, config, seeds, classes, n_classes)
        x = attended(x, i + 1, config, seeds)
    to_vector = (
        SumOverPositions(dtype="float32", name="sum") if config.head == "sum" else layers.Flatten(name="flatten")
    )
    x = to_vector(x)  # [B, 16384], or summed [B, 256]
    logit = dense(1, kernel_initializer=initial(config.init, seeds), dtype="float32", name="logit")(x)  # [B, 1]
    logit = projected(logit, x, classes, config, n_classes, seeds)
    return keras.Model(image if classes is None else [image, classes], logit, name="discriminator")


@keras.saving.register_keras_serializable(package="doggan")
class SumOverPositions(layers.Layer):
    """[B, H, W, C] → [B, C], the sum over the positions."""

    def call(self, x: Any) -> Any:
        return keras.ops.sum(x, axis=(1, 2))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape[0], shape[-1]


def check_generator(config: Generator, n_classes: int = 0) -> None:
    """Refuse settings that contradict each other.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    for key in ("latent_dim", "base_size", "base_depth", "head_stride"):
        require(getattr(config, key) >= 1, f"generator.{key}", getattr(config, key), "must be at least 1")
    check_common(config, "generator", _GENERATOR_SETTINGS)
    check_condition(config, "generator", n_classes)
    sides = itertools.accumulate(config.strides, operator.mul, initial=config.base_size)
    check_attention(config, "generator", list(sides)[1:])
    if config.head_stride != 1 and config.head != "conv":
        raise DogganError(f"generator.head_stride = {config.head_stride} is of generator.head = conv; set that too.")


def check_discriminator(config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0) -> None:
    """Refuse settings that contradict each other or the pictures [H, W, C].

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_common(config, "discriminator", _DISCRIMINATOR_SETTINGS)
    check_condition(config, "discriminator", n_classes)
    height, width = image_shape[:2]
    reduction = math.prod(config.strides)
    if reduction > min(height, width):
        raise DogganError(
            f"discriminator.strides = {list(config.strides)} shrink a picture {reduction} times, more than "
            f"the {height}×{width} pixels it has; use smaller strides"
        )
    check_attention(config, "discriminator", _sides_after(config.strides, height))


def _sides_after(strides: tuple[int, ...], side: int) -> list[int]:
    """Of the map after each convolution with padding "same"."""
    sides = itertools.accumulate(strides, lambda side, stride: -(-side // stride), initial=side)
    return list(sides)[1:]
