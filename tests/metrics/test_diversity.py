import cv2
import numpy as np
import pytest

from doggan.metrics.diversity import mean_pairwise_distance


def blobs(n: int, seed: int) -> np.ndarray:
    """Smooth coloured pictures."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    return np.stack([cv2.resize(x, (32, 32), interpolation=cv2.INTER_CUBIC) for x in small])


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
