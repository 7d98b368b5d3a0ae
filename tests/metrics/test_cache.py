import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor

from doggan.metrics import cache as module
from doggan.metrics.cache import FeatureCache, Features, features_of
from doggan.metrics.pace import Pace, TimeUp
from doggan.metrics.pictures import Part, Pixels


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (25, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def chunks_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 10)


class Holes(Pixels):
    """Every third picture cannot be read, nor any from 20 on."""

    def read(self, part: slice) -> Part:
        index = np.array([i for i in range(part.start, part.stop) if i % 3 and i < 20], np.int64)
        return Part(self.images[index], index)


def of(pictures: Pixels, extractor: FakeExtractor, cache: FeatureCache | None) -> Features:
    with Pace(len(pictures), "test") as pace:
        features = features_of(pictures, extractor, pace, cache)
    assert pace.total == pace.done  # what cost no time was taken off
    return features


def test_features_are_computed_once(images: np.ndarray, tmp_path: Path) -> None:
    extractor, cache = FakeExtractor(), FeatureCache(tmp_path)
    expected = FakeExtractor().features(images)
    for _ in range(2):
        features = of(Pixels(images), extractor, cache)
        np.testing.assert_array_equal(features.rows, expected)
        np.testing.assert_array_equal(features.index, np.arange(25))
    assert extractor.sizes == [10, 10, 5]
    np.testing.assert_array_equal(of(Pixels(images), extractor, None).rows, expected)
    assert extractor.sizes == [10, 10, 5] * 2


def test_the_key_is_content_preprocessing_and_extractor(images: np.ndarray, tmp_path: Path) -> None:
    extractor, cache = FakeExtractor(), FeatureCache(tmp_path)
    of(Pixels(images), extractor, cache)
    changed = images.copy()
    changed[12, 3, 3, 1] ^= 1
    of(Pixels(changed), extractor, cache)
    assert extractor.sizes[3:] == [10]  # only the part that holds the changed picture
    other = FakeExtractor()
    other.identity = "fake 2"
    of(Pixels(images), other, cache)
    assert other.sizes == [10, 10, 5]
    resized = Pixels(images)
    resized.preprocessing = "another resize"
    of(resized, extractor, cache)
    assert extractor.sizes[4:] == [10, 10, 5]


def test_unreadable_pictures_are_remembered(images: np.ndarray, tmp_path: Path) -> None:
    extractor, cache = FakeExtractor(), FeatureCache(tmp_path)
    for _ in range(2):
        features = of(Holes(images), extractor, cache)
        np.testing.assert_array_equal(features.index, [i for i in range(20) if i % 3])
        np.testing.assert_array_equal(features.rows, FakeExtractor().features(images[features.index]))
    assert sum(extractor.sizes) == len(features.index)


def test_no_pictures() -> None:
    features = of(Pixels(np.zeros((0, 16, 16, 3), np.uint8)), FakeExtractor(), None)
    assert features.rows.shape == (0, 384)


def test_an_interrupted_computation_goes_on(images: np.ndarray, tmp_path: Path) -> None:
    class Impatient(FakeExtractor):
        def features(self, images, **options):
            if len(self.sizes) == 1:
                raise TimeUp("test")
            return super().features(images, **options)

    cache = FeatureCache(tmp_path)
    with pytest.raises(TimeUp):
        of(Pixels(images), Impatient(), cache)
    rest = FakeExtractor()
    of(Pixels(images), rest, cache)
    assert rest.sizes == [10, 5]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_entry_is_computed_again(images: np.ndarray, tmp_path: Path, damage: str) -> None:
    extractor, cache = FakeExtractor(), FeatureCache(tmp_path)
    features = of(Pixels(images), extractor, cache)
    for path in tmp_path.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes({"cut": data[:-300], "flip": data, "empty": b"", "other": b"text"}[damage])
    again = of(Pixels(images), extractor, cache)
    np.testing.assert_array_equal(again.rows, features.rows)
    assert extractor.sizes == [10, 10, 5] * 2
    of(Pixels(images), extractor, cache)
    assert len(extractor.sizes) == 6  # and kept


def test_the_oldest_used_goes_first(images: np.ndarray, tmp_path: Path) -> None:
    extractor, cache = FakeExtractor(), FeatureCache(tmp_path)
    for i in range(3):
        of(Pixels(images[5 * i : 5 * i + 5]), extractor, cache)
        for path in tmp_path.iterdir():  # an hour passes
            status = path.stat()
            os.utime(path, (status.st_atime - 3600, status.st_mtime - 3600))
    size = path.stat().st_size
    of(Pixels(images[:5]), extractor, cache)  # the first is used again: now the second is the oldest
    of(Pixels(images[15:20]), extractor, FeatureCache(tmp_path, limit=3 * size))
    assert len(list(tmp_path.iterdir())) == 3
    extractor.sizes.clear()
    for i in (0, 2, 3):
        of(Pixels(images[5 * i : 5 * i + 5]), extractor, cache)
    assert extractor.sizes == []
    of(Pixels(images[5:10]), extractor, cache)
    assert extractor.sizes == [5]


def test_many_at_once(images: np.ndarray, tmp_path: Path) -> None:
    """A dozen users of a cache with room for two entries: removed beneath each other, and never a wrong row."""
    of(Pixels(images[:10]), FakeExtractor(), FeatureCache(tmp_path))
    (path,) = tmp_path.iterdir()
    limit = 2 * path.stat().st_size
    path.unlink()
    caches = [FeatureCache(tmp_path, limit) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda cache: of(Pixels(images), FakeExtractor(), cache), caches))
    expected = FakeExtractor().features(images)
    for features in found:
        np.testing.assert_array_equal(features.rows, expected)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit


def test_a_cache_that_cannot_be_written_says_so(images: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "features")
    np.testing.assert_array_equal(of(Pixels(images), FakeExtractor(), cache).rows, FakeExtractor().features(images))
    assert cache.trouble is not None
    assert str(cache.folder) in cache.trouble


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOGGAN_CACHE", str(tmp_path))
    assert FeatureCache().folder == tmp_path / "features"
