"""Reading the weights of the 2015-12-05 Inception, batch norm folded into the convolutions.

Two sources hold the same numbers: the frozen graph that the competition's evaluator runs
(`classify_image_graph_def.pb`, also inside `inception-2015-12-05.tgz`), and an `.npz` of its feature part.
"""

import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError

GRAPH_FILE = "classify_image_graph_def.pb"
ARCHIVE_FILE = "inception-2015-12-05.tgz"
NPZ_FILE = "inception-2015-12-05_features.npz"

_EPSILON = float(np.float32(1e-3))  # of every batch norm in the graph; the .npz does not repeat it

_REMEDY = "get the Inception weights with `doggan download inception`"

Array = NDArray[np.float32]
Weights = dict[str, tuple[Array, Array]]


class _Convolution(NamedTuple):
    """One convolution as stored: kernel HWIO and the batch norm behind it."""

    kernel: Array
    scale: Array | float
    beta: Array
    mean: Array
    variance: Array
    epsilon: float

    def folded(self) -> tuple[Array, Array]:
        """Kernel and bias that do both at once: y = s (W ∗ x − μ) + β with s = scale / √(σ² + ε)."""
        s = np.float64(self.scale) / np.sqrt(self.variance.astype(np.float64) + self.epsilon)
        return (self.kernel * s).astype(np.float32), (self.beta - self.mean * s).astype(np.float32)


def _layers() -> dict[str, tuple[int, int, int, int]]:
    """Scope in the graph → kernel shape (height, width, channels in, channels out)."""
    layers: dict[str, tuple[int, int, int, int]] = {}

    def chain(scope: str, channels: int, *convolutions: tuple[int, int, int]) -> None:
        for i, (height, width, filters) in enumerate(convolutions):
            name = f"conv_{i}" if i else "conv"
            layers[f"{scope}/{name}" if scope else name] = (height, width, channels, filters)
            channels = filters

    chain("", 3, (3, 3, 32), (3, 3, 32), (3, 3, 64), (1, 1, 80), (3, 3, 192))
    for block, channels, pooled in (("mixed", 192, 32), ("mixed_1", 256, 64), ("mixed_2", 288, 64)):
        chain(block, channels, (1, 1, 64))
        chain(f"{block}/tower", channels, (1, 1, 48), (5, 5, 64))
        chain(f"{block}/tower_1", channels, (1, 1, 64), (3, 3, 96), (3, 3, 96))
        chain(f"{block}/tower_2", channels, (1, 1, pooled))
    chain("mixed_3", 288, (3, 3, 384))
    chain("mixed_3/tower", 288, (1, 1, 64), (3, 3, 96), (3, 3, 96))
    for block, n in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        chain(block, 768, (1, 1, 192))
        chain(f"{block}/tower", 768, (1, 1, n), (1, 7, n), (7, 1, 192))
        chain(f"{block}/tower_1", 768, (1, 1, n), (7, 1, n), (1, 7, n), (7, 1, n), (1, 7, 192))
        chain(f"{block}/tower_2", 768, (1, 1, 192))
    chain("mixed_8/tower", 768, (1, 1, 192), (3, 3, 320))
    chain("mixed_8/tower_1", 768, (1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192))
    for block, channels in (("mixed_9", 1280), ("mixed_10", 2048)):
        chain(block, channels, (1, 1, 320))
        chain(f"{block}/tower", channels, (1, 1, 384))
        chain(f"{block}/tower/mixed", 384, (1, 3, 384), (3, 1, 384))
        chain(f"{block}/tower_1", channels, (1, 1, 448), (3, 3, 384))
        chain(f"{block}/tower_1/mixed", 384, (1, 3, 384), (3, 1, 384))
        chain(f"{block}/tower_2", channels, (1, 1, 192))
    return layers


LAYERS = _layers()


