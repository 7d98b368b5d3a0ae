"""MNIST: in each form it is found in, and what can be wrong with its files."""

import gzip
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from doggan.data.arguments import SIZES
from doggan.data.mnist import read_mnist
from doggan.data.split import is_heldout
from doggan.errors import DogganError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    dimensions = b"".join(struct.pack(">I", n) for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + dimensions + array.tobytes()


def digits(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n) % 10).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Six training and three test pictures in the four published files."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    arrays = (*digits(6, 1), *digits(3, 2))
    for name, array in zip(NAMES, arrays, strict=True):
        (folder / name).write_bytes(idx(array))
    return folder


def rewrite(folder, spelling, packed):
    for name in NAMES:
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        name = name.replace("-idx", f"{spelling}idx") + (".gz" if packed else "")
        (folder / name).write_bytes(gzip.compress(data) if packed else data)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("spelling", ["-", "."])
def test_the_published_files(folder, spelling, packed):
    rewrite(folder, spelling, packed)
    images = read_mnist(folder)
    assert images.images.shape == (9, 32, 32, 1)
    assert images.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert images.labels.dtype == np.int32
    assert images.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert images.source_ids.tolist() == [f"train-0000{i}" for i in range(6)] + [f"test-0000{i}" for i in range(3)]
    assert images.split.tolist() == [0] * 6 + [1] * 3
    assert images.boxes.tolist() == [[0, 0, 28, 28]] * 9
    assert images.crop == "whole"


def bilinear(picture, size):
    """Half-pixel centres, edges repeated, in float64."""
    place = np.clip((np.arange(size) + 0.5) * 28 / size - 0.5, 0, 27)
    low = np.minimum(place.astype(int), 26)
    weight = place - low
    rows = picture[low] * (1 - weight)[:, None] + picture[low + 1] * weight[:, None]
    return rows[:, low] * (1 - weight) + rows[:, low + 1] * weight


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_enlarged_bilinearly(folder, size):
    images = read_mnist(folder, size)
    for picture, original in zip(images.images, digits(6, 1)[0].astype(float), strict=False):
        assert np.abs(picture[..., 0] - bilinear(original, size)).max() <= 1


