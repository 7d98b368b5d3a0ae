"""NASNet-A large, the network of the organisers' second stage (Bai et al. 2021, section 3).

A score on it is private-*style* only. The competition's private leaderboard compared with ImageNet's dogs and with
dogs that were never published, so nobody can compute its numbers again; what can be had is the same network on
the same pictures as the public score.
"""

import io
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.files import atomic_path
from doggan.metrics.batching import features_in_batches, filled, require_rgb
from doggan.metrics.inception import resize_tf1
from doggan.metrics.keras_weights import md5_of, published_weights
from doggan.metrics.pace import Pace
from doggan.metrics.precision import full_float32

PRIVATE_EPSILON = 0.25

WEIGHTS_FILE = "nasnet_large_no_top.h5"
WEIGHTS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet/NASNet-large-no-top.h5"
WEIGHTS_MD5 = "d81d89dc07e6e56530c4e77faddd61b5"  # keras.applications.nasnet states it

SIDE = 331
BATCH_SIZE = 16

_REMEDY = "get it with `doggan download nasnet`"


class NASNet:
    """The network with its weights, an `Extractor`; `load_nasnet` makes one.

    Args:
        network: a Keras model from float32 [N, S, S, 3] in [-1, 1] to features [N, D].
        weights: what to call its weights in `identity`.

    Attributes:
        name, identity, prefix, epsilon, dimensions: see `doggan.metrics.extractors.Extractor`.
    """

    name = "nasnet-a-large"
    prefix = "nasnet-"
    epsilon = PRIVATE_EPSILON

    def __init__(self, network: Any, weights: str) -> None:
        self.identity = f"{self.name} {weights} float32"
        self.dimensions = int(network.output_shape[-1])
        self._network = network
        self._by_size: dict[tuple[int, int], Any] = {}

    def features(
        self,
        images: NDArray[np.uint8],
        *,
        batch_size: int | None = None,
        progress: bool = False,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """The mean over the positions of the last activations.

        The pictures are prepared as the released scorer does it: TensorFlow 1's bilinear resize to 331×331 (no
        antialias, no half-pixel centres), divided by 255, minus ½, times 2.

        Args:
            images: uint8 [N, H, W, 3], RGB, any size.
            batch_size: images at a time, 16 by default. The last batch is filled up, so that one program serves
                all.
            progress: whether to draw a bar.
            pace: counts the images instead of a bar of our own, and may raise `TimeUp`.

        Returns:
            float32 [N, 4032].
        """
        require_rgb(images)
        size = BATCH_SIZE if batch_size is None else batch_size
        model = self._model(images.shape[1], images.shape[2])
        with full_float32():
            return features_in_batches(
                lambda batch: model.predict_on_batch(filled(batch, size)),
                images,
                self.dimensions,
                batch_size=size,
                label="NASNet features",
                progress=progress,
                pace=pace,
            )

    def _model(self, height: int, width: int) -> Any:
        if (height, width) not in self._by_size:
            images = keras.Input((height, width, 3), dtype="uint8")
            x = ops.cast(images, "float32")
            for axis in (2, 1):
                x = resize_tf1(x, axis=axis, size=self._network.input_shape[axis])
            model = keras.Model(images, self._network((x / 255.0 - 0.5) * 2.0))
            # XLA is several times slower than TensorFlow's own convolutions on a CPU; JAX has nothing else.
            model.compile(jit_compile=keras.backend.backend() == "jax")
            self._by_size[height, width] = model
        return self._by_size[height, width]


def load_nasnet(path: str | Path | None = None) -> NASNet:
    """The network with Keras' published ImageNet weights.

    Args:
        path: `nasnet_large_no_top.h5`; None looks for a file of that name beneath the folders where the Inception
            weights are looked for too, and in Keras' own cache.

    Raises:
        DogganError: nothing is found, or the file is not the published one.
    """
    file = published_weights(path, WEIGHTS_FILE, WEIGHTS_MD5, _REMEDY)
    return NASNet(_network(file), f"keras {WEIGHTS_MD5}")


def fetch_nasnet(dest: str | Path, *, progress: bool = True) -> Path:
    """Download the weights that Keras publishes (343 MB) into the folder `dest` and return the file.

    A file that is there already and whole is kept.

    Raises:
        DogganError: it cannot be fetched, or what came is not the published file.
        OSError: the folder cannot be written.
    """
    file = Path(dest) / WEIGHTS_FILE
    if file.is_file() and md5_of(file) == WEIGHTS_MD5:
        return file
    # The function that fetches has no switch for its bar.
    bar = nullcontext() if progress else redirect_stdout(io.StringIO())
    with atomic_path(file) as temporary, bar:
        try:
            keras.utils.get_file(
                temporary.name,
                WEIGHTS_URL,
                file_hash=WEIGHTS_MD5,
                hash_algorithm="md5",
                cache_dir=str(temporary.parent),
                cache_subdir="",
                force_download=True,
            )
        except Exception as error:  # get_file raises plain Exception for what the network refuses
            raise DogganError(f"{WEIGHTS_URL} cannot be fetched to {file}: {error}; try again later.") from error
    return file


def _network(weights: Path | None) -> Any:
    """NASNet-A (6 @ 4032) without its classifier; random weights for None."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever policy the training set
    try:
        return keras.applications.NASNetLarge(
            input_shape=(SIDE, SIDE, 3),
            include_top=False,
            pooling="avg",
            weights=None if weights is None else str(weights),
        )
    finally:
        keras.config.set_dtype_policy(policy)
