"""Precision and recall (Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative
Models") and density and coverage (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics").
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PRECISION_K = 3  # the neighbours of Kynkäänniemi et al.
DENSITY_K = 5  # of Naeem et al.

_ROWS = 512  # a block of distances to 20,000 rows is 82 MB


class Prdc(NamedTuple):
    """Fidelity (precision, density) and diversity (recall, coverage). Density may exceed 1, the others not."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(generated: ArrayLike, real: ArrayLike, k: int = PRECISION_K, density_k: int = DENSITY_K) -> Prdc:
    """Precision, recall, density and coverage of generated features.

    Around each image lies a ball that reaches to its k-th nearest neighbour in its own set, the image itself
    not counted. Precision is the share of generated images inside a real ball, recall the share of real ones
    inside a generated ball. Density is the mean number of real balls around a generated image divided by k,
    coverage the share of real balls that hold a generated image. The two papers use different k, so each pair
    has its own; the package `prdc` of the second paper uses one for all four. Balls are closed, as the first
    paper defines them. All four depend on the numbers of images.

    Distances are Euclidean, in float64. Those that are nothing but rounding count as zero, so copies lie in
    each other's balls whatever their radius. Blocks of 512 rows of the distances exist at a time.

    Args:
        generated, real: features [N, D] and [M, D] with more rows than either k.
        k: neighbours of precision and recall.
        density_k: neighbours of density and coverage.

    Raises:
        ValueError: too few rows, shapes that do not match, or values that are not finite.
    """
    fake, true = np.asarray(generated, np.float64), np.asarray(real, np.float64)
    if min(k, density_k) < 1:
        raise ValueError(f"k must be at least 1, not {k} and {density_k}")
    least = max(k, density_k) + 1
    if fake.ndim != 2 or true.ndim != 2 or fake.shape[1] != true.shape[1] or min(len(fake), len(true)) < least:
        raise ValueError(
            f"{least - 1} neighbours need features [N, D] and [M, D] with N, M ≥ {least}, "
            f"not {fake.shape} and {true.shape}"
        )
    if not (np.isfinite(fake).all() and np.isfinite(true).all()):
        raise ValueError("features hold values that are not finite")
    fake_norms, true_norms = _squares(fake), _squares(true)
    (fake_radius,) = _radii(fake, fake_norms, k)
    true_radius, density_radius = _radii(true, true_norms, k, density_k)
    precise, balls, recalled, covered = 0, 0, np.zeros(len(true), bool), np.zeros(len(true), bool)
    for i in range(0, len(fake), _ROWS):
        rows = slice(i, i + _ROWS)
        distance = _distances(fake[rows], fake_norms[rows], true, true_norms)
        precise += int((distance <= true_radius).any(axis=1).sum())
        recalled |= (distance <= fake_radius[rows, None]).any(axis=0)
        inside = distance <= density_radius
        balls += int(inside.sum())
        covered |= inside.any(axis=0)
    return Prdc(precise / len(fake), float(recalled.mean()), balls / (density_k * len(fake)), float(covered.mean()))


def _squares(rows: Array) -> Array:
    return np.einsum("nd,nd->n", rows, rows)


def _radii(rows: Array, norms: Array, *ks: int) -> list[Array]:
    """For each k the squared distance of every row to its k-th nearest other row."""
    radii = [np.empty(len(rows)) for _ in ks]
    for i in range(0, len(rows), _ROWS):
        block = slice(i, i + _ROWS)
        # The row itself is at distance zero, so it is the 0-th.
        distance = np.partition(_distances(rows[block], norms[block], rows, norms), ks, axis=1)
        for radius, k in zip(radii, ks, strict=True):
            radius[block] = distance[:, k]
    return radii


def _distances(a: Array, a_norms: Array, b: Array, b_norms: Array) -> Array:
    """Squared Euclidean distances; those within rounding of zero are zero."""
    total = a_norms[:, None] + b_norms
    distance = a @ b.T
    distance *= -2
    distance += total
    total *= 4 * a.shape[1] * np.finfo(np.float64).eps  # bounds the rounding of the product
    distance[distance < total] = 0
    return distance