def test_keras_file_alone_or_in_a_folder_gives_the_same(folder, tmp_path):
    expected = read_mnist(folder)
    (x_train, y_train), (x_test, y_test) = digits(6, 1), digits(3, 2)
    keras = tmp_path / "keras"
    keras.mkdir()
    np.savez_compressed(keras / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    for source in (keras, keras / "mnist.npz"):
        images = read_mnist(source)
        for name in ("images", "labels", "source_ids", "split", "boxes"):
            np.testing.assert_array_equal(getattr(images, name), getattr(expected, name))


def test_the_test_files_may_be_missing(folder):
    for name in NAMES[2:]:
        (folder / name).unlink()
    assert read_mnist(folder).split.tolist() == [0] * 6


def test_a_share_of_the_training_pictures_is_held_out_as_well(tmp_path):
    for name, array in zip(NAMES, (*digits(200), *digits(5)), strict=True):
        (tmp_path / name).write_bytes(idx(array))
    images = read_mnist(tmp_path, holdout=0.2)
    assert images.split.tolist() == [int(is_heldout(f"train-{i:05d}", 0.2)) for i in range(200)] + [1] * 5
    assert 20 < images.split[:200].sum() < 60


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (NAMES[0], b"", r"does not begin as an idx3 file of bytes does \(it is empty\)"),
        (NAMES[0], b"<html>not found</html>", "does not begin as an idx3 file"),
        (NAMES[0], idx(digits()[1]), r"does not begin as an idx3 file of bytes does \(00 00 08 01\)"),
        (NAMES[1], idx(digits()[0]), "does not begin as an idx1 file|holds more than"),
        (NAMES[0], idx(digits()[0])[:10], "is cut short: 10 bytes"),
        (NAMES[0], idx(digits()[0])[:-1], "is cut short: 4,719 bytes where its 6 items take 4,720"),
        (NAMES[0], idx(digits()[0]) + b"x", "has bytes behind its end"),
        (NAMES[0], idx(np.zeros((6, 28, 27), np.uint8)), "holds pictures of 27×28, not 28×28"),
        (NAMES[0], idx(digits(5)[0]), "5 pictures and 6 labels do not belong together"),
        (NAMES[1], idx(np.array([0, 1, 10, 3, 4, 5], np.uint8)), "a label is 10, and there are classes 0 to 9"),
        (NAMES[0], b"\0\0\x08\x03" + struct.pack(">III", 2**32 - 1, 28, 28), "is cut short: 16 bytes"),
        (NAMES[0], gzip.compress(idx(digits()[0]))[:-20], "is damaged gzip"),
        (NAMES[0], b"\x1f\x8b" + bytes(range(100)), "is damaged gzip"),
        (NAMES[0], gzip.compress(idx(digits()[0]))[:-8] + bytes(8), "is damaged gzip"),
        (NAMES[1], gzip.compress(bytes(100_000_000)), "holds more than the 60,008 bytes that it may"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(folder, name, data, message):
    (folder / name).write_bytes(data)
    with pytest.raises(DogganError, match=message) as caught:
        read_mnist(folder)
    assert str(folder / name) in str(caught.value) or name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_one_picture(folder):
    (folder / NAMES[0]).write_bytes(idx(digits(0)[0]))
    (folder / NAMES[1]).write_bytes(idx(digits(0)[1]))
    with pytest.raises(DogganError, match="there is not one picture in it"):
        read_mnist(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DogganError, match=rf"lacks {name} .*doggan download mnist"):
        read_mnist(folder)


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(DogganError, match=r"absent does not exist; .*doggan download mnist"):
        read_mnist(tmp_path / "absent")


@pytest.mark.parametrize(
    ("kwargs", "message"), [({"size": 28}, "size 28 is not one of 32"), ({"holdout": 1.0}, "holdout 1.0")]
)
def test_arguments_out_of_range(folder, kwargs, message):
    with pytest.raises(DogganError, match=message):
        read_mnist(folder, **kwargs)


X, Y = digits()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": X}, "lacks x_train or y_train"),
        ({"x_test": X, "y_test": Y}, "lacks x_train or y_train"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "lacks x_test or y_test"),
        ({"x_train": X.astype(float), "y_train": Y}, r"x_train is float64 \[6, 28, 28\]"),
        ({"x_train": X[..., :27], "y_train": Y}, r"x_train is uint8 \[6, 28, 27\]"),
        ({"x_train": X, "y_train": Y.astype(float)}, "y_train is float64"),
        ({"x_train": X, "y_train": Y[:5]}, "6 pictures and 5 labels"),
        ({"x_train": X, "y_train": Y.astype(int) - 1}, "a label is -1"),
        ({"x_train": X, "y_train": np.array([None] * 6)}, "is not Keras' mnist.npz"),
    ],
)
def test_a_file_that_is_not_keras(tmp_path, arrays, message):
    np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(DogganError, match=message):
        read_mnist(tmp_path)


class Hostile:
    def __reduce__(self):
        return pytest.fail, ("the file's code was run",)


def npz(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(shape, data=b""):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 and no more",
        pickle.dumps(Hostile()),
        npz(x_train=pickle.dumps(Hostile())),
        npz(x_train=npy((10**15, 28, 28)), y_train=npy((6,), bytes(6))),
        npz(x_train=npy((6, 28, 28), bytes(100)), y_train=npy((6,), bytes(6))),
        npz(x_train=npy((300_000, 28, 28), bytes(300_000 * 784))),
    ],
    ids=["empty", "cut", "pickle", "pickle inside", "huge shape", "cut inside", "bomb"],
)
def test_a_damaged_or_hostile_npz(tmp_path, data):
    path = tmp_path / "mnist.npz"
    path.write_bytes(data)
    with pytest.raises(DogganError, match=r"mnist\.npz (is not Keras'|lacks)") as caught:
        read_mnist(path)
    assert "\n" not in str(caught.value)


def test_the_real_files(shared_data):
    images = read_mnist(shared_data / "mnist")
    assert len(images.training()) == 60_000
    assert len(images.heldout()) == 10_000
    # The first training picture is the well-known 5, the first test picture a 7.
    assert images.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert images.labels[60_000] == 7
    with gzip.open(shared_data / "mnist" / "train-images-idx3-ubyte.gz") as file:
        first = np.frombuffer(file.read(16 + 784)[16:], np.uint8).reshape(28, 28)
    assert np.abs(images.images[0, ..., 0] - bilinear(first.astype(float), 32)).max() <= 1
