"""The competition's memorization distance and MiFID (Bai et al. 2021, "On Training Sample Memorization").

The direction matters. Kaggle asks of each *generated* image how near the nearest *training* image is; the
reverse (torchmetrics) would not notice a generator that repeats two training images.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

PUBLIC_EPSILON = 0.1
TINY = 1e-15  # of the released scorer; the public kernels add 1e-14

_GENERATED_ROWS, _REAL_ROWS = 1024, 2048  # a block of cosines is 17 MB


def memorization_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Mean over generated rows of the smallest 1 − |cosine| to a real row, in float64.

    Rows whose sum is zero are dropped, as the scorer does. Only blocks of the cosine matrix exist at a time,
    so beyond the inputs the memory stays below 150 MB for 2048 dimensions, whatever the number of rows.

    Args:
        generated, real: features [N, D] and [M, D].

    Raises:
        ValueError: the shapes do not match, a value is not finite, or no row with a non-zero sum is left.
    """
    fake, true = _usable(generated, "generated"), _usable(real, "real")
    if fake.shape[1] != true.shape[1]:
        raise ValueError(f"generated features have {fake.shape[1]} dimensions, real ones {true.shape[1]}")
    nearest = np.zeros(len(fake))  # the largest |cosine| so far
    for r in range(0, len(true), _REAL_ROWS):
        block = _normalised(true[r : r + _REAL_ROWS])
        for g in range(0, len(fake), _GENERATED_ROWS):
            cosine = _normalised(fake[g : g + _GENERATED_ROWS]) @ block.T
            np.abs(cosine, out=cosine)
            best = nearest[g : g + _GENERATED_ROWS]
            np.maximum(best, cosine.max(axis=1), out=best)
    return float(np.mean(1.0 - nearest))


def mifid(fid: float, distance: float, epsilon: float = PUBLIC_EPSILON) -> float:
    """FID / (m + 1e-15), where m is the memorization distance below `epsilon` and 1 from `epsilon` on."""
    return fid / ((distance if distance < epsilon else 1.0) + TINY)


def _usable(features: ArrayLike, name: str) -> NDArray[np.floating]:
    rows = np.asarray(features)
    if rows.ndim != 2:
        raise ValueError(f"{name} features must be [N, D], not shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} features hold values that are not finite")
    sums = rows.sum(axis=1, dtype=np.float64)
    kept = rows if sums.all() else rows[sums != 0]
    if not len(kept):
        raise ValueError(f"no {name} features with a non-zero sum")
    return kept


def _normalised(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    unit = rows.astype(np.float64)
    unit /= np.sqrt(np.einsum("nd,nd->n", unit, unit))[:, None]
    return unit
