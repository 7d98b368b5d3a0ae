"""How far apart pictures lie: what falls when a generator collapses."""

import numpy as np
from numpy.typing import NDArray


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
