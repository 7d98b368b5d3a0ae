"""Residual networks after BigGAN: conditional, with self-attention, at a size for one GPU.

Generator: z → Dense → base map → residual blocks, each of which may double the side → BatchNorm, ReLU, convolution,
tanh. Discriminator: residual blocks, each of which may halve the side → ReLU → sum over the positions → Dense 1, to
which the projection adds the inner product with a vector of the class. The generator's convolutions have no biases but
the last one: what they would add the next normalisation takes off again.

How the generator's normalisations are told the class, `generator.condition`: "batch_norm", by a table for each; or
"shared", as BigGAN does it: one embedding of the class for the whole network, from which each normalisation's scale and
offset follow linearly. With `hierarchical_z` z is cut into equal parts; the first makes the base map, and another goes
beside the embedding to the normalisations of each block, so that every scale of the picture has randomness of its own.

References: Brock, Donahue, Simonyan: Large Scale GAN Training for High Fidelity Natural Image Synthesis, ICLR 2019,
https://arxiv.org/abs/1809.11096, appendix B; Miyato, Koyama: cGANs with Projection Discriminator, ICLR 2018,
https://arxiv.org/abs/1802.05637. As there, a shortcut is a 1×1 convolution where the width or the side changes. It and
resampling commute, so here it works on the smaller map.
"""

import itertools
import operator
from typing import Any

import keras
from keras import layers

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.layers import BatchNormalization, ConvSN2D, DenseSN, ModulatedBatchNormalization
from doggan.nets.conditioning import check_condition, class_input, projected
from doggan.nets.dcgan import SumOverPositions
from doggan.nets.parts import (
    DISCRIMINATOR,
    GENERATOR,
    Seeds,
    activated,
    attended,
    check_attention,
    check_common,
    check_doubling,
    check_halving,
    check_picture,
    initial,
    latent_input,
    normalised,
    require,
    side_of,
)

_COMMON = frozenset(
    {
        *("network", "condition", "widths", "strides", "kernel", "spectral_norm", "slope"),
        *("attention", "attention_kind", "init"),
    }
)
_GENERATOR = _COMMON | {
    *("latent_dim", "z_distribution", "embedding_dim", "hierarchical_z", "base_size", "base_depth", "bn"),
}


def image_size(config: Generator) -> int:
    """Side in pixels of the generator's pictures: the base map's, times every stride."""
    return side_of(config)


def generator(config: Generator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0) -> keras.Model:
    """z [B, latent_dim], and classes [B] where it is conditional → pictures [B, *image_shape], float32 in [-1, 1].

    A block of width C: norm, ReLU, nearest-neighbour upsampling, convolution, norm, ReLU, convolution, plus the
    shortcut. Self-attention comes after the blocks that `attention` counts. The last layer computes in float32 under
    every dtype policy. The same `seed` gives the same weights on the same backend.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_generator` says.
    """
    check_generator(config, n_classes)
    check_picture(image_size(config), image_shape)
    seeds = Seeds(seed, GENERATOR)
    build = _Builder(config, seeds)
    size, depth = config.base_size, config.base_depth

    z, x = latent_input(config)
    classes = class_input(config)
    parts = _parts(x, config)
    shared = _shared_embedding(classes, config, n_classes, seeds)
    x = build.dense(size * size * depth, "dense")(parts[0])
    x = layers.Reshape((size, size, depth), name="base_map")(x)  # [B, 4, 4, 512]
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True), 1):
        style = _beside(shared, parts[i] if config.hierarchical_z else None, i)
        h = _norm(x, f"block_{i}_bn_1", build, style, classes, n_classes)
        h = activated(h, config, f"{i}_1")
        if stride == 2:
            h = layers.UpSampling2D(name=f"block_{i}_up")(h)
        h = build.conv(width, config.kernel, f"block_{i}_conv_1", use_bias=False)(h)
        h = _norm(h, f"block_{i}_bn_2", build, style, classes, n_classes)
        h = activated(h, config, f"{i}_2")
        h = build.conv(width, config.kernel, f"block_{i}_conv_2", use_bias=False)(h)
        if stride == 2 or width != x.shape[-1]:
            x = build.conv(width, 1, f"block_{i}_shortcut", use_bias=False)(x)
            if stride == 2:
                x = layers.UpSampling2D(name=f"block_{i}_shortcut_up")(x)
        x = layers.Add(name=f"block_{i}")([x, h])  # [B, 8, 8, 512] → [B, 16, 16, 256] → … → [B, 64, 64, 64]
        x = attended(x, i, config, seeds)
    bn = config.bn
    x = BatchNormalization(epsilon=bn.epsilon, momentum=bn.momentum, name="bn_last")(x)
    x = activated(x, config, "last")
    image = build.conv(image_shape[-1], config.kernel, "image", activation="tanh", dtype="float32")(x)
    return keras.Model(z if classes is None else [z, classes], image, name="generator")


