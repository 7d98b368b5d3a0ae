"""Batch norm's moving statistics, re-estimated: those of a whole sample in place of a decaying average.

Training normalises by the statistics of each batch, inference by their moving average, which lags behind the weights
and fits an average of the generator (`doggan.training.average`) only roughly. "Standing statistics" are computed for
the weights at hand. Reference: Brock, Donahue, Simonyan: Large Scale GAN Training for High Fidelity Natural Image
Synthesis, ICLR 2019, arXiv:1809.11096, appendix C.1. There the passes normalise by their own batches; here each layer
is fed what inference will feed it.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.sampling import BATCH_SIZE, draw_z, filled, is_conditional, latent_dim

STREAM = 2**64  # added to the seed, so that no seed that a user gives draws the same z for pictures


def batch_norms(generator: keras.Model) -> list[Any]:
    """The batch normalisation layers of a functional or sequential model, from its input to its output.

    Raises:
        DogganError: it has none.
    """
    layers = [
        layer for layer in generator.layers if hasattr(layer, "moving_mean") and hasattr(layer, "moving_variance")
    ]
    if not layers:
        raise DogganError(
            "The generator has no batch normalisation whose statistics could be re-estimated; give --bn-samples 0, "
            "which is sampling.bn_samples = 0 in a recipe."
        )
    return layers


def reestimate(
    generator: keras.Model,
    n: int,
    seed: int,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
    classes: NDArray[np.int32] | None = None,
) -> None:
    """Give each batch normalisation the mean and variance that its inputs have over `n` fresh z.

    Layer by layer from the input on, in inference (no dropout, the statistics of the layers before already the new
    ones), so that afterwards every layer's normalised inputs have mean 0 and variance var / (var + ε) over these z.
    The variance is the biased one, as in Keras' training. Beside the time of about one pass of the `n` z through the
    network per layer at most, it takes memory for two numbers per z and channel.

    Args:
        generator: z float32 [B, latent_dim], or z and classes → pictures; its statistics are assigned.
        n: z to draw, at least 1; the winners of the competition took 10,000.
        seed: non-negative; the z are those of `draw_z(n, latent_dim, seed + STREAM)`.
        batch_size: z per forward pass; it decides memory and speed, not the result.
        progress: show a bar.
        classes: int32 [n], where the generator is conditional.

    Raises:
        DogganError: the generator has no batch normalisation, or `n` or `batch_size` is below 1.
    """
    for name, value in (("number of z to re-estimate batch norm on", n), ("batch size", batch_size)):
        if value < 1:
            raise DogganError(f"The {name} must be at least 1, and is {value}.")
    from tqdm import tqdm

    layers = batch_norms(generator)
    z = draw_z(n, latent_dim(generator), seed + STREAM)
    with tqdm(total=n * len(layers), desc="batch norm statistics", unit=" images", disable=not progress) as bar:
        for layer in layers:
            means, variances = [], []
            moments = _moments(generator, layer)
            for start in range(0, n, batch_size):
                rows = slice(start, start + batch_size)
                inputs = filled(batch_size, z[rows], None if classes is None else classes[rows])
                done = len(z[rows])
                mean, variance = (np.asarray(moment)[:done] for moment in moments.predict_on_batch(inputs))
                means.append(mean)
                variances.append(variance)
                bar.update(done)
            mean, variance = pooled(np.concatenate(means), np.concatenate(variances))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)


def pooled(
    means: NDArray[np.floating], variances: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and biased variance [C] of the union of groups of one size, from those of each group, [groups, C].

    The variance is the mean of those within the groups plus that of the groups' means (Chan, Golub, LeVeque: Updating
    Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979), in float64.
    """
    means, variances = means.astype(np.float64), variances.astype(np.float64)
    return means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)


def _moments(generator: keras.Model, layer: Any) -> keras.Model:
    """The generator's inputs → mean and variance of the layer's input over each picture, float32 [B, C] both."""
    x = layer.input[0] if isinstance(layer.input, list | tuple) else layer.input  # a conditional one has classes too
    channel = layer.axis % len(x.shape) + 1
    x = ops.expand_dims(ops.cast(x, "float32"), 1)  # so that there is something to reduce in [B, C] too
    places = tuple(axis for axis in range(1, len(x.shape)) if axis != channel)
    inputs = generator.inputs if is_conditional(generator) else generator.inputs[0]
    return keras.Model(inputs, [ops.mean(x, places), ops.var(x, places)])
