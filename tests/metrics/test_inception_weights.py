import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doggan.errors import DogganError
from doggan.metrics.inception_weights import (
    ARCHIVE_FILE,
    GRAPH_FILE,
    LAYERS,
    NPZ_FILE,
    npz_key,
    read_weights,
)

Stored = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def stored() -> Stored:
    """Random numbers for every convolution, as both files store them: kernel HWIO and the batch norm."""
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.random(shape, dtype=np.float32)

    return {
        scope: {
            "kernel": numbers(*shape),
            **{name: numbers(shape[3]) for name in ("beta", "mean", "var", "gamma")},
        }
        for scope, shape in LAYERS.items()
    }


def write_npz(path: Path, stored: Stored) -> Path:
    arrays = {}
    for scope, values in stored.items():
        arrays[f"{npz_key(scope)}.weight"] = values["kernel"].transpose(3, 2, 0, 1)
        arrays |= {f"{npz_key(scope)}.{name}": values[name] for name in ("beta", "mean", "var")}
    np.savez(path, **arrays)
    return path


def graph(stored: Stored, scaled: bool = False) -> Any:
    """A frozen graph with the published one's node names and nothing but its constants and batch norms."""
    tf = pytest.importorskip("tensorflow")
    graph = tf.compat.v1.GraphDef()
    names = {"kernel": "conv2d_params", "beta": "batchnorm/beta", "gamma": "batchnorm/gamma"}
    names |= {"mean": "batchnorm/moving_mean", "var": "batchnorm/moving_variance"}
    for scope, values in stored.items():
        for key, name in names.items():
            node = graph.node.add(name=f"{scope}/{name}", op="Const")
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values[key]))
        norm = graph.node.add(name=f"{scope}/batchnorm", op="BatchNormWithGlobalNormalization")
        norm.attr["variance_epsilon"].f = 1e-3
        norm.attr["scale_after_normalization"].b = scaled
    return graph


def assert_same(a: dict, b: dict) -> None:
    assert list(a) == list(b) == list(LAYERS)
    for scope, shape in LAYERS.items():
        assert a[scope][0].shape == shape
        for x, y in zip(a[scope], b[scope], strict=True):
            assert x.dtype == np.float32
            np.testing.assert_array_equal(x, y)


def test_the_layers_of_the_network() -> None:
    assert len(LAYERS) == 94
    kernels = sum(int(np.prod(shape)) for shape in LAYERS.values())
    # Keras' own Inception v3 without its top has the same: β, μ and σ² for each filter, no γ.
    assert kernels + 3 * sum(shape[3] for shape in LAYERS.values()) == 21_802_784
    assert LAYERS["mixed_7/tower_1/conv_1"] == (7, 1, 192, 192)
    assert LAYERS["mixed_10/tower/mixed/conv_1"] == (3, 1, 384, 384)
    assert npz_key("conv_4") == "conv_4"
    assert npz_key("mixed_7/tower_1/conv_1") == "mixed_7.tower_1.conv_1"
    assert npz_key("mixed_10/tower/mixed/conv_1") == "mixed_10.tower_mixed_conv_1"


def test_the_npz_is_folded(stored: Stored, tmp_path: Path) -> None:
    weights = read_weights(write_npz(tmp_path / NPZ_FILE, stored))
    for scope in ("conv", "mixed_9/tower_1/mixed/conv"):
        values = stored[scope]
        patch = np.random.default_rng(1).random(values["kernel"].shape[:3])
        before = np.tensordot(patch, values["kernel"], 3)
        normalised = (before - values["mean"]) / np.sqrt(values["var"] + 1e-3) + values["beta"]
        kernel, bias = weights[scope]
        np.testing.assert_allclose(np.tensordot(patch, kernel, 3) + bias, normalised, rtol=1e-5, atol=1e-4)


