"""Cheap scores while training: KID on random features, and how far apart pictures lie."""

import numpy as np
from numpy.typing import NDArray

from doggan.metrics.kid import kid
from doggan.metrics.random_features import random_features


class RandomKID:
    """KID between fixed real images and fake ones on `random_features` ("random-kid").

    A score of its own: it says whether colour, contrast and texture approach those of the real images, and
    must not be compared with a KID on Inception features.

    Args:
        real_images: uint8 [N, H, W, C].
        max_real: no more than this many, drawn without replacement by `seed`, stand for them.
        seed: of that draw.

    Example:
        score = RandomKID(heldout_images)
        score(samples)  # near 0 for samples like the held-out images
    """

    name = "random-kid"

    def __init__(self, real_images: NDArray[np.uint8], *, max_real: int = 2000, seed: int = 0) -> None:
        if len(real_images) > max_real:
            index = np.random.default_rng(seed).choice(len(real_images), max_real, replace=False)
            real_images = real_images[np.sort(index)]
        self.image_shape = real_images.shape[1:]
        self._real = random_features(real_images)

    def __call__(self, fake_images: NDArray[np.uint8]) -> float:
        """The unbiased estimate for uint8 [M, H, W, C] of the real images' size, M ≥ 3; may be below 0."""
        if fake_images.shape[1:] != self.image_shape:
            raise ValueError(f"fake images are {fake_images.shape[1:]}, the real ones {self.image_shape}")
        return kid(self._real, random_features(fake_images)).value


def mean_pairwise_distance(images: NDArray[np.uint8], *, max_pairs: int = 10_000, seed: int = 0) -> float:
    """Mean over pairs of different images of their root mean square difference, on a scale where white −
    black is 1.

    A generator that collapsed to one picture has 0; independent uniform noise has √(1/6) ≈ 0.41.

    Args:
        images: uint8 [N, ...], N ≥ 2.
        max_pairs: all pairs if there are no more than this many, else this many drawn by `seed`, with
            replacement.
        seed: of that draw.
    """
    n = len(images)
    if images.dtype != np.uint8 or n < 2:
        raise ValueError(f"pairs need at least two images of uint8, not {images.dtype} {images.shape}")
    if n * (n - 1) // 2 <= max_pairs:
        first, second = np.triu_indices(n, k=1)
    else:
        random = np.random.default_rng(seed)
        first = random.integers(0, n, max_pairs)
        second = (first + random.integers(1, n, max_pairs)) % n  # never the same image
    flat = images.reshape(n, -1)
    total = 0.0
    for start in range(0, len(first), 256):
        a, b = flat[first[start : start + 256]], flat[second[start : start + 256]]
        difference = a.astype(np.float32) - b.astype(np.float32)
        total += float(np.sqrt(np.mean(difference**2, axis=1, dtype=np.float64)).sum())
    return total / len(first) / 255
