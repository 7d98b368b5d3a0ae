"""Residual networks without normalisation, after R3GAN, whose loss and penalties keep them stable in its place.

A residual block of width C, an inverted bottleneck: 1×1 convolution to `expansion`·C, LeakyReLU, 3×3 convolution in
groups of `group_width` channels, LeakyReLU, 1×1 convolution back to C, plus its input. Fix-up initialisation takes the
place of normalisation: the last convolution of a block begins at zero, so that the block begins as the identity, and
the standard deviation of the two others is He's, gain / √fan_in with gain = √(2 / (1 + slope²)), times L^(−1/4) for L
blocks in the network (Zhang, Dauphin, Ma 2019, arXiv:1901.09321, for blocks of three layers).

Generator: z → Dense → times a learned base map → `blocks` of them at each of `widths`, with bilinear upsampling before
those whose stride is 2 → 1×1 convolution, tanh. Discriminator: 1×1 convolution → the same, with average pooling after
those whose stride is 2 → a weighted sum over the positions, of each channel its own → Dense 1.

Reference: Huang, Gokaslan, Kuleshov, Tompkin: The GAN is dead; long live the GAN! A Modern GAN Baseline, NeurIPS 2024,
https://arxiv.org/abs/2501.05441. Ours differs in the tanh, for pictures are in [−1, 1] here; in plain bilinear
resampling; and in how the networks are told the class: by an embedding of standard deviation 1 beside z, where the
released code has 1 / √(number of classes), and by a projection beside the logit, where that has no other logit.
"""

import math
from dataclasses import replace
from typing import Any

import keras
from keras import layers, ops

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.layers import GroupedConv2D
from doggan.nets.conditioning import beside, check_condition, class_input, class_vector, projected
from doggan.nets.parts import (
    DISCRIMINATOR,
    GENERATOR,
    Seeds,
    check_common,
    check_doubling,
    check_halving,
    check_picture,
    latent_input,
    require,
    side_of,
)

_COMMON = frozenset({"network", "condition", "widths", "strides", "slope", "blocks", "group_width", "expansion"})


def image_size(config: Generator) -> int:
    """Side in pixels of the generator's pictures: the base map's, times every stride."""
    return side_of(config)


def generator(config: Generator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0) -> keras.Model:
    """z [B, latent_dim], and classes [B] where it is conditional → pictures [B, *image_shape], float32 in [-1, 1].

    The class is a vector beside z. The last layer computes in float32 under every dtype policy. The same `seed` gives
    the same weights on the same backend.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_generator` says.
    """
    check_generator(config, n_classes)
    check_picture(image_size(config), image_shape)
    seeds = Seeds(seed, GENERATOR)

    z, x = latent_input(config)
    classes = class_input(config)
    x = beside(x, class_vector(classes, config, n_classes, seeds))
    x = layers.Dense(config.widths[0], use_bias=False, kernel_initializer=he(1.0, seeds), name="dense")(x)
    x = BaseMap(config.base_size, seed=seeds.next(), name="base_map")(x)  # [B, 4, 4, 256]
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True), 1):
        x = _widened(x, width, seeds, f"stage_{i}_widen")
        if stride == 2:
            x = layers.UpSampling2D(interpolation="bilinear", name=f"stage_{i}_up")(x)
        x = _stage(x, i, config, seeds)  # [B, 4, 4, 256] → [B, 8, 8, 256] → … → [B, 64, 64, 64]
    image = layers.Conv2D(
        image_shape[-1],
        1,
        use_bias=False,
        activation="tanh",
        kernel_initializer=he(1.0, seeds),
        dtype="float32",
        name="image",
    )(x)
    return keras.Model(z if classes is None else [z, classes], image, name="generator")


def discriminator(
    config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0
) -> keras.Model:
    """Pictures [B, *image_shape] in [-1, 1], and classes [B] where it is conditional → logits [B, 1], float32.

    The higher the logit, the more real; the sigmoid belongs to the loss.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_discriminator` says.
    """
    check_discriminator(config, image_shape, n_classes)
    seeds = Seeds(seed, DISCRIMINATOR)

    x = image = keras.Input(image_shape, name="image")
    classes = class_input(config)
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True), 1):
        x = _widened(x, width, seeds, f"stage_{i}_widen")
        x = _stage(x, i, config, seeds)  # [B, 64, 64, 64] → [B, 32, 32, 128] → … → [B, 4, 4, 256]
        if stride == 2:
            x = layers.AveragePooling2D(2, name=f"stage_{i}_down")(x)
    x = WeightedSum(seed=seeds.next(), dtype="float32", name="sum")(x)  # [B, 256]
    logit = layers.Dense(1, use_bias=False, kernel_initializer=he(1.0, seeds), dtype="float32", name="logit")(x)
    logit = projected(logit, x, classes, replace(config, spectral_norm=False), n_classes, seeds)
    return keras.Model(image if classes is None else [image, classes], logit, name="discriminator")