def test_the_graph_and_its_archive_give_the_same(stored: Stored, tmp_path: Path) -> None:
    expected = read_weights(write_npz(tmp_path / NPZ_FILE, stored))
    content = graph(stored).SerializeToString()
    (tmp_path / GRAPH_FILE).write_bytes(content)
    assert_same(read_weights(tmp_path / GRAPH_FILE), expected)
    with tarfile.open(tmp_path / ARCHIVE_FILE, "w:gz", compresslevel=0) as archive:
        member = tarfile.TarInfo(GRAPH_FILE)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    assert_same(read_weights(tmp_path / ARCHIVE_FILE), expected)


def test_gamma_counts_when_the_graph_says_so(stored: Stored, tmp_path: Path) -> None:
    few = {scope: {**values, "gamma": np.full_like(values["gamma"], 2)} for scope, values in stored.items()}
    expected = read_weights(write_npz(tmp_path / NPZ_FILE, stored))
    (tmp_path / GRAPH_FILE).write_bytes(graph(few, scaled=True).SerializeToString())
    scaled = read_weights(tmp_path / GRAPH_FILE)
    np.testing.assert_allclose(scaled["conv"][0], 2 * expected["conv"][0], rtol=1e-6)
    beta = stored["conv"]["beta"]
    np.testing.assert_allclose(scaled["conv"][1] - beta, 2 * (expected["conv"][1] - beta), rtol=1e-5, atol=1e-6)


def test_wrong_graphs(stored: Stored, tmp_path: Path) -> None:
    path = tmp_path / GRAPH_FILE
    first = {"conv": stored["conv"]}
    path.write_bytes(graph(first).SerializeToString())
    with pytest.raises(DogganError, match=r"no node conv_1/batchnorm\); get the Inception weights"):
        read_weights(path)
    other = graph(first)
    other.node[0].op = "Placeholder"
    path.write_bytes(other.SerializeToString())
    with pytest.raises(DogganError, match="conv/conv2d_params is no constant"):
        read_weights(path)
    path.write_bytes(b"not a graph at all")
    with pytest.raises(DogganError, match=GRAPH_FILE):
        read_weights(path)
    archive = tmp_path / ARCHIVE_FILE
    archive.write_bytes(b"not an archive")
    with pytest.raises(DogganError, match=ARCHIVE_FILE):
        read_weights(archive)
    with tarfile.open(archive, "w:gz") as file:
        file.addfile(tarfile.TarInfo("LICENSE"))
    with pytest.raises(DogganError, match="classify_image_graph_def"):
        read_weights(archive)


def test_a_graph_needs_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / GRAPH_FILE
    path.touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(DogganError, match=f"only TensorFlow can read; install it or use {NPZ_FILE}"):
        read_weights(path)


def test_wrong_npz(stored: Stored, tmp_path: Path) -> None:
    path = tmp_path / NPZ_FILE
    with pytest.raises(DogganError, match="does not exist; get the Inception weights"):
        read_weights(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(DogganError, match="does not hold the 2015-12-05 Inception"):
        read_weights(path)
    np.savez(path, images=np.zeros(3))
    with pytest.raises(DogganError, match=r"conv\.weight"):
        read_weights(path)
    small = {scope: {name: value[..., :1] for name, value in values.items()} for scope, values in stored.items()}
    write_npz(path, small)
    with pytest.raises(DogganError, match=r"kernel of conv has shape \(3, 3, 3, 1\), not \(3, 3, 3, 32\)"):
        read_weights(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("var", np.full(32, -1, np.float32), "numbers of conv"),
        ("mean", np.full(32, np.nan, np.float32), "mean of conv is not finite"),
        ("beta", np.zeros(31, np.float32), r"beta of conv has shape \(31,\)"),
        ("kernel", np.full((3, 3, 3, 32), np.inf, np.float32), "numbers of conv"),
    ],
)
def test_wrong_numbers(stored: Stored, tmp_path: Path, name: str, value: np.ndarray, message: str) -> None:
    wrong = {scope: dict(values) for scope, values in stored.items()}
    wrong["conv"][name] = value
    with pytest.raises(DogganError, match=message):
        read_weights(write_npz(tmp_path / NPZ_FILE, wrong))
