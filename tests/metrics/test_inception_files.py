"""Each format of the weights, and what is refused."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from inception_made import (
    NARROW,
    Numbers,
    graph,
    random_numbers,
    use_narrow_layers,
    write_archive,
    write_graph,
    write_npz,
    write_torchscript,
)

from doggan.errors import DogganError
from doggan.metrics import inception_files
from doggan.metrics.inception_files import (
    ARCHIVE_FILE,
    GRAPH_FILE,
    NPZ_FILE,
    TORCHSCRIPT_FILE,
    Convolution,
    Stored,
    check,
    graph_bytes,
    read_graph,
    read_npz,
    read_torchscript,
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_narrow_layers(monkeypatch)


@pytest.fixture
def numbers() -> Numbers:
    return random_numbers()


def assert_holds(stored: Stored, numbers: Numbers) -> None:
    check(Path("made"), stored)
    assert list(stored.convolutions) == list(NARROW)
    for scope, convolution in stored.convolutions.items():
        for name, array in zip(("kernel", "beta", "mean", "var"), convolution, strict=False):
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, numbers[scope][name])
        assert convolution.scale is None
        assert convolution.epsilon == np.float32(1e-3)


def test_folded_by_hand() -> None:
    convolution = Convolution(
        kernel=np.full((1, 1, 1, 1), 6, np.float32),
        beta=np.float32([5]),
        mean=np.float32([8]),
        variance=np.float32([3]),
        scale=np.float32([4]),
        epsilon=1.0,
    )
    kernel, bias = convolution.folded()  # s = 4 / √(3 + 1) = 2
    assert kernel.item() == 12
    assert bias.item() == 5 - 8 * 2
    kernel, bias = convolution._replace(scale=None).folded()
    assert kernel.item() == 3
    assert bias.item() == 5 - 8 / 2


def test_folding_leaves_the_layer_what_it_was(numbers: Numbers) -> None:
    for scope in ("conv", "mixed_9/tower_1/mixed/conv"):
        values = numbers[scope]
        patch = np.random.default_rng(1).random(values["kernel"].shape[:3])
        before = np.tensordot(patch, values["kernel"], 3)
        normalised = (before - values["mean"]) / np.sqrt(values["var"] + 1e-3) + values["beta"]
        kernel, bias = Convolution(*(values[name] for name in ("kernel", "beta", "mean", "var"))).folded()
        np.testing.assert_allclose(np.tensordot(patch, kernel, 3) + bias, normalised, rtol=1e-5, atol=1e-5)


# .npz


def test_npz(numbers: Numbers, tmp_path: Path) -> None:
    stored = read_npz(write_npz(tmp_path, numbers))
    assert_holds(stored, numbers)
    assert stored.logits is None


def test_wrong_npz(numbers: Numbers, tmp_path: Path) -> None:
    path = tmp_path / NPZ_FILE
    path.write_bytes(b"not an archive")
    with pytest.raises(DogganError, match=rf"{NPZ_FILE} does not hold the 2015-12-05 Inception .*; get the Inception"):
        read_npz(path)
    np.savez(path, images=np.zeros(3))
    with pytest.raises(DogganError, match=r"conv\.weight"):
        read_npz(path)
    np.savez(path, **{"conv.weight": np.array(["words"])})
    with pytest.raises(DogganError, match="words"):
        read_npz(path)
    with pytest.raises(DogganError, match="digest"):
        read_npz(write_npz(tmp_path, numbers), sealed=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kernel", np.zeros((3, 3, 2, 1), np.float32), r"kernel of conv has shape \(3, 3, 2, 1\), not \(3, 3, 2, 3\)"),
        ("kernel", np.full((3, 3, 2, 3), np.inf, np.float32), "numbers of conv"),
        ("var", np.full(3, -1, np.float32), "numbers of conv"),
        ("mean", np.full(3, np.nan, np.float32), "mean of conv is not finite"),
        ("beta", np.zeros(2, np.float32), r"beta of conv has shape \(2,\)"),
    ],
)
def test_wrong_numbers(numbers: Numbers, tmp_path: Path, name: str, value: np.ndarray, message: str) -> None:
    numbers["conv"][name] = value
    path = write_npz(tmp_path, numbers)
    with pytest.raises(DogganError, match=f"{NPZ_FILE} does not hold .*{message}"):
        check(path, read_npz(path))


# TorchScript


class Touch:
    """A pickle of it creates the file `path` when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_torchscript_without_its_pickle(numbers: Numbers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "trap"
    path, sha256 = write_torchscript(tmp_path, numbers, pickle.dumps(Touch(trap)))
    monkeypatch.setattr(inception_files, "INCEPTION_TORCHSCRIPT_SHA256", sha256)
    stored = read_torchscript(path)
    assert_holds(stored, numbers)
    assert stored.logits is None
    assert not trap.exists()
    with zipfile.ZipFile(path) as archive:
        pickle.loads(archive.read("out_jit_module/data.pkl"))
    assert trap.exists(), "the trap must be one"


def test_another_torchscript(numbers: Numbers, tmp_path: Path) -> None:
    path, sha256 = write_torchscript(tmp_path, numbers)
    with pytest.raises(DogganError, match=rf"{TORCHSCRIPT_FILE} does not hold .*{sha256}, and the only TorchScript"):
        read_torchscript(path)


# The graph


def test_graph_and_archive(numbers: Numbers, tmp_path: Path) -> None:
    made = graph(numbers)
    for path in write_graph(tmp_path, made), write_archive(tmp_path, made):
        content = graph_bytes(path)
        assert content == made.SerializeToString()
        stored = read_graph(path, content)
        assert_holds(stored, numbers)
        assert stored.logits is not None
        np.testing.assert_array_equal(stored.logits[0], numbers["softmax"]["weights"])
        np.testing.assert_array_equal(stored.logits[1], numbers["softmax"]["biases"])


def test_graph_says_scale_and_epsilon(numbers: Numbers, tmp_path: Path) -> None:
    stored = read_graph(tmp_path, graph(numbers, scaled=True, epsilon=0.25).SerializeToString())
    for scope, convolution in stored.convolutions.items():
        np.testing.assert_array_equal(convolution.scale, numbers[scope]["gamma"])
        assert convolution.epsilon == 0.25


def test_graph_cut_at_pool_3(numbers: Numbers, tmp_path: Path) -> None:
    softmax = numbers.pop("softmax")
    assert read_graph(tmp_path, graph(numbers).SerializeToString()).logits is None
    half = graph(numbers | {"softmax": {"weights": softmax["weights"]}})
    with pytest.raises(DogganError, match="no node softmax/biases"):
        read_graph(tmp_path, half.SerializeToString())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", np.zeros((6, 4), np.float32), r"softmax layer has shapes \(6, 4\) and \(5,\)"),
        ("biases", np.full(5, np.nan, np.float32), "softmax layer are not finite"),
    ],
)
def test_wrong_logits(numbers: Numbers, name: str, value: np.ndarray, message: str) -> None:
    numbers["softmax"][name] = value
    path = Path("graph.pb")
    with pytest.raises(DogganError, match=f"graph.pb does not hold .*{message}"):
        check(path, read_graph(path, graph(numbers).SerializeToString()))


