from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doggan.errors import DogganError
from doggan.metrics.pictures import Pixels, Squashed, read_picture, squash, stored_size


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def squashed(path: Path, side: int = 64) -> np.ndarray | None:
    """One photograph as `Squashed` reads it."""
    images = Squashed([path], side).read(slice(0, 1)).images
    return images[0] if len(images) else None


def test_squashed_is_pillows_antialiased_resize(tmp_path: Path) -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, ::2] = 255  # stripes of one pixel: an antialiased half is grey
    half = squashed(save(tmp_path / "stripes.png", picture))
    assert half is not None
    assert (half.shape, half.dtype) == ((64, 64, 3), np.uint8)
    np.testing.assert_allclose(half[:, 4:-4], 127.5, atol=3)


def test_squash_is_the_kernels_resize_by_hand() -> None:
    """Lanczos with three lobes to half the width: the weights of the twelve pixels around each centre."""
    pixels = np.random.default_rng(0).integers(60, 190, (64, 128, 3), dtype=np.uint8)
    distance = (np.arange(128) + 0.5) / 2 - (np.arange(64)[:, None] + 0.5)
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("ow,hwc->hoc", weights, pixels)
    np.testing.assert_allclose(squash(Image.fromarray(pixels), 64), expected, atol=0.51)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1"])
def test_squashed_takes_any_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"dog{'.tif' if mode == 'CMYK' else '.png'}"
    Image.new(mode, (20, 30)).save(path)
    picture = squashed(path)
    assert picture is not None
    assert picture.shape == (64, 64, 3)


def test_squashed_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [save(tmp_path / f"{i}.jpg", rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)) for i in range(5)]
    paths[1].write_bytes(paths[1].read_bytes()[:900])
    paths[2].write_text("not a picture")
    pictures = Squashed([*paths, tmp_path / "missing.jpg"], 64)
    assert len(pictures) == 6
    part = pictures.read(slice(1, 6))
    np.testing.assert_array_equal(part.index, [3, 4])
    np.testing.assert_array_equal(part.images[0], squashed(paths[3]))
    assert pictures.name(3) == "3"
    assert pictures.read(slice(1, 3)).images.shape == (0, 64, 64, 3)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    a = save(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    b = save(tmp_path / "b.png", np.ones((9, 9, 3), np.uint8))
    digest = Squashed([a, b], 64).digest(slice(0, 2))
    assert Squashed([b, a], 64).digest(slice(0, 2)) != digest
    moved = a.rename(tmp_path / "c.png")
    assert Squashed([moved, b], 64).digest(slice(0, 2)) == digest
    save(b, np.full((9, 9, 3), 2, np.uint8))
    assert Squashed([moved, b], 64).digest(slice(0, 2)) != digest
    assert Squashed([moved], 64).preprocessing != Squashed([moved], 32).preprocessing


def test_what_was_read_is_named_by_its_own_bytes(tmp_path: Path) -> None:
    """A file that changes between the two gives another digest; one that cannot be had gives none."""
    a = save(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    broken = tmp_path / "b.png"
    broken.write_text("not a picture")
    pictures = Squashed([a, broken], 64)
    whole = slice(0, 2)
    before = pictures.digest(whole)
    assert before is not None
    assert pictures.read(whole).digest == before  # that it is no picture is known for good
    save(a, np.ones((9, 9, 3), np.uint8))
    assert pictures.read(whole).digest == pictures.digest(whole) != before
    a.rename(tmp_path / "elsewhere.png")
    assert pictures.digest(whole) is None
    assert pictures.read(whole).digest is None


def test_the_stored_size_is_the_headers(tmp_path: Path) -> None:
    assert stored_size(save(tmp_path / "a.png", np.zeros((9, 7, 3), np.uint8))) == (7, 9)
    (tmp_path / "b.png").write_text("not a picture")
    assert stored_size(tmp_path / "b.png") is None
    assert stored_size(tmp_path / "missing.png") is None


def test_pixels() -> None:
    grey = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2, 1)
    pictures = Pixels(grey, ["a", "b", "c"])
    part = pictures.read(slice(1, 3))
    np.testing.assert_array_equal(part.images, np.repeat(grey[1:], 3, axis=-1))
    np.testing.assert_array_equal(part.index, [1, 2])
    assert part.digest == pictures.digest(slice(1, 3))
    assert (pictures.name(2), Pixels(grey).name(2)) == ("c", "2")
    assert pictures.digest(slice(0, 2)) == Pixels(grey[:2]).digest(slice(0, 2)) != pictures.digest(slice(1, 3))
    with pytest.raises(ValueError, match="uint8"):
        Pixels(grey.astype(float))


def test_read_picture_converts_as_documented(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(read_picture(save(tmp_path / "grey.png", grey)), np.stack([grey] * 3, axis=-1))
    rgba = rng.integers(0, 256, (5, 6, 4), dtype=np.uint8)
    np.testing.assert_array_equal(read_picture(save(tmp_path / "rgba.png", rgba)), rgba[..., :3])
    palette = Image.fromarray(rgba[..., :3]).quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert read_picture(tmp_path / "broken.png") is None
    assert read_picture(tmp_path / "missing.png") is None


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3)])
def test_sixteen_bits_are_refused_by_name(tmp_path: Path, shape: tuple[int, ...]) -> None:
    import cv2

    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full(shape, 40_000, np.uint16))
    for read in (read_picture, squashed):
        with pytest.raises(DogganError, match=r"deep\.png has 16 bits a channel"):
            read(path)
