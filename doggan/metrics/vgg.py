"""VGG-19 (Simonyan & Zisserman 2015), whose features are often taken for how alike two pictures look."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.metrics.batching import features_in_batches, filled, require_rgb
from doggan.metrics.keras_weights import published_weights
from doggan.metrics.memorization import PUBLIC_EPSILON
from doggan.metrics.pace import Pace
from doggan.metrics.precision import full_float32

WEIGHTS_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
WEIGHTS_MD5 = "253f8cb515780f3b799900260a226db6"  # keras.applications.vgg19 states it

_MEAN = (103.939, 116.779, 123.68)  # of ImageNet's B, G, R, taken off by the network's own preprocessing
_BATCH_SIZE = 32
_REMEDY = 'fetch it where there is a network by `python -c "import keras; keras.applications.VGG19(include_top=False)"`'


class VGG19:
    """The network with its weights, an `Extractor`; `load_vgg19` makes one.

    Args:
        network: a Keras model from float32 [N, H, W, 3], BGR without the mean, to maps [N, h, w, C], any H and W.
        weights: what to call its weights in `identity`.

    Attributes:
        name, identity, prefix, epsilon, dimensions: see `doggan.metrics.extractors.Extractor`. The ε is Inception's:
            nobody has published one for these features.
    """

    name = "vgg19 block5_pool"
    prefix = "vgg19-"
    epsilon = PUBLIC_EPSILON

    def __init__(self, network: Any, weights: str) -> None:
        self.identity = f"{self.name} {weights} float32"
        self.dimensions = 4 * int(network.output_shape[-1])
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
        """The last maps, averaged over each quarter, so that they say what lies where.

        Pictures are enlarged to 64 pixels where they are smaller, bilinearly, and taken as they are else.

        Args:
            images: uint8 [N, H, W, 3], RGB, any size.
            batch_size, progress, pace: see `doggan.metrics.extractors.Extractor`.

        Returns:
            float32 [N, 2048], from 0 up.
        """
        require_rgb(images)
        size = _BATCH_SIZE if batch_size is None else batch_size
        model = self._model(images.shape[1], images.shape[2])
        with full_float32():
            return features_in_batches(
                lambda batch: model.predict_on_batch(filled(batch, size)),
                images,
                self.dimensions,
                batch_size=size,
                label="VGG-19 features",
                progress=progress,
                pace=pace,
            )

    def _model(self, height: int, width: int) -> Any:
        if (height, width) not in self._by_size:
            images = keras.Input((height, width, 3), dtype="uint8")
            x = ops.cast(images, "float32")
            if min(height, width) < 64:
                x = ops.image.resize(x, (max(height, 64), max(width, 64)), interpolation="bilinear")
            maps = self._network(x[..., ::-1] - np.array(_MEAN, np.float32))
            rows, columns = maps.shape[1] // 2, maps.shape[2] // 2
            halves = ((slice(None, rows), slice(rows, None)), (slice(None, columns), slice(columns, None)))
            quarters = [ops.mean(maps[:, y, x], axis=(1, 2)) for y in halves[0] for x in halves[1]]
            model = keras.Model(images, ops.concatenate(quarters, axis=-1))
            # XLA is several times slower than TensorFlow's own convolutions on a CPU; JAX has nothing else.
            model.compile(jit_compile=keras.backend.backend() == "jax")
            self._by_size[height, width] = model
        return self._by_size[height, width]


def load_vgg19(path: str | Path | None = None) -> VGG19:
    """The network with Keras' published ImageNet weights.

    Args:
        path: `vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5`; None looks for a file of that name, see
            `published_weights`.

    Raises:
        DogganError: nothing is found, or the file is not the published one.
    """
    file = published_weights(path, WEIGHTS_FILE, WEIGHTS_MD5, _REMEDY)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever policy the training set
    try:
        network = keras.applications.VGG19(include_top=False, weights=str(file))
    finally:
        keras.config.set_dtype_policy(policy)
    return VGG19(network, f"keras {WEIGHTS_MD5}")
