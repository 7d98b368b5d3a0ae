"""What a discriminator says of pictures, and the activations of its convolutions: as maps and as features."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.errors import DogganError
from doggan.sampling import is_conditional

SIDE = 4  # of the grid that maps are pooled to

_ACTIVATIONS = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Activation)
_BETWEEN = (*_ACTIVATIONS, layers.BatchNormalization, layers.LayerNormalization, layers.Dropout)
_BATCH_SIZE = 100


def conv_activations(network: keras.Model) -> dict[str, Any]:
    """What each convolution of a network gives after its activation function, in order, by the convolution's name.

    What follows a convolution is looked at as long as it is normalisation, activation or dropout and nothing else
    follows too; where there is no activation, it is the convolution's own output (which may have one inside).

    Returns:
        Symbolic outputs [B, H, W, C], from which models can be made.
    """
    return {layer.name: _activated(layer, network) for layer in network.layers if isinstance(layer, layers.Conv2D)}


def _activated(layer: Any, network: keras.Model) -> Any:
    own = {id(each) for each in network.layers}
    found, here = layer.output, layer
    while True:
        after = [node.operation for node in here._outbound_nodes if id(node.operation) in own]
        if len(after) != 1 or not isinstance(after[0], _BETWEEN):
            return found
        here = after[0]
        if isinstance(here, _ACTIVATIONS):
            found = here.output


def scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures as networks see them: 0 … 255 → float32 in [-1, 1]."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def predicted(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.int32] | None = None,
    *,
    batch_size: int = _BATCH_SIZE,
    label: str = "",
    progress: bool = False,
) -> NDArray[np.float32]:
    """What a model says of pictures, in inference mode.

    Args:
        model: pictures in [-1, 1] [B, H, W, C], and classes [B] where `labels` are given → rows [B, ...].
        images: uint8 [N, H, W, C], N > 0.
        labels: int32 [N], or None.
        batch_size: pictures at a time.
        label, progress: of a bar, and whether to show one.

    Returns:
        [N, ...].
    """
    parts = []
    for start in tqdm(range(0, len(images), batch_size), desc=label, disable=not progress):
        rows = slice(start, start + batch_size)
        batch = scaled(images[rows])
        # Filled up by repetition and cut afterwards: so there is one shape to compile for.
        given: Any = np.resize(batch, (batch_size, *batch.shape[1:]))
        if labels is not None:
            given = [given, np.resize(labels[rows], batch_size)]
        parts.append(model.predict_on_batch(given)[: len(batch)])
    return np.concatenate(parts)


def feature_model(discriminator: keras.Model) -> keras.Model:
    """From what a discriminator takes to features float32 [B, D] of length 1.

    As in section 5.1 of the DCGAN paper: the activations of all convolutions, each map max-pooled to a grid of 4×4
    (windows differ by a pixel where its side is no multiple of 4; a smaller map stays), flattened, joined, and divided
    by their length.

    Raises:
        DogganError: there is no convolution in it.
    """
    maps = conv_activations(discriminator)
    if not maps:
        raise DogganError("This discriminator has no convolutions, whose activations would be its features.")
    parts = [layers.Flatten()(_pooled(ops.cast(each, "float32"))) for each in maps.values()]
    joined = ops.concatenate(parts, axis=-1)
    model = keras.Model(discriminator.inputs, ops.normalize(joined, axis=-1, order=2))
    # XLA is several times slower than TensorFlow's own convolutions on a CPU; JAX has nothing else.
    model.compile(jit_compile=keras.backend.backend() == "jax")
    return model


def discriminator_features(
    discriminator: keras.Model, images: NDArray[np.uint8], batch_size: int = _BATCH_SIZE
) -> NDArray[np.float32]:
    """The features of `feature_model`, in inference mode.

    A conditional discriminator is told class 0 of every picture: told each picture's own, its features would give away
    what they are to be judged by.

    Args:
        discriminator: of pictures in [-1, 1] [B, H, W, C].
        images: uint8 [N, H, W, C], N > 0.
        batch_size: pictures at a time.

    Returns:
        float32 [N, D].

    Raises:
        DogganError: see `feature_model`.
    """
    labels = np.zeros(len(images), np.int32) if is_conditional(discriminator) else None
    return predicted(feature_model(discriminator), images, labels, batch_size=batch_size)


def _pooled(maps: Any) -> Any:
    """[B, H, W, C] → [B, min(H, 4), min(W, 4), C], the largest of each window."""
    for axis in (1, 2):
        side = maps.shape[axis]
        if side > SIDE:
            windows = []
            for i in range(SIDE):
                rows = slice(i * side // SIDE, -(-(i + 1) * side // SIDE))
                part = maps[:, rows] if axis == 1 else maps[:, :, rows]
                windows.append(ops.max(part, axis=axis))
            maps = ops.stack(windows, axis=axis)
    return maps
