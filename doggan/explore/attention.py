"""What the self-attention of a run's networks attends to in its samples.

Reference: Zhang, Goodfellow, Metaxas, Odena: Self-Attention Generative Adversarial Networks, ICML 2019,
https://arxiv.org/abs/1805.08318; the figure is its figure 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.explore.activations import scaled
from doggan.layers import SelfAttention
from doggan.plots.attention import attention_figure
from doggan.recipes import load_recipe, recipe_names
from doggan.runs import Run, load_generator
from doggan.runs.build import build_discriminator
from doggan.sampling import draw_z, filled, latent_dim, quantise
from doggan.training.checkpoints import restore_discriminator

_BATCH_SIZE = 8  # 32 MB of maps where 32×32 positions attend to as many, and as much again for softmax


@dataclass(frozen=True)
class Attention:
    """What one layer of self-attention attends to in N pictures.

    Attributes:
        layer: the name of the layer; the networks of the package have "attention_3" after convolution 3.
        gamma: its γ, the factor of what it adds to its input; zero where training has not moved it.
        pictures: uint8 [N, S, S, C].
        maps: float32 [N, H, W, h, w]. `[n, i, j]` is a picture of what position (i, j) attends to in picture n: weights
            that sum to one. h×w is H×W, or in layers of the kind "released" a quarter of it.
    """

    layer: str
    gamma: float
    pictures: NDArray[np.uint8]
    maps: NDArray[np.float32]


def attention_layers(network: keras.Model) -> list[SelfAttention]:
    """The layers of self-attention of a network, from its input to its output."""
    return [layer for layer in network.layers if isinstance(layer, SelfAttention)]


def generator_attention(
    generator: keras.Model,
    z: NDArray[np.float32],
    classes: NDArray[np.int32] | None = None,
    *,
    layers: list[SelfAttention] | None = None,
    batch_size: int = _BATCH_SIZE,
) -> list[Attention]:
    """What a generator attends to while it makes pictures of z, for each layer of self-attention.

    Everything is inference: moving statistics, no dropout. Layers are computed one after the other and pictures in
    batches, so that what it takes beside the result are the maps of one batch: for each picture 4 · H·W·h·w bytes, 4 MB
    where 32×32 positions attend to as many, and a few times that while softmax is computed.

    Args:
        generator: z [B, latent_dim], or z and classes [B] → pictures [B, S, S, C] in [-1, 1].
        z: float32 [N, latent_dim], N > 0.
        classes: int32 [N], where the generator is conditional.
        layers: some of its layers of self-attention; None for all of them.
        batch_size: pictures at a time; it decides memory and speed.

    Raises:
        DogganError: the generator returns NaN or infinity.
    """
    found = []
    for layer in attention_layers(generator) if layers is None else layers:
        images, maps = zip(*_maps(generator, layer, z, classes, batch_size), strict=True)
        found.append(Attention(layer.name, _gamma(layer), quantise(np.concatenate(images)), np.concatenate(maps)))
    return found


def discriminator_attention(
    discriminator: keras.Model,
    pictures: NDArray[np.uint8],
    classes: NDArray[np.int32] | None = None,
    *,
    layers: list[SelfAttention] | None = None,
    batch_size: int = _BATCH_SIZE,
) -> list[Attention]:
    """What a discriminator attends to in pictures uint8 [N, S, S, C], N > 0, for each layer; see `generator_attention`.

    Batch normalisation takes the moving statistics, which mix those of real pictures and of fakes.
    """
    found = []
    for layer in attention_layers(discriminator) if layers is None else layers:
        maps = [maps for _, maps in _maps(discriminator, layer, scaled(pictures), classes, batch_size)]
        found.append(Attention(layer.name, _gamma(layer), pictures, np.concatenate(maps)))
    return found


def choose_queries(maps: NDArray[np.float32]) -> NDArray[np.intp]:
    """Positions whose maps show what a layer does in one picture: one for each quarter of the feature map.

    In each quarter it is the position whose map differs most from the mean of all maps, by the sum of the absolute
    differences. Positions that ask alike have maps near the mean, and a picture of them would show one thing four
    times. Only the middle half of a quarter, along both sides, is looked at: the rim of a feature map differs most from
    everything, by its zero padding, and neighbours would show the same thing twice.

    Args:
        maps: float32 [H, W, h, w], of one picture.

    Returns:
        (row, column) of each, [4, 2], in reading order; fewer where the feature map is 1 wide or high.
    """
    difference = np.abs(maps - maps.mean(axis=(0, 1))).sum(axis=(2, 3))  # [H, W]
    rows, columns = (_middles(side) for side in difference.shape)
    queries = []
    for low, high in rows:
        for left, right in columns:
            part = difference[low:high, left:right]
            row, column = np.unravel_index(part.argmax(), part.shape)
            queries.append((low + row, left + column))
    return np.array(queries, np.intp)


def _middles(side: int) -> list[tuple[int, int]]:
    """Where the middle half of each half of a side begins and ends."""
    halves = [(0, side // 2), (side // 2, side)] if side > 1 else [(0, side)]
    return [(low + (high - low) // 4, high - (high - low) // 4) for low, high in halves]


def draw_attention(
    run: Run,
    path: Path,
    *,
    n: int = 4,
    network: str = "generator",
    number: int | None = None,
    class_name: str | None = None,
    which: str = "best",
    raw: bool = False,
    seed: int = 0,
) -> str:
    """Draw samples of a run with what self-attention attends to at four positions of each; see `choose_queries`.

    Args:
        run, path: the run, and the PNG to write.
        n: samples, a row each.
        network: "generator", or "discriminator" for what that attends to in samples of the generator.
        number: of the convolution that the layer of self-attention comes after; None for the first that has one.
        class_name: of a conditional run: samples of this class; None for different ones.
        which, raw: checkpoint, and whether its generator's weights are those as trained; see `load_generator`.
        seed: decides z.

    Returns:
        What was drawn, in a line.

    Raises:
        DogganError: the network has no such layer, the run no such checkpoint, or its networks know no such class.
        OSError: the file cannot be written.
    """
    labels = run.find_classes([class_name] if class_name is not None else [])
    classes = None
    if run.classes is not None:
        classes = run.classes.spread(n) if class_name is None else np.full(n, labels[0], np.int32)
    generator, step, weights = load_generator(run, which, raw=raw)
    z = draw_z(n, latent_dim(generator), seed)
    if network == "generator":
        (attention,) = generator_attention(generator, z, classes, layers=[_layer(run, generator, network, number)])
    else:
        discriminator = build_discriminator(run.config, run.image_shape, run.classes)
        step = restore_discriminator(discriminator, run.checkpoints.find(which))
        layer = _layer(run, discriminator, network, number)
        pictures = quantise(generator.predict_on_batch(filled(n, z, classes)))
        (attention,) = discriminator_attention(discriminator, pictures, classes, layers=[layer])
    attention_figure(
        path,
        attention,
        np.stack([choose_queries(maps) for maps in attention.maps]),
        f"The {network}'s {attention.layer} at step {step:,} of {run.folder.resolve().name}",
        None if run.classes is None or classes is None else [run.classes.names[label] for label in classes],
    )
    return f"{attention.layer} of the {network} in {n} samples of step {step}, {weights}: {path}"


def _maps(
    network: keras.Model,
    layer: SelfAttention,
    first: NDArray[np.float32],
    classes: NDArray[np.int32] | None,
    batch_size: int,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A network's output and the maps of a layer, a batch at a time; `first` is the network's first input."""
    with_maps = keras.Model(network.inputs, [network.output, layer.attention_map(layer.input)])
    given = [first] if classes is None else [first, classes]
    batch_size = min(batch_size, len(first))
    for start in range(0, len(first), batch_size):
        batch = [each[start : start + batch_size] for each in given]
        # Filled up by repetition and cut afterwards: so there is one shape to compile for.
        output, maps = with_maps.predict_on_batch([np.resize(each, (batch_size, *each.shape[1:])) for each in batch])
        yield output[: len(batch[0])], maps[: len(batch[0])]


def _gamma(layer: SelfAttention) -> float:
    return float(ops.convert_to_numpy(layer.gamma))


def _layer(run: Run, network: keras.Model, name: str, number: int | None) -> SelfAttention:
    """The layer of self-attention of a run's network after convolution `number`, or the first one.

    Raises:
        DogganError: there is none.
    """
    layers = attention_layers(network)
    if not layers:
        recipes = ", ".join(recipe for recipe in recipe_names() if getattr(load_recipe(recipe), name).attention)
        raise DogganError(f"The {name} of {run.folder} has no self-attention; recipes that have it are {recipes}.")
    for layer in layers:
        if number is None or layer.name == f"attention_{number}":
            return layer
    numbers = " and ".join(layer.name.removeprefix("attention_") for layer in layers)
    raise DogganError(
        f"The {name} of {run.folder} has no self-attention after convolution {number}; it has it after {numbers}."
    )
