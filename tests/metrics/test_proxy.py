import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from doggan.metrics.kid import kid
from doggan.metrics.proxy import RandomKID, mean_pairwise_distance
from doggan.metrics.random_features import random_features


def blobs(n: int, seed: int) -> np.ndarray:
    """Smooth coloured pictures."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    return np.stack([cv2.resize(x, (32, 32), interpolation=cv2.INTER_CUBIC) for x in small])


def test_random_kid_is_kid_on_random_features() -> None:
    real, fake = blobs(20, 0), blobs(10, 1)[:, ::-1] // 2
    expected = kid(random_features(real), random_features(fake)).value
    assert RandomKID(real)(fake) == pytest.approx(expected, rel=1e-9)


def test_random_kid_draws_its_real_images_by_seed() -> None:
    real, fake = blobs(30, 0), blobs(10, 1)
    scores = [RandomKID(real, max_real=12, seed=seed)(fake) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_random_kid_refuses_other_sizes() -> None:
    score = RandomKID(blobs(4, 0))
    with pytest.raises(ValueError, match="32"):
        score(np.zeros((4, 64, 64, 3), np.uint8))


def test_ranks_what_a_person_ranks(shared_data: Path) -> None:
    """Real crops < a little blurred < much blurred < grey < noise; likewise tints and shuffled blocks."""
    spec = importlib.util.spec_from_file_location("unpack", shared_data / "unpack.py")
    assert spec is not None
    assert spec.loader is not None
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    rng = np.random.default_rng(0)
    crops = rng.permutation(unpack.crops("a")[0])
    real, others = crops[:500], crops[500:800]

    def blurred(sigma: float) -> np.ndarray:
        return np.stack([cv2.GaussianBlur(x, (0, 0), sigma) for x in others])

    def tinted(by: float) -> np.ndarray:
        return np.clip(others * np.array([1 + by, 1, 1 - by]), 0, 255).astype(np.uint8)

    def shuffled(side: int) -> np.ndarray:
        n = 64 // side
        blocks = others.reshape(-1, n, side, n, side, 3).transpose(0, 1, 3, 2, 4, 5)
        mixed = [rng.permutation(x) for x in blocks.reshape(-1, n * n, side, side, 3)]
        return np.reshape(mixed, (-1, n, n, side, side, 3)).transpose(0, 1, 3, 2, 4, 5).reshape(others.shape)

    score = RandomKID(real)
    same = score(others)
    assert abs(same) < 0.05
    grey = score(np.full_like(others, 128))
    noise = score(rng.integers(0, 256, others.shape, dtype=np.uint8))
    assert same + 0.1 < score(blurred(0.8)) < score(blurred(2)) < grey < noise
    assert same + 0.1 < score(tinted(0.15)) < score(tinted(0.4)) < grey
    assert same + 0.1 < score(shuffled(8)) < score(shuffled(2)) < noise


def test_mean_pairwise_distance_by_hand() -> None:
    images = np.zeros((3, 2, 2, 1), np.uint8)
    images[1] = 255  # at 1 from the first
    images[2, 0] = 255  # half of its pixels: at √½ from both
    assert mean_pairwise_distance(images) == pytest.approx((1 + 2 * np.sqrt(0.5)) / 3)


def test_mean_pairwise_distance_of_one_picture_is_zero() -> None:
    assert mean_pairwise_distance(np.repeat(blobs(1, 0), 10, axis=0)) == 0


def test_mean_pairwise_distance_draws_pairs() -> None:
    images = blobs(100, 0)
    flat = images.reshape(100, -1) / 255
    first, second = np.triu_indices(100, 1)
    every = np.sqrt(((flat[first] - flat[second]) ** 2).mean(axis=1)).mean()
    drawn = mean_pairwise_distance(images, max_pairs=2000)
    assert drawn == pytest.approx(every, rel=0.02)
    assert drawn == mean_pairwise_distance(images, max_pairs=2000)
    assert drawn != mean_pairwise_distance(images, max_pairs=2000, seed=1)
    assert mean_pairwise_distance(images, max_pairs=4950) == pytest.approx(every, rel=1e-6)


def test_mean_pairwise_distance_never_pairs_a_picture_with_itself() -> None:
    images = np.zeros((2, 1, 1, 1), np.uint8)
    images[1] = 255
    assert mean_pairwise_distance(np.tile(images, (1, 4, 4, 1)), max_pairs=1) == 1
    three = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1) * 100
    assert mean_pairwise_distance(three, max_pairs=2) > 0.39


@pytest.mark.parametrize("images", [np.zeros((1, 4, 4, 3), np.uint8), np.zeros((3, 4, 4, 3))])
def test_mean_pairwise_distance_refuses(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least two images of uint8"):
        mean_pairwise_distance(images)
