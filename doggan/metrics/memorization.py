"""The competition's memorization distance and MiFID (Bai et al. 2021, "On Training Sample Memorization").

The direction matters. Kaggle asks of each *generated* image how near the nearest *training* image is; the
reverse (torchmetrics) would not notice a generator that repeats two training images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

PUBLIC_EPSILON = 0.1
SCORER_TINY = 1e-15
"""Added to the distance by the scorer that the organisers released, and by every MiFID of this package."""
KERNEL_TINY = 1e-14
"""Added by the public evaluator kernels instead: to repeat a number of theirs, hand it to `mifid`.

It is seen in four digits only where the distance is below 1e-10, which means copies: above ε the two scores differ by
1e-14 of their value.
"""

_GENERATED_ROWS, _REAL_ROWS = 1024, 2048  # a block of cosines is 8 MB
_PAIRS = 1024  # pairs of rows at a time in float64
_MANY_PAIRS = 8 * _PAIRS  # about where a float64 matrix product over the whole block becomes cheaper


def nearest(generated: ArrayLike, real: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each generated row the nearest real row by 1 − |cosine|.

    Rows whose sum is zero are dropped on both sides, as the scorer does. The result is that of float64: a
    float32 product bounds every cosine, and those that may be the largest are computed again. Only blocks of
    the cosine matrix exist at a time, so beyond the inputs the memory stays below 130 MB for 2048 dimensions,
    whatever the number of rows.

    Args:
        generated, real: features [N, D] and [M, D].

    Returns:
        distance float64 [N], from 0 (a copy, or a multiple) to 1, and index int64 [N] into `real` as given.
        A dropped generated row has the distance NaN and the index −1.

    Raises:
        ValueError: the shapes do not match, values that are not finite (or too large or small to be squared), or no row
            with a non-zero sum is left.
    """
    fake, true = _usable(generated, "generated"), _usable(real, "real")
    if fake.features.shape[1] != true.features.shape[1]:
        raise ValueError(
            f"generated features have {fake.features.shape[1]} dimensions, real ones {true.features.shape[1]}"
        )
    largest = np.full(len(fake.kept), -1.0)  # |cosine| so far
    where = np.zeros(len(fake.kept), np.int64)
    for r in range(0, len(true.kept), _REAL_ROWS):
        right = true.part(r, r + _REAL_ROWS)
        columns = right.unit(np.float32).T
        for g in range(0, len(fake.kept), _GENERATED_ROWS):
            block = slice(g, g + _GENERATED_ROWS)
            left = fake.part(g, g + _GENERATED_ROWS)
            _improve(left, right, left.unit(np.float32) @ columns, largest[block], where[block])
    distance = np.full(len(fake.features), np.nan)
    index = np.full(len(fake.features), -1, np.int64)
    distance[fake.kept] = 1.0 - np.minimum(largest, 1.0)  # rounding may leave 1 + 2e-16
    index[fake.kept] = where
    return distance, index


def memorization_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Mean over generated rows of the smallest 1 − |cosine| to a real row: see `nearest`."""
    return mean_distance(nearest(generated, real)[0])


def mean_distance(distances: NDArray[np.float64]) -> float:
    """The memorization distance from the first result of `nearest`: the mean, dropped rows left out."""
    return float(distances[~np.isnan(distances)].mean())


def mifid(fid: float, distance: float, epsilon: float = PUBLIC_EPSILON, tiny: float = SCORER_TINY) -> float:
    """FID / (m + tiny), where m is the memorization distance below `epsilon` and 1 from `epsilon` on."""
    return fid / ((distance if distance < epsilon else 1.0) + tiny)


@dataclass(frozen=True)
class _Rows:
    """Features of which only the rows `kept` count, with the inverse of their lengths."""

    features: NDArray[np.floating]
    kept: NDArray[np.int64]
    inverse: NDArray[np.float64]

    def part(self, start: int, stop: int) -> "_Rows":
        return _Rows(self.features, self.kept[start:stop], self.inverse[start:stop])

    def unit(self, dtype: type, index: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.floating]:
        """Kept rows scaled to length 1."""
        rows = self.features[self.kept[index]]
        scaled: NDArray[np.floating] = np.empty(rows.shape, dtype)
        # Computed in float64 whatever goes in and out, without a float64 array of it all.
        return np.multiply(rows, self.inverse[index, None], out=scaled, dtype=np.float64, casting="same_kind")


def _usable(features: ArrayLike, name: str) -> _Rows:
    rows = np.asarray(features)
    if rows.ndim != 2:
        raise ValueError(f"{name} features must be [N, D], not shape {rows.shape}")
    sums, squares = np.empty(len(rows)), np.empty(len(rows))
    for i in range(0, len(rows), _GENERATED_ROWS):
        part = slice(i, i + _GENERATED_ROWS)
        block = rows[part].astype(np.float64)
        squares[part] = np.einsum("nd,nd->n", block, block)
        if not np.isfinite(squares[part]).all():
            raise ValueError(f"{name} features hold values that are not finite, or whose squares are not")
        sums[part] = block.sum(axis=1)
    kept = np.flatnonzero(sums)
    if not squares[kept].all():
        raise ValueError(f"{name} features hold rows of values so small that their squares vanish")
    if not len(kept):
        raise ValueError(f"no {name} features with a non-zero sum")
    return _Rows(rows, kept, 1 / np.sqrt(squares[kept]))


def _improve(
    left: _Rows,
    right: _Rows,
    cosine: NDArray[np.float32],
    largest: NDArray[np.float64],
    where: NDArray[np.int64],
) -> None:
    """Update `largest` and `where` of the left rows with one block of float32 cosines, in float64.

    A float32 dot product of unit vectors is wrong by at most D u, and the rounding of the vectors adds a few
    u, with u = 2⁻²⁴ (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1). A cosine
    that falls short of the largest by more than that cannot be it.
    """
    np.abs(cosine, out=cosine)
    error = (left.features.shape[1] + 16) * 2.0**-24
    block_largest = cosine.max(axis=1)
    open_rows = np.flatnonzero(block_largest >= largest - error)
    least = np.maximum(largest - error, block_largest - 2 * error)[open_rows, None].astype(np.float32)
    candidates = cosine[open_rows] >= least
    if np.count_nonzero(candidates) > _MANY_PAIRS:
        exact = left.unit(np.float64) @ right.unit(np.float64).T
        np.abs(exact, out=exact)
        row, column = np.arange(len(exact)), exact.argmax(axis=1)
        value = exact[row, column]
    else:
        row, column = np.nonzero(candidates)
        row = open_rows[row]
        value = np.empty(len(row))
        for i in range(0, len(row), _PAIRS):
            pairs = slice(i, i + _PAIRS)
            a, b = left.unit(np.float64, row[pairs]), right.unit(np.float64, column[pairs])
            value[pairs] = np.abs(np.einsum("nd,nd->n", a, b))
    better = np.flatnonzero(value > largest[row])
    # Of several for one row NumPy keeps the last: the largest, and of equal ones the first column.
    order = better[np.lexsort((-column[better], value[better]))]
    largest[row[order]], where[row[order]] = value[order], right.kept[column[order]]
