import zipfile
from dataclasses import replace

import numpy as np
import pytest

from doggan.data.imageset import FORMAT_VERSION, HELDOUT, TRAIN, ImageSet, hash_images
from doggan.errors import DogganError


@pytest.fixture
def image_set():
    rng = np.random.default_rng(0)
    return ImageSet(
        images=rng.integers(0, 256, (4, 8, 6, 3), np.uint8),
        labels=np.array([0, 1, 1, 0], np.int32),
        class_names=("black-and-tan_coonhound", "Épagneul"),
        source_ids=np.array(["n1_1", "n1_2", "n1_2", "ü 3"]),
        boxes=np.arange(16, dtype=np.int32).reshape(4, 4),
        split=np.array([TRAIN, HELDOUT, HELDOUT, TRAIN], np.uint8),
        crop="box",
    )


def same(a, b):
    names = ("images", "labels", "source_ids", "boxes", "split")
    return (a.class_names, a.crop) == (b.class_names, b.crop) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) and getattr(a, name).dtype == getattr(b, name).dtype
        for name in names
    )


def test_saving_and_loading_gives_the_same(image_set, tmp_path):
    path = tmp_path / "new folder" / "dogs.npz"
    image_set.save(path)
    assert same(ImageSet.load(path), image_set)
    assert [p.name for p in path.parent.iterdir()] == ["dogs.npz"]


def test_a_set_without_labels(image_set, tmp_path):
    bare = replace(image_set, labels=None, class_names=())
    bare.save(tmp_path / "bare.npz")
    assert ImageSet.load(tmp_path / "bare.npz").labels is None


def test_nothing_in_the_file_is_pickled(image_set, tmp_path):
    image_set.save(tmp_path / "dogs.npz")
    with np.load(tmp_path / "dogs.npz", allow_pickle=False) as file:
        assert set(file) == {
            *("images", "labels", "class_names", "source_ids", "boxes", "split", "crop", "format_version")
        }
        assert all(file[name].dtype != object for name in file)
        assert file["images"].dtype == np.uint8


def test_training_and_heldout_part_it_in_two(image_set):
    training, heldout = image_set.training(), image_set.heldout()
    assert list(training.source_ids) == ["n1_1", "ü 3"]
    assert list(heldout.source_ids) == ["n1_2", "n1_2"]
    np.testing.assert_array_equal(training.images, image_set.images[[0, 3]])
    np.testing.assert_array_equal(heldout.boxes, image_set.boxes[1:3])
    assert len(training) == len(heldout) == 2
    assert image_set.image_shape == (8, 6, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((4, 8, 6, 3), np.float32)}, "uint8"),
        ({"images": np.zeros((4, 8, 6), np.uint8)}, "uint8"),
        ({"labels": np.zeros(4, np.int64)}, "int32"),
        ({"labels": np.zeros(3, np.int32)}, "int32"),
        ({"labels": np.array([0, 1, 2, 0], np.int32)}, "class names"),
        ({"labels": np.array([0, 1, -1, 0], np.int32)}, "class names"),
        ({"source_ids": np.array(["a"])}, "source_ids"),
        ({"boxes": np.zeros((4, 3), np.int32)}, "boxes"),
        ({"split": np.zeros(5, np.uint8)}, "split"),
    ],
)
def test_parts_that_do_not_fit_are_refused(image_set, change, message):
    with pytest.raises(ValueError, match=message):
        replace(image_set, **change)


def test_loading_what_is_not_an_image_set(image_set, tmp_path):
    with pytest.raises(DogganError, match="does not exist"):
        ImageSet.load(tmp_path / "nothing.npz")

    text = tmp_path / "text.npz"
    text.write_text("not a zip")
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    other = tmp_path / "other.npz"
    np.savez(other, x=np.zeros(3))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, format_version=np.array([{"a": 1}], object))
    image_set.save(tmp_path / "good.npz")
    half = tmp_path / "half.npz"
    half.write_bytes((tmp_path / "good.npz").read_bytes()[:200])
    damaged = tmp_path / "damaged.npz"
    data = bytearray((tmp_path / "good.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "good.npz") as archive:
        place = archive.getinfo("images.npy").header_offset + 250
    data[place] ^= 255
    damaged.write_bytes(data)
    for path in (text, array, other, pickled, half, damaged, tmp_path):
        with pytest.raises(DogganError, match="is not an image set") as caught:
            ImageSet.load(path)
        assert str(path) in str(caught.value)


def test_a_newer_format_is_refused(image_set, tmp_path):
    path = tmp_path / "dogs.npz"
    image_set.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "format_version": np.int32(FORMAT_VERSION + 1)})
    with pytest.raises(DogganError, match="newer"):
        ImageSet.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((4, 8, 6, 2), np.uint8)}, "images must be"),
        ({"images": np.zeros((4, 0, 6, 3), np.uint8)}, "images must be"),
        ({"images": np.zeros((), np.uint8)}, "images must be"),
        ({"split": np.array([0, 1, 2, 0], np.uint8)}, "split must be"),
        ({"split": np.array(["a"] * 4)}, "split must be"),
        ({"boxes": np.zeros((4, 4))}, "boxes must be whole"),
    ],
)
def test_fields_that_would_break_something_later_are_refused(image_set, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(image_set, **changes)


def test_a_file_with_odd_arrays_is_one_sentence(image_set, tmp_path):
    image_set.save(tmp_path / "dogs.npz")
    with np.load(tmp_path / "dogs.npz") as file:
        arrays = dict(file)
    for name, value in {
        "format_version": np.zeros(2, int),
        "class_names": np.array("x"),
        "images": np.array(3),
    }.items():
        np.savez(tmp_path / "odd.npz", **{**arrays, name: value})
        with pytest.raises(DogganError, match=r"odd\.npz is not an image set"):
            ImageSet.load(tmp_path / "odd.npz")


def test_the_hash_sees_bytes_and_shape():
    images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    other = images.copy()
    other[0, 0, 0, 0] += 1
    assert len({hash_images(images), hash_images(other), hash_images(images.reshape(2, 4, 1, 3))}) == 3


def test_a_file_of_before_the_crop_rule_was_kept(image_set, tmp_path):
    image_set.save(tmp_path / "dogs.npz")
    with np.load(tmp_path / "dogs.npz") as file:
        np.savez(tmp_path / "older.npz", **{name: file[name] for name in file if name != "crop"})
    assert ImageSet.load(tmp_path / "older.npz").crop == ""
