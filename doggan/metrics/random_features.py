"""Features of a fixed random convolutional net: a cheap stand-in for Inception in training and in the demo.

Random convolutions see colour, contrast, edges and their arrangement, but know no dogs, so a distance in
these features ranks coarse differences only. It is never called FID or KID alone.
"""

import hashlib
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from doggan.metrics.batching import Pictures, require_scale
from doggan.metrics.precision import full_float32

_SEED = 20151205
_KERNELS = ((5, 3, 32), (3, 32, 64), (3, 64, 96), (3, 96, 128))  # side, channels in and out
_STRIDE = 2
_GAIN = 6.0  # brings the mean square of the features of photographs to about one
_OFFSET = 1e-8  # keeps rounding from a root of a negative number
BATCH_SIZE = 128

MIN_SIDE, MAX_SIDE = 32, 128  # pixels
# Mean and deviation of the pixels and of the four layers, then the means of the third layer by quadrant.
DIMENSIONS = 2 * (3 + 32 + 64 + 96 + 128) + 4 * 96


def random_features(images: Pictures, batch_size: int = BATCH_SIZE) -> NDArray[np.float32]:
    """Features of each picture under four random convolutions with ReLU.

    The weights are He-normal draws of a fixed seed, the same on every machine, version and backend, with the
    mean taken out of each filter: the layers then see edges and texture, and brightness does not drown them.
    Of the pixels and of every layer the mean and the standard deviation over the positions are taken (colour,
    contrast, texture at four scales), and of the third layer the mean of each quadrant as well (what lies
    where). Each of these fourteen parts is divided by the root of its length, so that none dominates the
    inner product by being long.

    Args:
        images: uint8 [N, H, W, C], sides 32 to 128, C = 1 (grey, taken as three equal channels) or 3 (RGB); or float32
            from 0 to 255, pictures that were not rounded to eight bits.
        batch_size: images at a time.

    Returns:
        float32 [N, 1030], in the order of the layers.
    """
    if images.dtype not in (np.uint8, np.float32) or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must be uint8 or float32 [N, H, W, 1 or 3], not {images.dtype} {images.shape}")
    require_scale(images)
    if not MIN_SIDE <= min(images.shape[1:3]) <= max(images.shape[1:3]) <= MAX_SIDE:
        raise ValueError(f"the sides of the images must be {MIN_SIDE} to {MAX_SIDE}, not {images.shape[1:3]}")
    model = _model(*images.shape[1:], images.dtype.name)
    features = np.empty((len(images), DIMENSIONS), np.float32)
    with full_float32():
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            # Filled up, so that one compiled program serves every number of images.
            filled = np.concatenate([batch, np.zeros((batch_size - len(batch), *batch.shape[1:]), images.dtype)])
            features[start : start + batch_size] = model.predict_on_batch(filled)[: len(batch)]
    return features


def features_digest() -> str:
    """sha256 of the weights and constants that `random_features` are made with, for caches."""
    digest = hashlib.sha256(repr((_STRIDE, _GAIN, _OFFSET, DIMENSIONS)).encode())
    for kernel in _weights():
        digest.update(repr(kernel.shape).encode() + kernel.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _model(height: int, width: int, channels: int, dtype: str) -> Any:
    images = keras.Input((height, width, channels), dtype=dtype)
    x = ops.cast(images, "float32") / 127.5 - 1.0
    if channels == 1:
        x = ops.repeat(x, 3, axis=-1)
    parts = [ops.mean(x, axis=(1, 2)), _deviation(x)]
    for i, kernel in enumerate(_weights()):
        layer = layers.Conv2D(
            kernel.shape[3],
            kernel.shape[:2],
            strides=_STRIDE,
            padding="same",
            use_bias=False,
            activation="relu",
            kernel_initializer="zeros",  # random ones would be thrown away, and would advance the global seed
            dtype="float32",  # whatever policy the training set
        )
        x = layer(x)
        layer.set_weights([kernel])
        parts += [ops.mean(x, axis=(1, 2)), _deviation(x)]
        if i == 2:
            quadrants = _quadrants(x)
    parts += quadrants
    weight = _GAIN * (DIMENSIONS / len(parts)) ** 0.5
    features = ops.concatenate([part * (weight / part.shape[-1] ** 0.5) for part in parts], axis=-1)
    model = keras.Model(images, features)
    # XLA is several times slower than TensorFlow's own convolutions on a CPU; JAX has nothing else.
    model.compile(jit_compile=keras.backend.backend() == "jax")
    return model


def _weights() -> list[NDArray[np.float32]]:
    """The kernels HWIO: normal with variance 2 / fan-in (He et al. 2015), then made to sum to zero.

    In the first layer every colour's plane sums to zero, in the others every filter.
    """
    # The legacy generator, because its stream is frozen for good and `default_rng`'s is not.
    random = np.random.RandomState(_SEED)
    kernels = []
    for i, (side, channels, filters) in enumerate(_KERNELS):
        deviation = np.sqrt(2 / (side * side * channels))
        kernel = random.standard_normal((side, side, channels, filters)) * deviation
        kernel -= kernel.mean(axis=(0, 1) if i == 0 else (0, 1, 2), keepdims=True)
        kernels.append(kernel.astype(np.float32))
    return kernels


def _deviation(x: Any) -> Any:
    """Standard deviation over the positions."""
    return ops.sqrt(ops.var(x, axis=(1, 2)) + _OFFSET)


def _quadrants(x: Any) -> list[Any]:
    """Means of the four quarters of x [N, H, W, C]."""
    y, z = x.shape[1] // 2, x.shape[2] // 2
    quarters = (x[:, :y, :z], x[:, :y, z:], x[:, y:, :z], x[:, y:, z:])
    return [ops.mean(quarter, axis=(1, 2)) for quarter in quarters]