def discriminator(
    config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0, seed: int = 0
) -> keras.Model:
    """Pictures [B, *image_shape] in [-1, 1], and classes [B] where it is conditional → logits [B, 1], float32.

    A block of width C: ReLU (but in the first, which sees the picture), convolution, ReLU, convolution, average
    pooling, plus the shortcut. The higher the logit, the more real; the sigmoid, where there is one, belongs to the
    loss.

    Raises:
        DogganError: a setting contradicts another or the picture, as `check_discriminator` says.
    """
    check_discriminator(config, image_shape, n_classes)
    seeds = Seeds(seed, DISCRIMINATOR)
    build = _Builder(config, seeds)

    x = image = keras.Input(image_shape, name="image")
    classes = class_input(config)
    for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True), 1):
        h = x if i == 1 else activated(x, config, f"{i}_1")
        h = build.conv(width, config.kernel, f"block_{i}_conv_1")(h)
        h = activated(h, config, f"{i}_2")
        h = build.conv(width, config.kernel, f"block_{i}_conv_2")(h)
        if stride == 2:
            h = layers.AveragePooling2D(2, name=f"block_{i}_pool")(h)
        if stride == 2 or width != x.shape[-1]:
            if stride == 2:
                x = layers.AveragePooling2D(2, name=f"block_{i}_shortcut_pool")(x)
            x = build.conv(width, 1, f"block_{i}_shortcut")(x)
        x = layers.Add(name=f"block_{i}")([x, h])  # [B, 32, 32, 64] → [B, 16, 16, 128] → … → [B, 4, 4, 512]
        x = attended(x, i, config, seeds)
    x = activated(x, config, "last")
    x = SumOverPositions(dtype="float32", name="sum")(x)  # [B, 512]
    logit = build.dense(1, "logit", dtype="float32")(x)
    logit = projected(logit, x, classes, config, n_classes, seeds)
    return keras.Model(image if classes is None else [image, classes], logit, name="discriminator")


class _Builder:
    """Makes the layers of a network with its spectral norm and its initialiser."""

    def __init__(self, config: Generator | Discriminator, seeds: Seeds) -> None:
        self.config, self.seeds = config, seeds
        self._dense: type[keras.layers.Layer] = DenseSN if config.spectral_norm else layers.Dense
        self._conv: type[keras.layers.Layer] = ConvSN2D if config.spectral_norm else layers.Conv2D

    def dense(self, units: int, name: str, **kwargs: Any) -> keras.layers.Layer:
        return self._dense(units, kernel_initializer=initial(self.config.init, self.seeds), name=name, **kwargs)

    def conv(self, width: int, kernel: int, name: str, **kwargs: Any) -> keras.layers.Layer:
        return self._conv(
            width,
            kernel,
            padding="same",
            kernel_initializer=initial(self.config.init, self.seeds),
            name=name,
            **kwargs,
        )


def _parts(z: Any, config: Generator) -> list[Any]:
    """z itself, or its equal parts [B, latent_dim / (blocks + 1)], the first for the base map."""
    if not config.hierarchical_z:
        return [z]
    n = len(config.widths) + 1
    size = config.latent_dim // n
    return [ZPart(i * size, size, name=f"z_{i}")(z) for i in range(n)]


def _shared_embedding(classes: Any, config: Generator, n_classes: int, seeds: Seeds) -> Any:
    """[B, embedding_dim] where `condition` is "shared", else None."""
    if config.condition != "shared":
        return None
    return layers.Embedding(
        n_classes,
        config.embedding_dim,
        embeddings_initializer=initial(config.init, seeds),
        name="class_embedding",
    )(classes)


def _beside(shared: Any, part: Any, number: int) -> Any:
    """What the normalisations of a block follow: the embedding, a part of z, both, or nothing."""
    given = [x for x in (shared, part) if x is not None]
    if len(given) == 2:
        return layers.Concatenate(name=f"block_{number}_style")(given)
    return given[0] if given else None


def _norm(x: Any, name: str, build: _Builder, style: Any, classes: Any, n_classes: int) -> Any:
    """Batch normalisation by what the block is told."""
    config = build.config
    if style is None:
        return normalised(x, config, name, classes, n_classes)
    scale = build.dense(x.shape[-1], f"{name}_scale", use_bias=False)(style)
    offset = build.dense(x.shape[-1], f"{name}_offset", use_bias=False)(style)
    bn = config.bn
    return ModulatedBatchNormalization(epsilon=bn.epsilon, momentum=bn.momentum, name=name)((x, scale, offset))


@keras.saving.register_keras_serializable(package="doggan")
class ZPart(layers.Layer):
    """z [B, latent_dim] → its entries from `start` on, [B, size]."""

    def __init__(self, start: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start, self.size = start, size

    def call(self, z: Any) -> Any:
        return z[:, self.start : self.start + self.size]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape[0], self.size

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "size": self.size}


def check_generator(config: Generator, n_classes: int = 0) -> None:
    """Refuse settings that contradict each other, or that this network does not read.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    for key in ("latent_dim", "base_size", "base_depth"):
        require(getattr(config, key) >= 1, f"generator.{key}", getattr(config, key), "must be at least 1")
    check_common(config, "generator", _GENERATOR)
    check_condition(config, "generator", n_classes, ("none", "batch_norm", "shared"))
    check_doubling(config, "generator")
    sides = itertools.accumulate(config.strides, operator.mul, initial=config.base_size)
    check_attention(config, "generator", list(sides)[1:])
    if not config.hierarchical_z:
        return
    n = len(config.widths) + 1
    if config.latent_dim % n:
        fits = n * (config.latent_dim // n + 1)
        raise DogganError(
            f"generator.hierarchical_z cuts z into {n} equal parts, for the base map and each block, and "
            f"generator.latent_dim = {config.latent_dim} is no multiple of {n}; give one, such as {fits}."
        )
    if config.condition == "batch_norm":
        raise DogganError("generator.hierarchical_z goes with generator.condition = shared or none; set one of them.")


def check_discriminator(config: Discriminator, image_shape: tuple[int, int, int], n_classes: int = 0) -> None:
    """The same for a discriminator and its pictures [H, W, C], which every stride of 2 must halve.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_common(config, "discriminator", _COMMON)
    check_condition(config, "discriminator", n_classes, ("none", "projection"))
    check_halving(config, image_shape)
    sides = itertools.accumulate(config.strides, operator.floordiv, initial=image_shape[0])
    check_attention(config, "discriminator", list(sides)[1:])