def read_weights(path: str | Path) -> Weights:
    """The 94 convolutions of the network: scope → (kernel float32 HWIO, bias float32), batch norm folded in.

    Args:
        path: an `.npz`, the graph (`.pb`), or the published archive (`.tgz`) with the graph inside. The graph
            needs TensorFlow to be read; the `.npz` does not.

    Raises:
        DogganError: the file is missing or is not this network's, or TensorFlow is missing for a graph.
    """
    path = Path(path)
    if not path.is_file():
        raise DogganError(f"{path} does not exist; get the Inception weights with `doggan download inception`.")
    stored = _from_npz(path) if path.suffix == ".npz" else _from_graph(path)
    for scope, shape in LAYERS.items():
        _check(path, scope, stored[scope], shape)
    return {scope: convolution.folded() for scope, convolution in stored.items()}


def npz_key(scope: str) -> str:
    """The name of a scope in the `.npz`: dots for slashes, but underscores inside the last two blocks."""
    block, _, rest = scope.partition("/")
    if not rest:
        return block
    return f"{block}.{rest.replace('/', '_' if block in ('mixed_9', 'mixed_10') else '.')}"


def _not_inception(path: Path, reason: str) -> DogganError:
    return DogganError(f"{path} does not hold the 2015-12-05 Inception ({reason}); {_REMEDY}.")


def _check(path: Path, scope: str, stored: _Convolution, shape: tuple[int, int, int, int]) -> None:
    kernel = stored.kernel
    if kernel.shape != shape:
        raise _not_inception(path, f"the kernel of {scope} has shape {kernel.shape}, not {shape}")
    for name in ("beta", "mean", "variance"):
        array = getattr(stored, name)
        if array.shape != shape[3:]:
            raise _not_inception(path, f"the {name} of {scope} has shape {array.shape}, not {shape[3:]}")
        if not np.isfinite(array).all():
            raise _not_inception(path, f"the {name} of {scope} is not finite")
    if not np.isfinite(kernel).all() or (stored.variance < 0).any():
        raise _not_inception(path, f"the numbers of {scope} are not a kernel and variances")


def _from_npz(path: Path) -> dict[str, _Convolution]:
    stored = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for scope in LAYERS:
                key = npz_key(scope)
                kernel = file[f"{key}.weight"].transpose(2, 3, 1, 0)
                beta, mean, variance = (file[f"{key}.{name}"] for name in ("beta", "mean", "var"))
                stored[scope] = _Convolution(kernel, 1.0, beta, mean, variance, _EPSILON)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _not_inception(path, str(error)) from None
    return stored


def _from_graph(path: Path) -> dict[str, _Convolution]:
    try:
        import tensorflow as tf
    except ImportError:
        raise DogganError(
            f"{path} is a TensorFlow graph, which only TensorFlow can read; install it or use {NPZ_FILE}."
        ) from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(_graph_bytes(path))
    except (DecodeError, tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise _not_inception(path, str(error)) from None
    nodes = {node.name: node for node in graph.node}

    def node(name: str) -> Any:
        if name not in nodes:
            raise _not_inception(path, f"the graph has no node {name}")
        return nodes[name]

    def constant(name: str) -> Array:
        if node(name).op != "Const":
            raise _not_inception(path, f"the node {name} is no constant")
        try:
            return np.asarray(tf.make_ndarray(node(name).attr["value"].tensor), np.float32)
        except (ValueError, TypeError) as error:
            raise _not_inception(path, f"the constant {name} is damaged: {error}") from None

    stored = {}
    for scope in LAYERS:
        norm = node(f"{scope}/batchnorm").attr
        stored[scope] = _Convolution(
            kernel=constant(f"{scope}/conv2d_params"),
            scale=constant(f"{scope}/batchnorm/gamma") if norm["scale_after_normalization"].b else 1.0,
            beta=constant(f"{scope}/batchnorm/beta"),
            mean=constant(f"{scope}/batchnorm/moving_mean"),
            variance=constant(f"{scope}/batchnorm/moving_variance"),
            epsilon=norm["variance_epsilon"].f,
        )
    return stored


def _graph_bytes(path: Path) -> bytes:
    if path.suffix == ".pb":
        return path.read_bytes()
    with tarfile.open(path) as archive:
        member = archive.extractfile(GRAPH_FILE)
        if member is None:
            raise KeyError(f"{GRAPH_FILE} in the archive is not a file")
        return member.read()