def _widened(x: Any, width: int, seeds: Seeds, name: str) -> Any:
    """x, by a 1×1 convolution if it has another width."""
    if x.shape[-1] == width:
        return x
    return layers.Conv2D(width, 1, use_bias=False, kernel_initializer=he(1.0, seeds), name=name)(x)


def _stage(x: Any, number: int, config: Generator | Discriminator, seeds: Seeds) -> Any:
    """`blocks` residual blocks of the width of x."""
    width = x.shape[-1]
    inside = config.expansion * width
    depth = config.blocks * len(config.widths)
    gain = math.sqrt(2 / (1 + config.slope**2)) * depth**-0.25
    for block in range(1, config.blocks + 1):
        name = f"stage_{number}_block_{block}"
        h = layers.Conv2D(inside, 1, kernel_initializer=he(gain, seeds), name=f"{name}_expand")(x)
        h = layers.LeakyReLU(config.slope, name=f"{name}_leaky_relu_1")(h)
        h = GroupedConv2D(
            inside,
            3,
            padding="same",
            groups=inside // config.group_width,
            kernel_initializer=he(gain, seeds),
            name=f"{name}_grouped",
        )(h)
        h = layers.LeakyReLU(config.slope, name=f"{name}_leaky_relu_2")(h)
        h = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="zeros", name=f"{name}_contract")(h)
        x = layers.Add(name=name)([x, h])
    return x


def he(gain: float, seeds: Seeds) -> keras.initializers.Initializer:
    """Normal with standard deviation gain / √fan_in (He, Zhang, Ren, Sun 2015, arXiv:1502.01852)."""
    return keras.initializers.VarianceScaling(
        gain**2, mode="fan_in", distribution="untruncated_normal", seed=seeds.next()
    )


@keras.saving.register_keras_serializable(package="doggan")
class BaseMap(layers.Layer):
    """x [B, C] → [B, size, size, C]: at each position x times a learned vector, which begins as standard normal."""

    def __init__(self, size: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.seed = size, seed

    def build(self, shape: tuple[int | None, ...]) -> None:
        initializer = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.basis = self.add_weight(name="basis", shape=(self.size, self.size, shape[-1]), initializer=initializer)

    def call(self, x: Any) -> Any:
        return x[:, None, None, :] * self.basis

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape[0], self.size, self.size, shape[-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "seed": self.seed}


@keras.saving.register_keras_serializable(package="doggan")
class WeightedSum(layers.Layer):
    """x [B, H, W, C] → [B, C]: the sum over the positions, with a learned weight for each position and channel.

    A depthwise convolution with a kernel of H×W; the weights begin normal with standard deviation 1 / √(H·W).
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, shape: tuple[int | None, ...]) -> None:
        _, height, width, _ = shape
        initializer = keras.initializers.RandomNormal(stddev=(height * width) ** -0.5, seed=self.seed)  # type: ignore[operator]
        self.basis = self.add_weight(name="basis", shape=shape[1:], initializer=initializer)

    def call(self, x: Any) -> Any:
        return ops.sum(x * self.basis, axis=(1, 2))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape[0], shape[-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def check_generator(config: Generator, n_classes: int = 0) -> None:
    """Refuse settings that contradict each other, or that this network does not read.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    for key in ("latent_dim", "base_size"):
        require(getattr(config, key) >= 1, f"generator.{key}", getattr(config, key), "must be at least 1")
    check_common(config, "generator", _COMMON | {"latent_dim", "z_distribution", "embedding_dim", "base_size"})
    check_condition(config, "generator", n_classes, ("none", "embedding", "one_hot"))
    check_doubling(config, "generator")
    _check_blocks(config, "generator")


def check_discriminator(config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0) -> None:
    """The same for a discriminator and its pictures [H, W, C], which every stride of 2 must halve.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_common(config, "discriminator", _COMMON | {"init"})
    check_condition(config, "discriminator", n_classes, ("none", "projection"))
    check_halving(config, image_shape)
    _check_blocks(config, "discriminator")


def _check_blocks(config: Generator | Discriminator, section: str) -> None:
    for key in ("blocks", "group_width", "expansion"):
        require(getattr(config, key) >= 1, f"{section}.{key}", getattr(config, key), "must be at least 1")
    for width in config.widths:
        if width * config.expansion % config.group_width:
            raise DogganError(
                f"{section}.group_width = {config.group_width} does not divide the {width * config.expansion} channels "
                f"inside the blocks of width {width}; choose another, or other widths."
            )
