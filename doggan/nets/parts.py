"""What the networks are put together from: seeds, what follows a layer, the latent input, and checks of settings."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from doggan.config import Discriminator, Generator, Init
from doggan.errors import DogganError
from doggan.layers import BatchNormalization, ConditionalBatchNormalization, Dropout, SelfAttention

GENERATOR, DISCRIMINATOR = 0, 1  # so that one seed gives two unrelated networks

PLAIN = frozenset(
    {"network", "condition", "embedding_dim", "widths", "spectral_norm", "batch_norm", "dropout", "slope", "bn", "init"}
)
"""The settings that networks with a fixed plan read, a generator `latent_dim` and `z_distribution` beside them."""


class Seeds:
    """Unrelated seeds in a fixed order, one for each thing in a network that is drawn."""

    def __init__(self, seed: int, network: int) -> None:
        self.rng = np.random.default_rng((seed % 2**32, network))

    def next(self) -> int:
        """The next one, in [0, 2³¹ − 1)."""
        return int(self.rng.integers(2**31 - 1))


def initial(init: Init, seeds: Seeds) -> keras.initializers.Initializer:
    """The initializer of one kernel."""
    if init.kind == "orthogonal":
        return keras.initializers.Orthogonal(seed=seeds.next())
    return keras.initializers.TruncatedNormal(init.mean, init.std, seed=seeds.next())


def latent_input(config: Generator) -> tuple[Any, Any]:
    """The input z [B, latent_dim] and what the layers see of it.

    z is standard normal in the whole package, whatever `config.z_distribution`: one that is uniform in [0, 1] is made
    of it by its distribution function. So paths between z, and their truncation, mean the same for every network.
    """
    z = keras.Input((config.latent_dim,), name="z")
    # In float32: half precision has a few hundred values in [0, 1], and its largest are 1.
    return z, UniformZ(dtype="float32", name="uniform_z")(z) if config.z_distribution == "uniform" else z


@keras.saving.register_keras_serializable(package="doggan")
class UniformZ(layers.Layer):
    """Φ(z): standard normal z [B, latent_dim] → values uniform in [0, 1], Φ being the normal distribution function."""

    def call(self, z: Any) -> Any:
        return (1.0 + ops.erf(z / math.sqrt(2.0))) / 2.0

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape


def after_layer(x: Any, i: int, config: Generator | Discriminator, seeds: Seeds, classes: Any, n_classes: int) -> Any:
    """Batch normalisation, activation and dropout, where the settings of layer `i` (from 0) ask for them.

    Args:
        x: what the layer gave.
        i, config, seeds: of the network.
        classes, n_classes: int32 [B] and their number, for conditional batch normalisation.
    """
    if config.batch_norm[i]:
        x = normalised(x, config, f"bn_{i + 1}", classes, n_classes)
    x = activated(x, config, i + 1)
    if config.dropout[i] > 0:
        x = Dropout(config.dropout[i], seed=seeds.next(), name=f"dropout_{i + 1}")(x)
    return x


def normalised(x: Any, config: Generator | Discriminator, name: str, classes: Any, n_classes: int) -> Any:
    """Batch normalisation: conditional where `config.condition` says so."""
    bn = config.bn
    if config.condition == "batch_norm":
        return ConditionalBatchNormalization(n_classes, epsilon=bn.epsilon, momentum=bn.momentum, name=name)(
            (x, classes)
        )
    return BatchNormalization(epsilon=bn.epsilon, momentum=bn.momentum, name=name)(x)


def activated(x: Any, config: Generator | Discriminator, number: int | str) -> Any:
    """ReLU, or LeakyReLU where there is a `slope`."""
    if config.slope == 0:
        return layers.ReLU(name=f"relu_{number}")(x)
    return layers.LeakyReLU(config.slope, name=f"leaky_relu_{number}")(x)


def attended(x: Any, number: int, config: Generator | Discriminator, seeds: Seeds) -> Any:
    """Self-attention where the settings ask for it after this convolution or block, counted from 1."""
    if number not in config.attention:
        return x
    return SelfAttention(
        config.attention_kind,
        spectral_norm=config.spectral_norm,
        kernel_initializer=initial(config.init, seeds),
        name=f"attention_{number}",
    )(x)


def check_common(config: Generator | Discriminator, section: str, used: frozenset[str]) -> None:
    """Refuse what no network can use: per-layer settings of unequal length, values out of range, unused settings.

    Args:
        config, section: the settings, and what they are called: "generator" or "discriminator".
        used: names of the settings that the network reads; another may only have its default.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    n = len(config.widths)
    require(n >= 1, f"{section}.widths", config.widths, "must name at least one layer")
    for key in ("strides", "batch_norm", "dropout"):
        values = getattr(config, key)
        if key in used and len(values) != n:
            raise DogganError(
                f"{section}.{key} has {len(values)} entries but {section}.widths has {n}; give one for each layer"
            )
    for key in ("widths", "strides"):
        values = getattr(config, key)
        require(all(v >= 1 for v in values), f"{section}.{key}", values, "must all be at least 1")
    require(
        all(0 <= rate < 1 for rate in config.dropout),
        f"{section}.dropout",
        config.dropout,
        "must all be at least 0 and below 1",
    )
    require(config.kernel >= 1, f"{section}.kernel", config.kernel, "must be at least 1")
    require(config.slope >= 0, f"{section}.slope", config.slope, "must not be negative")
    require(config.init.std > 0, f"{section}.init.std", config.init.std, "must be positive")
    if config.init.kind == "orthogonal" and config.init != Init(kind="orthogonal"):
        raise DogganError(f"{section}.init.mean and std are of init.kind = truncated_normal; leave them out.")
    require(config.bn.epsilon > 0, f"{section}.bn.epsilon", config.bn.epsilon, "must be positive")
    require(0 <= config.bn.momentum < 1, f"{section}.bn.momentum", config.bn.momentum, "must be in [0, 1)")
    for field in dataclasses.fields(config):
        value, default = getattr(config, field.name), getattr(type(config)(), field.name)
        if field.name not in used and value != default:
            raise DogganError(
                f"{section}.{field.name} = {value!r} is not a setting that {section}.network = {config.network!r} "
                "reads; leave it out."
            )


