"""The autoencoder whose code is a hash of a picture: pictures of one hash are near-duplicates.

Reference: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016, section 4.1.1, https://arxiv.org/abs/1511.06434: "a 3072-128-3072 de-noising dropout regularized
RELU autoencoder on 32x32 downsampled center-crops of training examples", its code "binarized via thresholding the ReLU
activation". The paper gives neither epochs nor rates nor the optimiser; `Settings` are ours, chosen on crops of dogs.
Two things are added, since all of 128 bits must agree: each picture's mean is taken off (copies that are brighter
by one grey level were found in 45 to 60% of the cases without it, in 99% with it), and Gaussian noise before the
ReLU drives the code's units away from its threshold (Salakhutdinov, Hinton: Semantic Hashing, 2009).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.cache import Cache, cache_key
from doggan.data.imageset import hash_images

SIDE = 32
BITS = 128

_VERSION = "doggan collision autoencoder 1"
_AT_A_TIME = 2048  # pictures that are coded at once


@dataclass(frozen=True)
class Settings:
    """How the autoencoder is trained.

    Attributes:
        epochs: over the training pictures.
        dropout: share of the input's values that are zeroed, the noise that is to be removed; the others are scaled up.
        code_noise: standard deviation of Gaussian noise that is added before the ReLU of the code while training.
        batch_size: pictures a step; a smaller rest is left out of the epoch.
        learning_rate: of Adam.
        seed: decides weights, order and noise.
    """

    epochs: int = 20
    dropout: float = 0.2
    code_noise: float = 12.0
    batch_size: int = 128
    learning_rate: float = 1e-3
    seed: int = 0


def shrunk(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The centre squares of pictures, 32×32 by OpenCV's INTER_AREA.

    Args:
        images: uint8 [N, H, W, 1 or 3]; grey ones get three equal channels.

    Returns:
        uint8 [N, 3072].
    """
    n, height, width, channels = images.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    small = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for i, image in enumerate(images):
        square = np.ascontiguousarray(image[top : top + side, left : left + side])
        shape = (SIDE, SIDE, channels)
        small[i] = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(shape)
    return small.reshape(n, -1)


class Hasher:
    """A trained autoencoder.

    Args:
        network: [B, 3072], `_scaled` less `mean` → the code before its ReLU [B, 128].
        mean: float32 [3072], of the training pictures.
    """

    def __init__(self, network: keras.Model, mean: NDArray[np.float32]) -> None:
        self._network, self._mean = network, mean

    def codes(self, small: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Codes before the ReLU, float32 [N, 128], of pictures uint8 [N, 3072] that `shrunk` made."""
        codes = np.empty((len(small), BITS), np.float32)
        for start in range(0, len(small), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            # Filled up by zeros and cut afterwards: a picture's code must not depend on how many others there are.
            batch = np.zeros((_AT_A_TIME, small.shape[1]), np.float32)
            batch[: len(small[part])] = _scaled(small[part]) - self._mean
            codes[part] = np.asarray(self._network.predict_on_batch(batch))[: len(small[part])]
        return codes

    def bits(self, small: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which units of the code a picture activates, bool [N, 128]."""
        return self.codes(small) > 0


def train_hasher(
    small: NDArray[np.uint8], settings: Settings, cache: Cache | None = None, progress: bool = False
) -> Hasher:
    """Train the autoencoder, or take it from the cache.

    The state after each epoch is kept there, so an interrupted training goes on exactly where it was and a finished one
    is not repeated. On a CPU the same arguments give the same network.

    Args:
        small: uint8 [N, 3072], N > 0, made by `shrunk`.
        settings: see there.
        cache: where the state is kept; None for nowhere.
        progress: whether to draw a bar of epochs.
    """
    key = cache_key(_VERSION, settings, hash_images(small), keras.backend.backend(), keras.__version__)
    autoencoder, coder = _build(settings)
    mean = np.zeros(small.shape[1], np.float64)
    for start in range(0, len(small), _AT_A_TIME):
        mean += _scaled(small[start : start + _AT_A_TIME]).sum(axis=0, dtype=np.float64)
    centre = (mean / len(small)).astype(np.float32)
    state = None if cache is None else cache.get(key)
    done = 0 if state is None else _restore(autoencoder, state)
    for epoch in tqdm(
        range(done, settings.epochs),
        desc="autoencoder",
        unit="epoch",
        initial=done,
        total=settings.epochs,
        disable=not progress,
    ):
        _train_epoch(autoencoder, small, centre, settings, epoch)
        if cache is not None:
            cache.put(key, _state(autoencoder, epoch + 1))
    return Hasher(coder, centre)


def _scaled(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Values on a scale where white − black is 2, less each picture's mean: bits then do not follow its brightness."""
    scaled = small.astype(np.float32) / np.float32(127.5)
    return scaled - scaled.mean(axis=1, keepdims=True)


def _build(settings: Settings) -> tuple[keras.Model, keras.Model]:
    """The compiled autoencoder, and the part that gives the code before its ReLU."""
    values = 3 * SIDE * SIDE
    picture = keras.Input((values,))
    noise = keras.Input((BITS,))  # drawn by NumPy, so that it is a function of seed and epoch on any backend
    seeds = (settings.seed, settings.seed + 1)
    code = keras.layers.Dense(BITS, kernel_initializer=keras.initializers.HeNormal(seeds[0]), name="code")(picture)
    active = keras.ops.maximum(code + noise, 0.0)  # TensorFlow stumbles, with a page of messages, over ReLU here
    initializer = keras.initializers.GlorotUniform(seeds[1])
    output = keras.layers.Dense(values, kernel_initializer=initializer, name="picture")(active)
    autoencoder = keras.Model([picture, noise], output)
    autoencoder.compile(keras.optimizers.Adam(settings.learning_rate), "mse")
    autoencoder.optimizer.build(autoencoder.trainable_variables)
    return autoencoder, keras.Model(picture, code)


def _train_epoch(
    autoencoder: keras.Model, small: NDArray[np.uint8], mean: NDArray[np.float32], settings: Settings, epoch: int
) -> None:
    rng = np.random.default_rng((settings.seed, epoch))
    order = rng.permutation(len(small))
    size = min(settings.batch_size, len(small))
    for start in range(0, len(small) - size + 1, size):
        clean = _scaled(small[order[start : start + size]]) - mean
        keeps = rng.random(clean.shape, np.float32) >= settings.dropout
        noise = settings.code_noise * rng.standard_normal((size, BITS), np.float32)
        autoencoder.train_on_batch([clean * keeps / np.float32(1 - settings.dropout), noise], clean)


def _state(autoencoder: keras.Model, epochs: int) -> dict[str, NDArray[Any]]:
    variables = [*autoencoder.trainable_variables, *autoencoder.optimizer.variables]
    arrays = {f"v{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    return {"epochs": np.int64(epochs), **arrays}


def _restore(autoencoder: keras.Model, state: Mapping[str, NDArray[Any]]) -> int:
    """Set weights and optimiser; returns the epochs done."""
    variables = [*autoencoder.trainable_variables, *autoencoder.optimizer.variables]
    for i, variable in enumerate(variables):
        variable.assign(state[f"v{i}"])
    return int(state["epochs"])
