import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.evaluation import read_generated
from doggan.metrics.pictures import squash
from doggan.metrics.protocols import RealSet, crops_set, kaggle_set
from doggan.submission import write_submission

KAGGLE = kaggle_set([])


@pytest.fixture
def crops(tiny_images: ImageSet) -> RealSet:
    """Of 32×32 pixels."""
    return crops_set(tiny_images)


def noise(n: int, side: int = 64, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def folder_of(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / f"{i}.png")
    return folder


def test_a_submission(tmp_path: Path, crops: RealSet) -> None:
    images = noise(12)
    write_submission([images], tmp_path / "images.zip", 12)
    generated = read_generated(tmp_path / "images.zip", KAGGLE)
    np.testing.assert_array_equal(generated.images, images)
    assert (generated.n_skipped, generated.notes, generated.sampled) == (0, (), None)
    assert generated.names == tuple(str(i) for i in range(12))
    with pytest.raises(DogganError, match=r"0\.png is 64×64 pixels, not 32×32"):
        read_generated(tmp_path / "images.zip", crops)
    write_submission([noise(3, 32)], tmp_path / "small.zip", 3, 32)
    assert read_generated(tmp_path / "small.zip", crops).images.shape == (3, 32, 32, 3)


def test_a_submission_with_other_names(tmp_path: Path) -> None:
    """The competition took any names."""
    images = noise(3)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name, image in zip(("dog-b", "dog-a", "7"), images, strict=True):
            archive.writestr(f"{name}.png", cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    generated = read_generated(tmp_path / "images.zip", KAGGLE)
    assert generated.names == ("7", "dog-a", "dog-b")
    np.testing.assert_array_equal(generated.images, images[::-1])


def test_a_submission_of_one_picture(tmp_path: Path) -> None:
    write_submission([noise(1)], tmp_path / "one.zip", 1)
    with pytest.raises(DogganError, match=r"one\.zip gives 1 pictures and a score needs two"):
        read_generated(tmp_path / "one.zip", KAGGLE)


def test_not_a_submission(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(DogganError, match=r"a\.txt"):
        read_generated(tmp_path / "x.zip", KAGGLE)
    with pytest.raises(DogganError, match="absent does not exist; give a submission, a folder"):
        read_generated(tmp_path / "absent", KAGGLE)


def test_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    images = noise(11)
    folder = folder_of(tmp_path / "fake", images)
    Image.fromarray(images[0]).save(folder / "z.jpeg")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_text("not a picture")
    generated = read_generated(folder, KAGGLE)
    assert generated.names == ("0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9", "z")
    np.testing.assert_array_equal(generated.images[:3], images[[0, 1, 10]])


def test_grey_alpha_and_palettes(tmp_path: Path) -> None:
    images = noise(2)
    folder = folder_of(tmp_path / "fake", images)
    Image.fromarray(images[0, ..., 0]).save(folder / "grey.png")
    Image.fromarray(noise(1, 64, 4)[0]).save(folder / "rgba.png")
    generated = read_generated(folder, KAGGLE).images
    np.testing.assert_array_equal(generated[2], np.repeat(images[0, ..., :1], 3, axis=-1))
    np.testing.assert_array_equal(generated[3], noise(1, 64, 4)[0, ..., :3])


def test_sixteen_bits_name_the_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "fake", noise(2))
    cv2.imwrite(str(folder / "deep.png"), np.full((64, 64, 3), 999, np.uint16))
    with pytest.raises(DogganError, match=r"deep\.png has 16 bits"):
        read_generated(folder, KAGGLE)


def test_damaged_files_are_counted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "fake", noise(4))
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:2000])
    (folder / "0.png").write_text("")
    generated = read_generated(folder, KAGGLE)
    assert (len(generated.images), generated.n_skipped, generated.names) == (2, 2, ("2", "3"))
    (folder / "3.png").write_text("")
    with pytest.raises(DogganError, match=r"holds 1 pictures .* that can be read and a score needs two"):
        read_generated(folder, KAGGLE)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DogganError, match="holds 0 pictures"):
        read_generated(tmp_path, KAGGLE)


def test_sizes_that_differ_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "fake", noise(3))
    Image.new("RGB", (50, 64)).save(folder / "9.png")
    with pytest.raises(DogganError, match=r"0\.png is 64×64 pixels and 9\.png is 50×64 pixels"):
        read_generated(folder, KAGGLE)


def test_kaggle_squashes_other_sizes_and_says_so(tmp_path: Path) -> None:
    images = noise(3, 96)
    expected = np.stack([squash(Image.fromarray(image), 64) for image in images])
    np.savez(tmp_path / "fake.npz", images=images)
    for source in (folder_of(tmp_path / "fake", images), tmp_path / "fake.npz"):
        generated = read_generated(source, KAGGLE)
        np.testing.assert_array_equal(generated.images, expected)
        assert generated.notes == ("the generated pictures are 96×96 pixels and were squashed to 64×64 pixels",)


def test_crops_must_have_the_size_of_the_set(tmp_path: Path, crops: RealSet) -> None:
    folder = folder_of(tmp_path / "fake", noise(3, 48))
    with pytest.raises(DogganError, match="is 48×48 pixels and the real pictures are 32×32 pixels"):
        read_generated(folder, crops)
    assert read_generated(folder_of(tmp_path / "right", noise(3, 32)), crops).images.shape == (3, 32, 32, 3)


@pytest.mark.parametrize("key", ["images", "arr_0"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_npz(tmp_path: Path, crops: RealSet, key: str, channels: int) -> None:
    images = noise(5, 32, channels)
    np.savez(tmp_path / "fake.npz", **{key: images})
    generated = read_generated(tmp_path / "fake.npz", crops).images
    np.testing.assert_array_equal(generated, np.broadcast_to(images, (5, 32, 32, 3)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": noise(3, 32)}, "no pictures under `images` or `arr_0`"),
        ({"images": noise(3, 32) / 255}, "holds float64"),
        ({"images": noise(3, 32)[..., 0]}, "uint8 .N, H, W, 1 or 3."),
        ({"images": noise(3, 32, 4)}, "uint8 .N, H, W, 1 or 3."),
        ({"images": np.array([None])}, "no pictures"),
        ({"images": noise(1, 32)}, "gives 1 pictures"),
        ({"images": noise(3, 40)}, "is 40×40 pixels and the real pictures are 32×32"),
    ],
)
def test_an_npz_that_will_not_do(tmp_path: Path, crops: RealSet, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "fake.npz", **arrays)
    with pytest.raises(DogganError, match=message):
        read_generated(tmp_path / "fake.npz", crops)


def test_an_npy_under_the_name_of_an_npz(tmp_path: Path, crops: RealSet) -> None:
    with (tmp_path / "fake.npz").open("wb") as file:
        np.save(file, noise(3, 32))
    with pytest.raises(DogganError, match=r"fake\.npz holds no pictures .* single array"):
        read_generated(tmp_path / "fake.npz", crops)


def test_a_damaged_npz(tmp_path: Path, crops: RealSet) -> None:
    (tmp_path / "fake.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DogganError, match=r"fake\.npz holds no pictures"):
        read_generated(tmp_path / "fake.npz", crops)
