from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doggan.data.imageset import ImageSet, hash_images
from doggan.data.layout import find_layout
from doggan.errors import DogganError
from doggan.metrics.pictures import squashed
from doggan.metrics.protocols import SPLITS, crops_set, find_photographs, open_real


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (80, 70), (9, 8, 7)).save(path)
    return path


def test_kaggle_is_every_photograph_squashed(dog_tree: Path) -> None:
    real = open_real(dog_tree)
    photographs = list(find_layout(dog_tree).photographs.values())
    assert (real.protocol, real.description, real.size) == ("kaggle", "kaggle", (64, 64))
    part = real.pictures.read(slice(0, len(real.pictures)))
    assert len(part.images) == len(photographs) == 24
    for image, path in zip(part.images, photographs, strict=True):
        np.testing.assert_array_equal(image, squashed(path, 64))


def test_photographs_without_annotations_are_every_picture_below(tmp_path: Path) -> None:
    dogs = [save(tmp_path / "all-dogs" / "all-dogs" / f"n02085620_{i}.jpg") for i in (10, 7)]
    others = [save(tmp_path / "b" / "x.PNG"), save(tmp_path / "c" / "x.png")]
    save(tmp_path / ".hidden" / "n02085620_7.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    assert find_photographs(tmp_path) == sorted([*dogs, *others])
    assert find_photographs(tmp_path / "all-dogs" / "all-dogs") == sorted(dogs)


def test_a_folder_that_will_not_do(tmp_path: Path) -> None:
    save(tmp_path / "one.png")
    with pytest.raises(DogganError, match="holds 1 pictures"):
        open_real(tmp_path)
    for folder in ("all-dogs", "copy"):
        save(tmp_path / folder / "n02085620_7.jpg")
    with pytest.raises(DogganError, match="n02085620_7 twice"):
        open_real(tmp_path)
    with pytest.raises(DogganError, match=r"absent\.npz does not exist"):
        open_real(tmp_path / "absent.npz")


def test_crops_are_named_by_hash_rule_and_split(tiny_images: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    tiny_images.save(path)
    training = tiny_images.images[:32]
    real = open_real(path)
    assert real.protocol == "crops"
    assert real.description == f"crops {hash_images(training)[:8]} (crop rule unknown, training split)"
    assert real.size == (32, 32)
    np.testing.assert_array_equal(real.pictures.read(slice(0, 32)).images, training)
    assert real.pictures.name(3) == "photo-3"
    assert [len(open_real(path, split).pictures) for split in SPLITS] == [32, 8, 40]
    assert "held-out split" in open_real(path, "heldout").description


def test_the_crop_rule_is_named(tiny_images: ImageSet) -> None:
    from dataclasses import replace

    assert "(square, all)" in crops_set(replace(tiny_images, crop="square"), "all").description


def test_an_empty_split(tiny_images: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    tiny_images.training().save(path)
    with pytest.raises(DogganError, match=r"tiny\.npz has 0 pictures in the split 'heldout'"):
        open_real(path, "heldout")
