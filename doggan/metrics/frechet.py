"""The Fréchet distance between two Gaussians fitted to features (FID)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpstrf

Array = NDArray[np.float64]

_ROWS = 4096  # fewer make the copies of the [D, D] products felt


def statistics(features: ArrayLike) -> tuple[Array, Array]:
    """Mean and unbiased covariance of the rows.

    Beyond the inputs there are 4,096 rows in float64 and a few [D, D] at a time, whatever N.

    Args:
        features: [N, D], N ≥ 2.

    Returns:
        mean float64 [D] and covariance float64 [D, D], divided by N − 1.

    Raises:
        ValueError: fewer than two rows, or a value that is not finite.
    """
    rows = np.asarray(features)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"a covariance needs features [N, D] with N ≥ 2, not shape {rows.shape}")
    mean = rows.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise ValueError("features hold values that are not finite")
    scatter = np.zeros((len(mean), len(mean)))
    for i in range(0, len(rows), _ROWS):
        centred = rows[i : i + _ROWS] - mean
        scatter += centred.T @ centred  # NumPy sees the symmetry and does half the work
    return mean, scatter / (len(rows) - 1)


def frechet_distance(mu1: ArrayLike, cov1: ArrayLike, mu2: ArrayLike, cov2: ArrayLike) -> float:
    """‖μ1 − μ2‖² + tr(C1) + tr(C2) − 2 tr √(C1 C2), in float64 (Heusel et al. 2017, equation 6).

    With C1 = F Fᵀ, C1 C2 has the eigenvalues of the symmetric Fᵀ C2 F and zeros, and the trace is the sum of their
    roots. Unlike a general matrix square root this never leaves the real numbers, and needs no offset when a
    covariance is singular (fewer samples than dimensions): F then has as many columns as the rank. The two
    covariances take the parts that give fewer eigenvalues, since the root of one that should be zero magnifies
    its rounding.

    Args:
        mu1, mu2: [D].
        cov1, cov2: symmetric [D, D].

    Returns:
        The distance, 0 for equal Gaussians up to rounding (which is not clipped away).

    Raises:
        ValueError: the shapes do not match, or a value is not finite.
    """
    mean1, mean2 = np.asarray(mu1, np.float64), np.asarray(mu2, np.float64)
    c1, c2 = np.asarray(cov1, np.float64), np.asarray(cov2, np.float64)
    if mean1.ndim != 1 or mean2.shape != mean1.shape or not c1.shape == c2.shape == 2 * mean1.shape:
        raise ValueError(
            "the distance needs two means [D] and two covariances [D, D], "
            f"not {mean1.shape}, {mean2.shape}, {c1.shape} and {c2.shape}"
        )
    if not all(np.isfinite(x).all() for x in (mean1, mean2, c1, c2)):
        raise ValueError("means or covariances hold values that are not finite")
    factor1, factor2 = _factor(c1), _factor(c2)
    factor, other = (factor1, c2) if factor1.shape[1] <= factor2.shape[1] else (factor2, c1)
    product = factor.T @ other @ factor
    # The product is symmetric but for rounding, and eigvalsh reads one triangle only.
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    trace = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    difference = mean1 - mean2
    return float(difference @ difference + np.trace(c1) + np.trace(c2) - 2 * trace)


def _factor(covariance: Array) -> Array:
    """F [D, rank] with F Fᵀ the covariance: Cholesky's with pivots, which ends where only rounding is left."""
    lower, pivots, rank, _ = dpstrf(covariance, lower=1)  # the fourth says whether the rank is below D
    factor = np.empty((len(covariance), rank))
    factor[pivots - 1] = np.tril(lower[:, :rank])  # LAPACK counts from one
    return factor
