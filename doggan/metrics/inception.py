"""The Inception network of the Fréchet distance: TensorFlow's graph of 2015-12-05, up to `pool_3` and its logits.

It is not `keras.applications.InceptionV3`: that one has other weights, other pooling and another resize.
Built layer by layer in Keras, it runs on TensorFlow and on JAX.
"""

import importlib.util
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.files import cache_folder
from doggan.metrics.batching import Pictures, features_in_batches, filled, require_rgb
from doggan.metrics.extractors import PRECISIONS
from doggan.metrics.inception_files import ARCHIVE_FILE, GRAPH_FILE, NPZ_FILE, REMEDY, TORCHSCRIPT_FILE
from doggan.metrics.inception_network import DIMENSIONS, SIDE, Array, inception_network
from doggan.metrics.inception_weights import WEIGHT_FILES, InceptionWeights, read_weights
from doggan.metrics.memorization import PUBLIC_EPSILON
from doggan.metrics.pace import Pace
from doggan.metrics.precision import full_float32

_BATCH_SIZE = 32


class Inception:
    """The network with its weights; `load_inception` makes one.

    Args:
        weights: what `read_weights` returns.
        source: the file they came from, for messages.
        precision: "float32", or "bfloat16" for the convolutions, twice as fast on a CPU that multiplies in it
            (`benchmarks/inception.py`). On 500 crops of Stanford Dogs the features then differ by 1.8% in the norm
            (3.5% at most), the FID between the halves is 105.36 instead of 105.70, the memorization distance 0.2857
            instead of 0.2854, and the same images lie at FID 0.07 from themselves. So the name that its
            scores are printed with says so.
        xla: compile by XLA on TensorFlow too: for accelerators only, on a CPU it is several times slower. JAX
            has nothing else.

    Attributes:
        network: `keras.Model` from images [N, 299, 299, 3] in [-1, 1] to `pool_3`, float32 [N, 2048].
        classifier: `keras.Model` from the same to [`pool_3`, logits float32 [N, 1008]]; None where the weights hold
            the feature part only.
        name, identity, prefix, epsilon, dimensions: see `Extractor`.
        published: whether these are the numbers of the graph of 2015-12-05, in float32: what the competition used.
    """

    prefix = ""
    epsilon = PUBLIC_EPSILON
    dimensions = DIMENSIONS

    def __init__(
        self, weights: InceptionWeights, source: str | Path, *, precision: str = "float32", xla: bool = False
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
        self.source = Path(source)
        self.precision = precision
        self.xla = xla
        which = "inception-2015-12-05" if weights.published else f"inception with other weights ({weights.digest[:8]})"
        self.name = f"{which} pool_3" + ("" if precision == "float32" else f" {precision}")
        self.published = weights.published and precision == "float32"
        # Rounding in float32 is too small to matter; in bfloat16 it is not, and every compiler does it elsewhere.
        how = precision if precision == "float32" else f"{precision} {keras.backend.backend()} xla={xla}"
        self.identity = f"inception pool_3 {weights.digest} {how}"
        self.network = inception_network(weights.convolutions, precision)
        self.classifier = _classifier(self.network, weights.logits) if weights.logits else None
        self._programs: dict[tuple[int, int, str], Callable[[Any], Any]] = {}

    def features(
        self,
        images: Pictures,
        *,
        batch_size: int | None = None,
        progress: bool = False,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """The activations of `pool_3`.

        Args:
            images: uint8 [N, H, W, 3], RGB, any size; the network's own resize takes them to 299×299. Or float32 from
                0 to 255, pictures that were not rounded to eight bits: for distances smaller than rounding makes.
            batch_size: images at a time; None for 32. From 8 to 64 the speed on a CPU is the same within 4%;
                accelerators want more. It changes the features by rounding only.
            progress: whether to draw a bar.
            pace: counts the images instead of a bar of our own, and may raise `TimeUp`.

        Returns:
            float32 [N, 2048].
        """
        require_rgb(images, unrounded=True)
        size = _BATCH_SIZE if batch_size is None else batch_size
        program = self._program(images.shape[1], images.shape[2], images.dtype.name)
        with full_float32():
            return features_in_batches(
                lambda batch: program(filled(batch, size) if self._one_shape else batch),
                images,
                DIMENSIONS,
                batch_size=size,
                label="Inception features",
                progress=progress,
                pace=pace,
            )

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the Inception Score takes for logits: `pool_3` times the softmax kernel, *without* its bias.

        The code of Salimans et al. (2016) multiplies by the kernel alone, and the published scores are of that;
        `classifier` adds the bias, as the graph does.

        Args:
            features: float32 [N, 2048], of `features`.

        Returns:
            float32 [N, 1008].

        Raises:
            DogganError: the weights hold the feature part only.
        """
        if self.classifier is None:
            raise DogganError(
                f"{self.source} holds the feature part of Inception and no logits, so there is no Inception Score "
                f"from it; give the graph of 2015-12-05 ({GRAPH_FILE} or {ARCHIVE_FILE}) by --weights."
            )
        kernel, _ = self.classifier.get_layer("softmax_logits").get_weights()
        return np.asarray(features, np.float32) @ kernel

    @property
    def _one_shape(self) -> bool:
        """Whether a program serves one shape only, and another one would be compiled again."""
        return self.xla or keras.backend.backend() == "jax"

    def _program(self, height: int, width: int, dtype: str) -> Callable[[Any], Any]:
        """Images of one size and type → features."""
        if (height, width, dtype) not in self._programs:
            images = keras.Input((height, width, 3), dtype=dtype)
            x = (ops.cast(images, "float32") - 128.0) / 128.0  # before the resize, where there are fewer pixels
            x = resize_tf1(resize_tf1(x, axis=2, size=SIDE), axis=1, size=SIDE)
            model = keras.Model(images, self.network(ops.cast(x, self.precision)))
            if keras.backend.backend() == "tensorflow" and not self.xla:
                self._programs[height, width, dtype] = _frozen(model, dtype)
            else:
                model.compile(jit_compile=True)
                self._programs[height, width, dtype] = model.predict_on_batch
        return self._programs[height, width, dtype]


def load_inception(path: str | Path | None = None, *, precision: str = "float32", xla: bool = False) -> Inception:
    """The network with the weights of `path`, or of what `find_inception` finds in the default folders.

    `precision` and `xla` are as in `Inception`.

    Raises:
        DogganError: nothing is found, or the file does not hold this network.
    """
    if path is None:
        path = find_inception(*default_folders())
        if path is None:
            raise DogganError(
                "The Inception weights are nowhere to be found "
                f"(looked beneath {', '.join(map(str, default_folders()))}); {REMEDY}, or give the file by --weights."
            )
    path = Path(path)
    return Inception(read_weights(path), path, precision=precision, xla=xla)


def default_folders() -> tuple[Path, ...]:
    """Where the weights are looked for: the user's caches of this package and of kagglehub, and Kaggle's input."""
    kagglehub = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")
    return cache_folder(), kagglehub, Path("/kaggle/input")


def find_inception(*folders: str | Path) -> Path | None:
    """The first file beneath `folders`, in their order, that has one of the names the weights go by, or None.

    Within a folder the order is that of `WEIGHT_FILES`; where TensorFlow is not installed, the files that need it to
    be read come last.
    """
    readable = set(WEIGHT_FILES) if importlib.util.find_spec("tensorflow") else {NPZ_FILE, TORCHSCRIPT_FILE}
    names = sorted(WEIGHT_FILES, key=lambda name: name not in readable)
    for folder in folders:
        found = files_named(Path(folder), WEIGHT_FILES)
        for name in names:
            if name in found:
                return found[name]
    return None


def files_named(folder: Path, names: Collection[str]) -> dict[str, Path]:
    """For each of `names` the first file beneath `folder`, in the order of the folders, where there is one.

    Links are followed, and folders that a download has not finished are left out.
    """
    return dict(_walk(folder, frozenset(names)))


def _walk(folder: Path, names: frozenset[str]) -> Iterator[tuple[str, Path]]:
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.endswith(".download")]  # not fetched whole yet
        folders.sort(reverse=True)  # the caller keeps the last of a name: the first in order
        for name in names.intersection(files):
            yield name, Path(parent) / name


def resize_tf1(x: Any, *, axis: int, size: int) -> Any:
    """Bilinear resize of one axis by TensorFlow 1's rule, which the graph carries inside.

    Output i reads source coordinate c = i · n / size (no half-pixel centres, no antialias): pixel ⌊c⌋ and the
    next one, clamped to the last, weighted by the fraction of c. The rule is linear, so it is a product with a
    matrix of two numbers a row, which takes less time on a CPU than to gather the pixels.

    Args:
        x: float32 [N, H, W, C] with static lengths but for N.
        axis: 1 or 2. TensorFlow blends along the width first.
        size: the new length.
    """
    length = x.shape[axis]
    coordinate = np.arange(size, dtype=np.float32) * np.float32(length / size)
    lower = np.floor(coordinate).astype(np.int32)
    fraction = coordinate - lower
    matrix = np.zeros((size, length), np.float32)
    matrix[np.arange(size), lower] = 1 - fraction
    matrix[np.arange(size), np.minimum(lower + 1, length - 1)] += fraction
    if axis == 2:
        return ops.matmul(matrix, x)
    _, height, width, channels = x.shape
    rows = ops.matmul(matrix, ops.reshape(x, (-1, height, width * channels)))
    return ops.reshape(rows, (-1, size, width, channels))


def _classifier(network: Any, weights: tuple[Array, Array]) -> Any:
    layer = layers.Dense(weights[1].size, kernel_initializer="zeros", dtype="float32", name="softmax_logits")
    classifier = keras.Model(network.input, [network.output, layer(network.output)])
    layer.set_weights(weights)
    return classifier


def _frozen(model: Any, dtype: str) -> Callable[[Any], Any]:
    """The model as a TensorFlow function with its weights as constants, which oneDNN lays out once and for all."""
    import tensorflow as tf

    trainable = [variable.numpy() for variable in model.trainable_variables]
    fixed = [variable.numpy() for variable in model.non_trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), dtype)], jit_compile=False)
    def run(images: Any) -> Any:
        return model.stateless_call(trainable, fixed, images, training=False)[0]

    return run
