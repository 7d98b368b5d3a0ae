"""The DCGAN: strided convolutions with batch normalisation, and spectral norm in the discriminator.

With the default settings these are the networks of the reference solution, on 64×64 pictures. A convolution
has a bias exactly where no batch normalisation follows it (whose own offset would make the bias idle); every
dense layer has one. This does not depend on spectral norm.

Reference: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks, ICLR 2016, https://arxiv.org/abs/1511.06434
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers

from doggan.config import BatchNorm, Discriminator, Generator, Init
from doggan.errors import DogganError
from doggan.layers import BatchNormalization, ConvSN2D, ConvSN2DTranspose, DenseSN, Dropout

_GENERATOR, _DISCRIMINATOR = 0, 1  # so that one seed gives two unrelated networks


def image_size(config: Generator) -> int:
    """Side in pixels of the generator's pictures: the base map's, times every stride."""
    return config.base_size * math.prod(config.strides)


def generator(config: Generator, channels: int = 3, seed: int = 0) -> keras.Model:
    """z [B, latent_dim] → pictures [B, S, S, channels], float32 in [-1, 1], with S = `image_size(config)`.

    z → Dense → base map → transposed convolutions, each with BatchNorm, ReLU and dropout → Dense with tanh at
    every pixel. With `config.spectral_norm` all kernels are divided by their spectral norm. The last layer
    computes in float32 under every dtype policy. The same `seed` gives the same weights on the same backend.

    Raises:
        DogganError: a setting contradicts another, as `check_generator` says.
    """
    check_generator(config)
    dense, conv = (DenseSN, ConvSN2DTranspose) if config.spectral_norm else (layers.Dense, layers.Conv2DTranspose)
    seeds = _Seeds(seed, _GENERATOR)
    size, depth = config.base_size, config.base_depth

    z = keras.Input((config.latent_dim,), name="z")
    x = dense(size * size * depth, kernel_initializer=_init(config.init, seeds), name="dense")(z)
    x = layers.Reshape((size, size, depth), name="base_map")(x)  # [B, 4, 4, 128]
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True)):
        x = conv(  # [B, 4, 4, 512] → [B, 8, 8, 256] → … → [B, 64, 64, 32]
            width,
            config.kernel,
            strides=stride,
            padding="same",
            use_bias=not config.batch_norm[i],
            kernel_initializer=_init(config.init, seeds),
            name=f"conv_{i + 1}",
        )(x)
        x = _after_convolution(x, i, config, seeds)
    image = dense(
        channels,
        activation="tanh",
        kernel_initializer=_init(config.init, seeds),
        dtype="float32",  # a half-precision tanh has fewer levels than a picture
        name="image",
    )(x)  # [B, 64, 64, 3]
    return keras.Model(z, image, name="generator")


def discriminator(config: Discriminator, image_shape: tuple[int, int, int], seed: int = 0) -> keras.Model:
    """Pictures [B, *image_shape] in [-1, 1] → logits [B, 1], float32: the higher, the more real.

    Convolutions, each with BatchNorm (but the first), LeakyReLU and dropout → Flatten → Dense 1. The sigmoid
    belongs to the loss. Batch normalisation uses the statistics of the batch it is called on, so real
    pictures and fakes are meant to be scored in separate calls. The same `seed` gives the same weights on the
    same backend.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_discriminator` says.
    """
    check_discriminator(config, image_shape)
    dense, conv = (DenseSN, ConvSN2D) if config.spectral_norm else (layers.Dense, layers.Conv2D)
    seeds = _Seeds(seed, _DISCRIMINATOR)

    image = keras.Input(image_shape, name="image")
    x = image  # [B, 64, 64, 3]
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True)):
        x = conv(  # [B, 64, 64, 64] → [B, 32, 32, 64] → [B, 16, 16, 128] → [B, 8, 8, 256]
            width,
            config.kernel,
            strides=stride,
            padding="same",
            use_bias=not config.batch_norm[i],
            kernel_initializer=_init(config.init, seeds),
            name=f"conv_{i + 1}",
        )(x)
        x = _after_convolution(x, i, config, seeds)
    x = layers.Flatten(name="flatten")(x)  # [B, 16384]
    logit = dense(1, kernel_initializer=_init(config.init, seeds), dtype="float32", name="logit")(x)  # [B, 1]
    return keras.Model(image, logit, name="discriminator")


def _after_convolution(x: Any, i: int, config: Generator | Discriminator, seeds: "_Seeds") -> Any:
    """Batch normalisation, activation and dropout, where the settings of layer `i` (from 0) ask for them."""
    if config.batch_norm[i]:
        bn: BatchNorm = config.bn
        x = BatchNormalization(epsilon=bn.epsilon, momentum=bn.momentum, name=f"bn_{i + 1}")(x)
    if config.slope == 0:
        x = layers.ReLU(name=f"relu_{i + 1}")(x)
    else:
        x = layers.LeakyReLU(config.slope, name=f"leaky_relu_{i + 1}")(x)
    if config.dropout[i] > 0:
        x = Dropout(config.dropout[i], seed=seeds.next(), name=f"dropout_{i + 1}")(x)
    return x


class _Seeds:
    """Unrelated seeds in a fixed order, one for each thing in a network that is drawn."""

    def __init__(self, seed: int, network: int) -> None:
        self.rng = np.random.default_rng((seed % 2**32, network))

    def next(self) -> int:
        return int(self.rng.integers(2**31 - 1))


def _init(init: Init, seeds: _Seeds) -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(init.mean, init.std, seed=seeds.next())


def check_generator(config: Generator) -> None:
    """Refuse settings that contradict each other.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    for key in ("latent_dim", "base_size", "base_depth"):
        _require(getattr(config, key) >= 1, f"generator.{key}", getattr(config, key), "must be at least 1")
    _check_layers(config, "generator")


def check_discriminator(config: Discriminator, image_shape: tuple[int, int, int]) -> None:
    """Refuse settings that contradict each other or the pictures [H, W, C].

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    _check_layers(config, "discriminator")
    height, width = image_shape[:2]
    reduction = math.prod(config.strides)
    if reduction > min(height, width):
        raise DogganError(
            f"discriminator.strides = {list(config.strides)} shrink a picture {reduction} times, more than "
            f"the {height}×{width} pixels it has; use smaller strides"
        )


def _check_layers(config: Generator | Discriminator, section: str) -> None:
    n = len(config.widths)
    _require(n >= 1, f"{section}.widths", config.widths, "must name at least one layer")
    for key in ("strides", "batch_norm", "dropout"):
        values = getattr(config, key)
        if len(values) != n:
            raise DogganError(
                f"{section}.{key} has {len(values)} entries but {section}.widths has {n}; give one for each layer"
            )
    for key in ("widths", "strides"):
        values = getattr(config, key)
        _require(all(v >= 1 for v in values), f"{section}.{key}", values, "must all be at least 1")
    _require(
        all(0 <= rate < 1 for rate in config.dropout),
        f"{section}.dropout",
        config.dropout,
        "must all be at least 0 and below 1",
    )
    _require(config.kernel >= 1, f"{section}.kernel", config.kernel, "must be at least 1")
    _require(config.slope >= 0, f"{section}.slope", config.slope, "must not be negative")
    _require(config.init.std > 0, f"{section}.init.std", config.init.std, "must be positive")
    _require(config.bn.epsilon > 0, f"{section}.bn.epsilon", config.bn.epsilon, "must be positive")
    _require(0 <= config.bn.momentum < 1, f"{section}.bn.momentum", config.bn.momentum, "must be in [0, 1)")


def _require(holds: bool, key: str, value: Any, rule: str) -> None:
    if not holds:
        raise DogganError(f"{key} = {list(value) if isinstance(value, tuple) else value} {rule}")