def test_wrong_graphs(numbers: Numbers) -> None:
    path = Path(GRAPH_FILE)
    first = graph({"conv": numbers["conv"]})
    with pytest.raises(DogganError, match=r"no node conv_1/batchnorm\); get the Inception weights"):
        read_graph(path, first.SerializeToString())
    first.node[0].op = "Placeholder"
    with pytest.raises(DogganError, match="conv/conv2d_params is no constant"):
        read_graph(path, first.SerializeToString())
    with pytest.raises(DogganError, match=GRAPH_FILE):
        read_graph(path, b"not a graph at all")


def test_wrong_archives(tmp_path: Path) -> None:
    path = tmp_path / ARCHIVE_FILE
    path.write_bytes(b"not an archive")
    with pytest.raises(DogganError, match=ARCHIVE_FILE):
        graph_bytes(path)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("LICENSE"))
    with pytest.raises(DogganError, match="classify_image_graph_def"):
        graph_bytes(path)
    with tarfile.open(path, "w:gz") as archive:
        folder = tarfile.TarInfo(GRAPH_FILE)
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    with pytest.raises(DogganError, match="is not a file"):
        graph_bytes(path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(GRAPH_FILE)
        member.size = 1 << 16
        archive.addfile(member, io.BytesIO(np.random.default_rng(0).bytes(member.size)))
    path.write_bytes(buffer.getvalue()[: 1 << 15])
    with pytest.raises(DogganError, match=ARCHIVE_FILE):
        graph_bytes(path)