def side_of(config: Generator) -> int:
    """Side in pixels of what a generator makes: the base map's, times every stride."""
    return config.base_size * math.prod(config.strides)


def check_picture(side: int, image_shape: tuple[int, int, int]) -> None:
    """Refuse pictures [H, W, C] that a generator does not make.

    Raises:
        DogganError: they are not squares of this side.
    """
    if image_shape[:2] != (side, side):
        raise DogganError(f"These settings make pictures of {side} px, not {image_shape[:2]}.")


def check_doubling(config: Generator | Discriminator, section: str) -> None:
    """Refuse strides that residual blocks do not have, which double or halve a side, or leave it.

    Raises:
        DogganError: one is neither 1 nor 2.
    """
    require(all(stride in (1, 2) for stride in config.strides), f"{section}.strides", config.strides, "must be 1 or 2")


def check_halving(config: Discriminator, image_shape: tuple[int, int, int]) -> None:
    """The same for a discriminator, whose pictures [H, W, C] every stride of 2 must halve.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    check_doubling(config, "discriminator")
    reduction = math.prod(config.strides)
    if any(side % reduction for side in image_shape[:2]):
        raise DogganError(
            f"discriminator.strides = {list(config.strides)} halve a picture to 1/{reduction} of its side, which "
            f"{image_shape[0]}×{image_shape[1]} pixels cannot be divided into; use fewer strides of 2."
        )


def check_attention(config: Generator | Discriminator, section: str, sides: list[int]) -> None:
    """Refuse self-attention where there is no such layer, or its map does not fit.

    Args:
        config, section: as for `check_common`.
        sides: of the map that each layer gives, in pixels.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    n, where = len(config.widths), config.attention
    if not where and config.attention_kind != type(config)().attention_kind:
        raise DogganError(
            f"{section}.attention_kind = {config.attention_kind} is of {section}.attention, which is empty; name the "
            "layers it comes after."
        )
    if sorted(set(where)) != list(where) or not all(1 <= number <= n for number in where):
        raise DogganError(f"{section}.attention = {list(where)} must name some of the layers 1 to {n}, in order.")
    for number in where:
        width, side = config.widths[number - 1], sides[number - 1]
        if width % 8:
            raise DogganError(
                f"{section}.attention = {list(where)}: layer {number} has {width} channels, and self-attention needs "
                "a multiple of 8."
            )
        if config.attention_kind == "released" and side % 2:
            raise DogganError(
                f"{section}.attention = {list(where)}: the map after layer {number} is {side} px wide and cannot be "
                "pooled by two; use attention_kind=source."
            )


def require(holds: bool, key: str, value: Any, rule: str) -> None:
    """Refuse a value.

    Raises:
        DogganError: it does not hold.
    """
    if not holds:
        raise DogganError(f"{key} = {list(value) if isinstance(value, tuple) else value} {rule}")
