"""What the features of a discriminator's convolution respond to.

Real pictures that a feature responds to most, the pixels of them that speak for it (`doggan.explore.guided`), beside
those of an untrained network, and what the generator makes where it is asked for the feature.

Reference: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016, https://arxiv.org/abs/1511.06434, figure 5.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.data.batches import choose
from doggan.errors import DogganError
from doggan.explore.activations import conv_activations, predicted, scaled
from doggan.explore.gradients import input_gradient
from doggan.explore.guided import guided
from doggan.explore.subject import open_training
from doggan.plots.visualize import visualize_figure
from doggan.runs import Run, load_generator
from doggan.runs.build import build_discriminator
from doggan.sampling import draw_z, is_conditional, latent_dim, quantise
from doggan.training.checkpoints import restore_discriminator

_BATCH_SIZE = 100
_RATE = 0.1  # of a step along the sphere, in its radius

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Maximised:
    """Pictures of the generator that a feature each responds to more and more.

    Attributes:
        start, end: uint8 [K, H, W, C]: of a z drawn, and of the best on the way from it; of the z drawn for a feature,
            the one from which the way led highest.
        before, after: float32 [K], how much the feature responds to them.
    """

    start: NDArray[np.uint8]
    end: NDArray[np.uint8]
    before: Array
    after: Array


@dataclass(frozen=True)
class Visualized:
    """What K features of a convolution respond to; a feature is a channel, its response the largest of its map.

    Attributes:
        layer: name of the convolution.
        features: int64 [K].
        pictures: uint8 [K, T, H, W, C], the real pictures with the largest responses, largest first.
        responses: float32 [K, T].
        gradients: float32 [K, T, H, W, C], guided backpropagation of each response to its picture.
        untrained: the same of the network freshly initialised by the run's seed, at its own largest activations. Seeds
            give other weights on the other backend; on the one it was trained on, they are those it began with.
        maximised: by the generator.
    """

    layer: str
    features: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    responses: Array
    gradients: Array
    untrained: Array
    maximised: Maximised


def responses(
    discriminator: keras.Model,
    layer: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.int32] | None = None,
    *,
    batch_size: int = _BATCH_SIZE,
    progress: bool = False,
) -> Array:
    """The largest activation of each feature map of a convolution in each picture, in inference mode.

    Args:
        discriminator: of pictures in [-1, 1].
        layer: name of a convolution; see `conv_activations`.
        images: uint8 [N, H, W, C], N > 0.
        labels: int32 [N], where it is conditional.
        batch_size: pictures at a time.
        progress: show a bar.

    Returns:
        float32 [N, channels].
    """
    largest = ops.max(ops.cast(conv_activations(discriminator)[layer], "float32"), axis=(1, 2))
    model = keras.Model(discriminator.inputs, largest)
    # XLA is several times slower than TensorFlow's own convolutions on a CPU; JAX has nothing else.
    model.compile(jit_compile=keras.backend.backend() == "jax")
    return predicted(model, images, labels, batch_size=batch_size, label="looking at pictures", progress=progress)


def selective_features(found: Array, k: int, top: int) -> NDArray[np.int64]:
    """The `k` features whose `top` largest responses stand out most from all of theirs, in standard deviations.

    A feature that never responds does not stand out; of equal ones the first is taken.

    Args:
        found: float32 [N, channels], as `responses` gives them.
        k, top: how many; fewer where there are no more.

    Returns:
        int64 [k], the most selective first.
    """
    top = min(top, len(found))
    largest = np.sort(found, axis=0)[-top:].mean(axis=0)
    spread = found.std(axis=0)
    standing_out = np.where(spread > 0, (largest - found.mean(axis=0)) / np.where(spread > 0, spread, 1), -1)
    return np.argsort(-standing_out, kind="stable")[:k]


def guided_gradients(
    discriminator: keras.Model,
    layer: str,
    images: NDArray[np.uint8],
    features: NDArray[np.int64],
    labels: NDArray[np.int32] | None = None,
) -> Array:
    """Guided backpropagation of one feature's response in each picture, float32 of the shape of `images`.

    Args:
        discriminator, layer: see `responses`.
        images: uint8 [N, H, W, C].
        features: int64 [N], a feature for each.
        labels: int32 [N], where the discriminator is conditional.
    """
    network = guided(discriminator)
    of_feature = _response_of(keras.Model(network.inputs, conv_activations(network)[layer]))
    others = [] if labels is None else [labels]
    return input_gradient(of_feature)(scaled(images), features, *others)[1]


def maximise(
    generator: keras.Model,
    discriminator: keras.Model,
    layer: str,
    features: NDArray[np.int64],
    *,
    seed: int = 0,
    classes: NDArray[np.int32] | None = None,
    starts: int = 8,
    steps: int = 60,
) -> Maximised:
    """Move z so that features respond more and more to what the generator makes of it.

    Normal z of d dimensions lie near the sphere of radius √d, and the generator has seen no others. So z stays on it:
    each step goes a tenth of the radius along the gradient (less and less, to nothing at the last), and then back onto
    it. The best z on the way is taken, of all ways that begin for a feature: one alone often ends on a low hill.

    Args:
        generator, discriminator, layer: see `responses`.
        features: int64 [K].
        seed: decides where z begins; see `draw_z`.
        classes: int32 [K], that the networks are told, if any.
        starts: z for each feature, all of them in one batch. Those of fewer starts are among those of more.
        steps: of each.
    """
    maps = keras.Model(discriminator.inputs, conv_activations(discriminator)[layer])
    of_feature = _response_of(maps)
    g_told, d_told = is_conditional(generator), is_conditional(discriminator)
    k = len(features)
    every = np.tile(features, starts)  # row s·K + i is start s of feature i
    others = [] if classes is None else [np.tile(classes, starts)]

    def response(z: Any, features: Any, *classes: Any) -> Any:
        pictures = generator([z, *classes] if g_told else z, training=False)
        return of_feature(pictures, features, *(classes if d_told else ()))

    slope = input_gradient(response)
    radius = float(np.sqrt(latent_dim(generator)))
    first = z = _on_sphere(draw_z(len(every), latent_dim(generator), seed), radius)
    before, gradient = slope(z, every, *others)
    best, largest = z, before
    for i in range(steps):
        z = _on_sphere(z + _RATE * (1 - i / steps) * _on_sphere(gradient, radius), radius)
        found, gradient = slope(z, every, *others)
        better = found > largest
        best, largest = np.where(better[:, None], z, best), np.where(better, found, largest)
    chosen = largest.reshape(starts, k).argmax(axis=0) * k + np.arange(k)
    ends = first[chosen], best[chosen]
    made = [generator.predict_on_batch([rows, classes] if g_told else rows) for rows in ends]
    return Maximised(quantise(made[0]), quantise(made[1]), before[chosen], largest[chosen])


def draw_visualized(
    run: Run,
    path: Path,
    *,
    real: Path | None = None,
    number: int | None = None,
    k: int = 6,
    top: int = 6,
    n: int = 5000,
    which: str = "best",
    seed: int = 0,
    progress: bool = False,
) -> Visualized:
    """Find what the most selective features of one convolution of a run's discriminator respond to, and draw it.

    Args:
        run, path: the run, and the PNG to write.
        real: the `.npz` it was trained on; None for where it was then.
        number: of the convolution, from 1 on; None for the last.
        k, top: features, and pictures of each.
        n: training pictures that are looked at, at most, chosen by `seed`.
        which: checkpoint.
        seed: of z too.
        progress: show a bar.

    Raises:
        DogganError: there is no such convolution or checkpoint, or the pictures are others.
        OSError: the file cannot be written.
    """
    _, training = open_training(run.folder, real)
    if len(training) > n:
        training = training.select(choose(len(training), n, seed))
    untrained, discriminator = (build_discriminator(run.config, run.image_shape, run.classes) for _ in range(2))
    step = restore_discriminator(discriminator, run.checkpoints.find(which))
    generator, *_ = load_generator(run, which)
    layer = _layer(run, discriminator, number)
    told = is_conditional(discriminator)
    labels = training.labels if told else None
    found = responses(discriminator, layer, training.images, labels, progress=progress)
    features = selective_features(found, k, top)
    order = np.argsort(-found[:, features], axis=0, kind="stable")[:top].T  # [K, T]
    pictures = training.images[order]
    flat, each = pictures.reshape(-1, *pictures.shape[2:]), features.repeat(order.shape[1])
    told_labels = None if labels is None else labels[order.ravel()]
    gradients, others = (
        guided_gradients(network, layer, flat, each, told_labels).reshape(pictures.shape)
        for network in (discriminator, untrained)
    )
    # The class of the picture above all others, so that what the generator reaches compares with what that does.
    classes = None if run.classes is None or training.labels is None else training.labels[order[:, 0]]
    made = maximise(generator, discriminator, layer, features, seed=seed, classes=classes)
    result = Visualized(layer, features, pictures, found[order, features[:, None]], gradients, others, made)
    visualize_figure(path, result, f"{run.folder.resolve().name}, step {step:,}: what {layer} of D responds to")
    return result


def _response_of(maps: keras.Model) -> Any:
    """(x, features int [B], classes) → the largest activation of one feature in each, [B]."""

    def of_feature(x: Any, features: Any, *classes: Any) -> Any:
        y = ops.cast(maps([x, *classes] if classes else x, training=False), "float32")
        return ops.sum(ops.max(y, axis=(1, 2)) * ops.one_hot(features, y.shape[-1]), axis=-1)

    return of_feature


def _layer(run: Run, discriminator: keras.Model, number: int | None) -> str:
    names = list(conv_activations(discriminator))
    if not names:
        raise DogganError(
            f"The discriminator of {run.folder}, {run.config.discriminator.network!r}, has no convolutions to look "
            "into; choose a run whose discriminator has some, such as one of the network dcgan."
        )
    if number is not None and number > len(names):
        raise DogganError(
            f"The discriminator of {run.folder} has {len(names)} convolutions, so none is {number}; choose --layer "
            f"from 1 to {len(names)}."
        )
    return names[-1 if number is None else number - 1]


def _on_sphere(rows: Array, radius: float) -> Array:
    return rows * (radius / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)
