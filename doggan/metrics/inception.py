"""The Inception network of the Fréchet distance: TensorFlow's graph of 2015-12-05, up to `pool_3`.

It is not `keras.applications.InceptionV3`: that one has other weights, other pooling and another resize.
Built here layer by layer in Keras, it runs on TensorFlow and on JAX.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.metrics.inception_weights import ARCHIVE_FILE, GRAPH_FILE, NPZ_FILE, Weights, read_weights
from doggan.metrics.pace import Pace

DIMENSIONS = 2048
_SIDE = 299


class Inception:
    """The network with its weights; `load_inception` makes one.

    Args:
        weights: what `read_weights` returns.
        source: the file they came from, for messages.
    """

    name = "inception-2015-12-05 pool_3"

    def __init__(self, weights: Weights, source: Path) -> None:
        self.source = source
        self._network = _network(weights)
        self._by_size: dict[tuple[int, int], Any] = {}

    def features(
        self,
        images: NDArray[np.uint8],
        *,
        batch_size: int = 50,
        progress: bool = False,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """The activations of `pool_3`.

        Args:
            images: uint8 [N, H, W, 3], RGB, any size; the network's own resize takes them to 299×299.
            batch_size: images at a time. The last batch is filled up, so that one program serves all.
            progress: whether to draw a bar.
            pace: counts the images instead of a bar of our own, and may raise `TimeUp`.

        Returns:
            float32 [N, 2048].
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images must be uint8 [N, H, W, 3], not {images.dtype} {images.shape}")
        if pace is None:
            with Pace(len(images), "Inception features", progress=progress) as own:
                return self.features(images, batch_size=batch_size, pace=own)
        model = self._model(images.shape[1], images.shape[2])
        features = np.empty((len(images), DIMENSIONS), np.float32)
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            filled = np.concatenate([batch, np.repeat(batch[-1:], batch_size - len(batch), axis=0)])
            features[start : start + batch_size] = model.predict_on_batch(filled)[: len(batch)]
            pace.advance(len(batch))
        return features

    def _model(self, height: int, width: int) -> Any:
        if (height, width) not in self._by_size:
            images = keras.Input((height, width, 3), dtype="uint8")
            x = ops.cast(images, "float32")
            x = resize_tf1(resize_tf1(x, axis=2, size=_SIDE), axis=1, size=_SIDE)
            model = keras.Model(images, self._network((x - 128.0) / 128.0))
            # XLA is several times slower than TensorFlow's own convolutions on a CPU; JAX has nothing else.
            model.compile(jit_compile=keras.backend.backend() == "jax")
            self._by_size[height, width] = model
        return self._by_size[height, width]


def load_inception(path: str | Path | None = None) -> Inception:
    """The network with the weights of `path`, or of what `find_inception` finds in the default folders.

    Raises:
        DogganError: nothing is found, or the file does not hold this network.
    """
    if path is None:
        path = find_inception(*default_folders())
        if path is None:
            raise DogganError(
                "The Inception weights are nowhere to be found "
                f"(looked beneath {', '.join(map(str, default_folders()))}); "
                "get them with `doggan download inception` or give the path of the file."
            )
    path = Path(path)
    return Inception(read_weights(path), path)


def default_folders() -> tuple[Path, ...]:
    """Where the weights are looked for: the user's caches of this package and of kagglehub, and Kaggle's input."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kagglehub = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")
    return cache / "doggan", kagglehub, Path("/kaggle/input")


def find_inception(*folders: str | Path) -> Path | None:
    """The first file beneath `folders`, in their order, that has one of the names the weights go by, or None.

    Within a folder the `.npz` comes before the graph, which needs TensorFlow, and the graph before the
    archive.
    """
    for folder in folders:
        found = dict(_walk(Path(folder)))
        for name in (NPZ_FILE, GRAPH_FILE, ARCHIVE_FILE):
            if name in found:
                return found[name]
    return None


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        folders.sort(reverse=True)  # the caller keeps the last of a name: the first in order
        for name in {NPZ_FILE, GRAPH_FILE, ARCHIVE_FILE}.intersection(files):
            yield name, Path(parent) / name


def resize_tf1(x: Any, *, axis: int, size: int) -> Any:
    """Bilinear resize of one axis by TensorFlow 1's rule, which the graph carries inside.

    Output i reads source coordinate c = i · n / size (no half-pixel centres, no antialias): pixel ⌊c⌋ and the
    next one, clamped to the last, weighted by the fraction of c. All in float32, as TensorFlow computes it.

    Args:
        x: float32 [N, H, W, C] with a static length on `axis`.
        axis: 1 or 2. TensorFlow blends along the width first.
        size: the new length.
    """
    length = x.shape[axis]
    coordinate = np.arange(size, dtype=np.float32) * np.float32(length / size)
    lower = np.floor(coordinate).astype(np.int32)
    fraction = (coordinate - lower).reshape([size if i == axis else 1 for i in range(4)])
    first = ops.take(x, lower, axis=axis)
    second = ops.take(x, np.minimum(lower + 1, length - 1), axis=axis)
    return first + (second - first) * fraction


def _network(weights: Weights) -> Any:
    """299×299×3 in [-1, 1] → 2048. Names are those of the graph, with underscores for slashes."""

    def conv(x: Any, scope: str, strides: int = 1, padding: str = "same") -> Any:
        kernel, bias = weights[scope]
        layer = layers.Conv2D(
            kernel.shape[3],
            kernel.shape[:2],
            strides=strides,
            padding=padding,
            activation="relu",
            kernel_initializer="zeros",  # random ones would be thrown away, and would advance the global seed
            dtype="float32",  # whatever policy the training set
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
        return layers.MaxPooling2D(3, strides=2, padding="valid", dtype="float32")(x)

    def average(x: Any) -> Any:
        return layers.AveragePooling2D(3, strides=1, padding="same", dtype="float32")(x)  # counts no padding

    def maximum(x: Any) -> Any:
        return layers.MaxPooling2D(3, strides=1, padding="same", dtype="float32")(x)

    def join(*branches: Any) -> Any:
        return layers.Concatenate(dtype="float32")(branches)

    def fork(x: Any, scope: str) -> Any:
        return join(conv(x, f"{scope}/mixed/conv"), conv(x, f"{scope}/mixed/conv_1"))

    image = keras.Input((_SIDE, _SIDE, 3), dtype="float32")
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
