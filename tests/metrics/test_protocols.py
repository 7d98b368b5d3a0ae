import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doggan.data.imageset import ImageSet, hash_images
from doggan.data.layout import find_layout
from doggan.errors import DogganError
from doggan.metrics.pictures import squash
from doggan.metrics.protocols import SPLITS, crops_set, find_photographs, folder_set, open_real


def save(path: Path, size: tuple[int, int] = (80, 70)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 8, 7)).save(path)
    return path


def test_kaggle_is_every_photograph_squashed(dog_tree: Path) -> None:
    real = open_real(dog_tree)
    photographs = list(find_layout(dog_tree).photographs.values())
    assert (real.protocol, real.description, real.size) == ("kaggle", "kaggle", (64, 64))
    part = real.pictures.read(slice(0, len(real.pictures)))
    assert len(part.images) == len(photographs) == 24
    for image, path in zip(part.images, photographs, strict=True):
        np.testing.assert_array_equal(image, squash(Image.open(path), 64))


class TestWhichFolder:
    """Only the competition's photographs, or a part of them, are `kaggle`."""

    @staticmethod
    def protocol(folder: Path) -> str:
        real = open_real(folder)
        assert real.description.startswith(real.protocol)
        return real.protocol

    def test_photographs(self, tmp_path: Path) -> None:
        for i in range(3):
            save(tmp_path / f"n02085620_{i}.jpg", (120, 90 + i))
        assert self.protocol(tmp_path) == "kaggle"
        assert open_real(tmp_path).distance_to == "training"

    def test_other_names(self, tmp_path: Path) -> None:
        for i in range(3):
            save(tmp_path / f"cat {i}.jpg", (400, 300 + i))
        assert self.protocol(tmp_path) == "folder"
        real = open_real(tmp_path)
        assert real.description == "folder (whole pictures squashed to 64×64)"
        assert (real.distance_to, real.size) == ("real", (64, 64))

    def test_in_the_folders_of_the_competition(self, tmp_path: Path) -> None:
        """The layout does not make them its photographs."""
        for i in range(2):
            save(tmp_path / "all-dogs" / f"cat{i}.jpg", (400, 300 + i))
        (tmp_path / "Annotation" / "n02085620-Chihuahua").mkdir(parents=True)
        (tmp_path / "Annotation" / "n02085620-Chihuahua" / "n02085620_7").write_text("<annotation/>")
        assert len(find_layout(tmp_path).photographs) == 2
        assert self.protocol(tmp_path) == "folder"

    @pytest.mark.parametrize(("side", "protocol"), [(64, "folder"), (128, "folder"), (129, "kaggle")])
    def test_crops_with_the_names_of_photographs(self, tmp_path: Path, side: int, protocol: str) -> None:
        for i in range(3):
            save(tmp_path / f"n02085620_{i}.png", (side, side))
        (tmp_path / "n02085620_9.png").write_text("not a picture")
        assert self.protocol(tmp_path) == protocol

    def test_nearly_all_is_enough(self, tmp_path: Path) -> None:
        paths = [save(tmp_path / f"n02085620_{i}.jpg", (200, 90)) for i in range(198)]
        extra = [save(tmp_path / f"mine {i}.jpg") for i in range(3)]
        assert folder_set([*paths, *extra[:2]]).protocol == "kaggle"
        assert folder_set([*paths, *extra]).protocol == "folder"

    def test_nothing_to_be_read(self, tmp_path: Path) -> None:
        for i in range(2):
            (tmp_path / f"n02085620_{i}.jpg").write_text("not a picture")
        assert self.protocol(tmp_path) == "folder"


def test_the_450_photographs_are_kaggle(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "stanford-dogs/all-dogs-450.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:40]
        archive.extractall(tmp_path, names)
    real = open_real(tmp_path)
    assert (real.protocol, len(real.pictures)) == ("kaggle", 40)


def test_a_folder_has_no_splits(dog_tree: Path) -> None:
    with pytest.raises(DogganError, match=r"is a folder and has no split 'heldout'; leave it out"):
        open_real(dog_tree, "heldout")


def test_an_ambiguous_layout_is_not_searched_for_pictures(tmp_path: Path) -> None:
    for i, folder in enumerate(("all-dogs", "Images/n02085620-Chihuahua")):
        save(tmp_path / folder / f"n02085620_{i}.jpg")
    with pytest.raises(DogganError, match="more than one folder of photographs"):
        find_photographs(tmp_path)


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
    assert (real.size, real.training, real.distance_to) == ((32, 32), None, "training")
    np.testing.assert_array_equal(real.pictures.read(slice(0, 32)).images, training)
    assert real.pictures.name(3) == "photo-3"
    assert [len(open_real(path, split).pictures) for split in SPLITS] == [32, 8, 40]
    assert open_real(path, "all").distance_to == "real"


def test_heldout_pictures_come_with_the_training_pictures(tiny_images: ImageSet, tmp_path: Path) -> None:
    tiny_images.save(tmp_path / "tiny.npz")
    real = open_real(tmp_path / "tiny.npz", "heldout")
    assert "held-out split" in real.description
    assert real.training is not None
    assert real.distance_to == "training"
    np.testing.assert_array_equal(real.training.read(slice(0, 32)).images, tiny_images.training().images)
    assert real.training.name(3) == "photo-3"


def test_the_crop_rule_is_named(tiny_images: ImageSet) -> None:
    from dataclasses import replace

    assert "(square, all)" in crops_set(replace(tiny_images, crop="square"), "all").description


def test_an_empty_split(tiny_images: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "tiny.npz"
    tiny_images.training().save(path)
    with pytest.raises(DogganError, match=r"tiny\.npz has 0 pictures in the split 'heldout'"):
        open_real(path, "heldout")
