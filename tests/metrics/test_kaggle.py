import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from doggan.errors import DogganError
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.inception import find_inception, load_inception
from doggan.metrics.kaggle import RealFeatures, Score, real_features, score_submission, squashed
from doggan.metrics.memorization import memorization_distance
from doggan.metrics.pace import Pace, TimeUp


class Pixels:
    """Stands in for Inception: 48 pixels as features; remembers the batches it was given."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []

    def features(self, images: np.ndarray, *, batch_size: int, pace: Pace) -> np.ndarray:
        for start in range(0, len(images), batch_size):
            time.sleep(self.seconds)
            self.sizes.append(len(images[start : start + batch_size]))
            pace.advance(self.sizes[-1])
        return images[:, 8::16, 8::16].reshape(len(images), -1).astype(np.float32)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(12):
        path = tmp_path / f"dog {i}.jpg"
        small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(small).resize((90 + i, 70)).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def generated() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)


def pixels(images: list[np.ndarray] | np.ndarray) -> np.ndarray:
    return np.asarray(images)[:, 8::16, 8::16].reshape(len(images), -1).astype(np.float32)


def test_squashed_is_pillows_antialiased_resize(tmp_path: Path) -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, ::2] = 255  # stripes of one pixel: an antialiased half is grey
    path = tmp_path / "stripes.png"
    Image.fromarray(picture).save(path)
    squashed_ = squashed(path)
    assert squashed_ is not None
    assert squashed_.shape == (64, 64, 3)
    assert squashed_.dtype == np.uint8
    np.testing.assert_allclose(squashed_[:, 4:-4], 127.5, atol=3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "I;16", "1"])
def test_squashed_takes_any_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"dog{'.tif' if mode == 'CMYK' else '.png'}"
    Image.new(mode, (20, 30)).save(path)
    squashed_ = squashed(path)
    assert squashed_ is not None
    assert squashed_.shape == (64, 64, 3)


def test_score(photographs: list[Path], generated: np.ndarray) -> None:
    network: Any = Pixels()
    score = score_submission(generated, photographs, network, batch_size=5)
    real = pixels([np.asarray(Image.open(p).resize((64, 64), Image.Resampling.LANCZOS)) for p in photographs])
    fake = pixels(generated)
    assert score.fid == pytest.approx(frechet_distance(*statistics(fake), *statistics(real)))
    assert score.memorization_distance == pytest.approx(memorization_distance(fake, real))
    assert score.memorization_distance > 0.1
    assert score.mifid == pytest.approx(score.fid)
    assert (score.n_generated, score.n_real, score.n_skipped, score.protocol) == (10, 12, 0, "kaggle")
    assert network.sizes == [5, 5, 5, 5, 2]


def test_copies_are_punished(photographs: list[Path]) -> None:
    network: Any = Pixels()
    copies = np.stack([picture for picture in map(squashed, photographs) if picture is not None])
    score = score_submission(copies, photographs, network)
    assert score.memorization_distance == pytest.approx(0, abs=1e-12)
    assert score.mifid == pytest.approx(score.fid / (score.memorization_distance + 1e-15))


def test_features_may_be_given(photographs: list[Path], generated: np.ndarray) -> None:
    network: Any = Pixels()
    real = real_features(photographs, network)
    assert isinstance(real, RealFeatures)
    whole = score_submission(generated, photographs, network)
    assert score_submission(generated, real, network) == whole
    assert score_submission(generated, real.features, network) == whole


def test_corrupt_photographs_are_skipped_and_counted(photographs: list[Path], generated: np.ndarray) -> None:
    network: Any = Pixels()
    whole = score_submission(generated, photographs[2:], network)
    photographs[0].write_bytes(photographs[0].read_bytes()[:900])
    photographs[1].write_text("not a picture")
    missing = photographs[0].with_name("missing.jpg")
    score = score_submission(generated, [*photographs, missing], network, batch_size=4)
    assert score.fid == pytest.approx(whole.fid)
    assert (score.n_real, score.n_skipped) == (10, 3)
    assert "3 unreadable left out" in str(score)


def test_no_photographs(photographs: list[Path], generated: np.ndarray) -> None:
    network: Any = Pixels()
    with pytest.raises(DogganError, match="Only 0 of 0 photographs"):
        score_submission(generated, [], network)
    for path in photographs[1:]:
        path.write_text("")
    with pytest.raises(DogganError, match=f"Only 1 of 12 photographs in {photographs[0].parent} can be read"):
        score_submission(generated, photographs, network)


def test_time_up_before_the_deadline(photographs: list[Path], generated: np.ndarray) -> None:
    """Twenty-two images of 0.05 s each cannot be done in 0.6 s, and that shows before they have passed."""
    network: Any = Pixels(seconds=0.05)
    begin = time.monotonic()
    with pytest.raises(TimeUp, match="images remain"):
        score_submission(generated, photographs, network, batch_size=1, deadline=begin + 0.6)
    assert time.monotonic() - begin < 0.6
    assert 3 <= len(network.sizes) < 12
    network = Pixels()
    assert score_submission(generated, photographs, network, deadline=time.monotonic() + 600).n_real == 12


def test_other_sizes_are_refused(photographs: list[Path]) -> None:
    network: Any = Pixels()
    with pytest.raises(ValueError, match="64"):
        score_submission(np.zeros((4, 32, 32, 3), np.uint8), photographs, network)


def test_line() -> None:
    score = Score(61.55, 0.21894, 61.55, 10_000, 20_579, 1)
    assert str(score) == (
        "MiFID 61.5500 (FID 61.5500, memorization distance 0.2189): inception-2015-12-05 pool_3, "
        "protocol kaggle, 10,000 generated against 20,579 real images, 1 unreadable left out"
    )
    assert "unreadable" not in str(Score(1.0, 0.2, 1.0, 2, 2))


def test_with_the_network(photographs: list[Path], generated: np.ndarray, shared_data: Path) -> None:
    path = find_inception(shared_data)
    assert path is not None
    inception = load_inception(path)
    score = score_submission(generated[:4], photographs[:4], inception, batch_size=4)
    assert score.fid > 100  # noise against smooth colours
    assert 0.1 < score.memorization_distance < 1
