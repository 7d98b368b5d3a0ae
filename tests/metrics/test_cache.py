import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from PIL import Image

from doggan.metrics import cache as module
from doggan.metrics.cache import FeatureCache, Features, features_of
from doggan.metrics.pace import Pace, TimeUp
from doggan.metrics.pictures import Part, Pixels, Squashed


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
        return Part(self.images[index], index, self.digest(part))


class Files(Squashed):
    """Three pictures of one colour; `between` is called between naming a part and reading it."""

    def __init__(self, folder: Path) -> None:
        super().__init__([folder / f"{i}.png" for i in range(3)], 16)
        self.between: Callable[[], object] = lambda: None
        folder.mkdir()
        for i in range(3):
            self.paint(i, 10 * i)

    def paint(self, i: int, grey: int) -> None:
        Image.new("RGB", (20, 20), (grey, grey, grey)).save(self.paths[i])

    def read(self, part: slice) -> Part:
        self.between()
        return super().read(part)


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


def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path: Path) -> None:
    """Its features are those of what was read, and the entry would have the name of what was there before."""
    pictures, cache = Files(tmp_path / "pictures"), FeatureCache(tmp_path / "cache")
    pictures.between = lambda: pictures.paint(1, 200)
    features = of(pictures, FakeExtractor(), cache)
    assert features.rows[1, 0] == pytest.approx(200 / 255)
    pictures.between = lambda: None
    pictures.paint(1, 10)  # as it was when it was named
    assert of(pictures, FakeExtractor(), cache).rows[1, 0] == pytest.approx(10 / 255)


def test_a_file_that_cannot_be_had_is_tried_again(tmp_path: Path) -> None:
    pictures, cache, extractor = Files(tmp_path / "pictures"), FeatureCache(tmp_path / "cache"), FakeExtractor()
    aside = tmp_path / "aside.png"
    pictures.between = lambda: pictures.paths[1].exists() and pictures.paths[1].rename(aside)
    np.testing.assert_array_equal(of(pictures, extractor, cache).index, [0, 2])  # gone after it was named
    np.testing.assert_array_equal(of(pictures, extractor, cache).index, [0, 2])  # and before
    pictures.between = lambda: None
    aside.rename(pictures.paths[1])
    np.testing.assert_array_equal(of(pictures, extractor, cache).index, [0, 1, 2])
    pictures.paths[2].write_text("not a picture")
    for _ in range(2):
        np.testing.assert_array_equal(of(pictures, extractor, cache).index, [0, 1])
    assert sum(extractor.sizes) == 2 + 2 + 3 + 2  # that one is remembered


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


TWO_AT_ONCE = """
import sys
from pathlib import Path
import numpy as np
from fake_extractor import FakeExtractor
from doggan.metrics import cache
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Pixels

cache.CHUNK = 10
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
for i in range(25):
    images = np.random.default_rng(i % 3).integers(0, 256, (25, 16, 16, 3), dtype=np.uint8)
    with Pace(25, "test") as pace:
        features = cache.features_of(Pixels(images), FakeExtractor(), pace, cache.FeatureCache(folder, limit))
    assert np.array_equal(features.rows, FakeExtractor().features(images)), i
assert "keras" not in sys.modules
"""


@pytest.mark.parametrize("entries", [4, 1000])
def test_two_processes_at_once(tmp_path: Path, entries: int) -> None:
    """On one folder, with room for less than the nine entries and with room for all."""
    folder, limit = tmp_path / "features", entries * 17_000
    command = [sys.executable, "-c", TWO_AT_ONCE, str(folder), str(limit)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    names = [path.name for path in folder.iterdir()]
    assert all(name.endswith(".features") and not name.startswith(".") for name in names)
    assert len(names) == 9 if entries == 1000 else len(names) <= 9
    assert sum(path.stat().st_size for path in folder.iterdir()) <= limit


def test_a_cache_that_cannot_be_written_says_so(images: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "features")
    np.testing.assert_array_equal(of(Pixels(images), FakeExtractor(), cache).rows, FakeExtractor().features(images))
    assert cache.trouble is not None
    assert str(cache.folder) in cache.trouble


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOGGAN_CACHE", str(tmp_path))
    assert FeatureCache().folder == tmp_path / "features"
