"""The feature part of TensorFlow's Inception graph of 2015-12-05, layer by layer, in Keras."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

Array = NDArray[np.float32]

SIDE = 299
DIMENSIONS = 2048


def inception_network(convolutions: Mapping[str, tuple[Array, Array]], dtype: str = "float32") -> Any:
    """The feature part as a `keras.Model`.

    Args:
        convolutions: scope in the graph → kernel float32 [height, width, in, out] and bias float32 [out], with the
            batch norm that follows folded in. A layer has the name of its scope, with underscores for slashes.
        dtype: what is computed in, whatever policy the training set: "float32" or "bfloat16".

    Returns:
        The model from images [N, 299, 299, 3] in [-1, 1], of `dtype`, to `pool_3`, float32 [N, 2048].
    """

    def conv(x: Any, scope: str, strides: int = 1, padding: str = "same") -> Any:
        kernel, bias = convolutions[scope]
        layer = layers.Conv2D(
            kernel.shape[3],
            kernel.shape[:2],
            strides=strides,
            padding=padding,
            activation="relu",
            kernel_initializer="zeros",  # random ones would be thrown away, and would advance the global seed
            dtype=dtype,
            name=scope.replace("/", "_"),
        )
        y = layer(x)
        layer.set_weights([kernel, bias])
        return y

    def chain(x: Any, scope: str, length: int) -> Any:
        for i in range(length):
            x = conv(x, f"{scope}/conv_{i}" if i else f"{scope}/conv")
        return x

    def shrink(x: Any) -> Any:
        return layers.MaxPooling2D(3, strides=2, padding="valid", dtype=dtype)(x)

    def average(x: Any) -> Any:
        return layers.AveragePooling2D(3, strides=1, padding="same", dtype=dtype)(x)  # counts no padding

    def maximum(x: Any) -> Any:
        return layers.MaxPooling2D(3, strides=1, padding="same", dtype=dtype)(x)

    def join(*branches: Any) -> Any:
        return layers.Concatenate(dtype=dtype)(branches)

    def fork(x: Any, scope: str) -> Any:
        return join(conv(x, f"{scope}/mixed/conv"), conv(x, f"{scope}/mixed/conv_1"))

    image = keras.Input((SIDE, SIDE, 3), dtype=dtype)
    x = conv(image, "conv", 2, "valid")  # 149×149×32
    x = conv(x, "conv_1", 1, "valid")
    x = shrink(conv(x, "conv_2"))  # 73×73×64
    x = conv(x, "conv_3", 1, "valid")
    x = shrink(conv(x, "conv_4", 1, "valid"))  # 35×35×192
    for block in ("mixed", "mixed_1", "mixed_2"):  # 35×35×256, 288, 288
        x = join(
            chain(x, block, 1),
            chain(x, f"{block}/tower", 2),
            chain(x, f"{block}/tower_1", 3),
            chain(average(x), f"{block}/tower_2", 1),
        )
    x = join(  # 17×17×768
        conv(x, "mixed_3/conv", 2, "valid"),
        conv(chain(x, "mixed_3/tower", 2), "mixed_3/tower/conv_2", 2, "valid"),
        shrink(x),
    )
    for block in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
        x = join(
            chain(x, block, 1),
            chain(x, f"{block}/tower", 3),
            chain(x, f"{block}/tower_1", 5),
            chain(average(x), f"{block}/tower_2", 1),
        )
    x = join(  # 8×8×1280
        conv(chain(x, "mixed_8/tower", 1), "mixed_8/tower/conv_1", 2, "valid"),
        conv(chain(x, "mixed_8/tower_1", 3), "mixed_8/tower_1/conv_3", 2, "valid"),
        shrink(x),
    )
    for block, pool in (("mixed_9", average), ("mixed_10", maximum)):  # 8×8×2048
        x = join(
            chain(x, block, 1),
            fork(chain(x, f"{block}/tower", 1), f"{block}/tower"),
            fork(chain(x, f"{block}/tower_1", 2), f"{block}/tower_1"),
            chain(pool(x), f"{block}/tower_2", 1),
        )
    return keras.Model(image, layers.GlobalAveragePooling2D(dtype="float32", name="pool_3")(x))
