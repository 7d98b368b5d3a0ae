"""The Fréchet distance between two Gaussians fitted to features (FID)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def statistics(features: ArrayLike) -> tuple[Array, Array]:
    """Mean and unbiased covariance of the rows.

    Args:
        features: [N, D], N ≥ 2.

    Returns:
        mean float64 [D] and covariance float64 [D, D], divided by N − 1.

    Raises:
        ValueError: fewer than two rows, or a value that is not finite.
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"a covariance needs features [N, D] with N ≥ 2, not shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("features hold values that are not finite")
    return rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False))


def frechet_distance(mu1: ArrayLike, cov1: ArrayLike, mu2: ArrayLike, cov2: ArrayLike) -> float:
    """‖μ1 − μ2‖² + tr(C1) + tr(C2) − 2 tr √(C1 C2), in float64 (Heusel et al. 2017, equation 6).

    C1 C2 has the eigenvalues of the symmetric S C2 S with S = √C1, so two symmetric eigendecompositions give
    the trace. Unlike a general matrix square root this needs no offset when a covariance is singular (fewer
    samples than dimensions) and never leaves the real numbers.

    Args:
        mu1, mu2: [D].
        cov1, cov2: symmetric [D, D].

    Returns:
        The distance, 0 for equal Gaussians up to rounding (which is not clipped away).
    """
    mean1, mean2 = np.asarray(mu1, np.float64), np.asarray(mu2, np.float64)
    c1, c2 = np.asarray(cov1, np.float64), np.asarray(cov2, np.float64)
    root = _square_root(c1)
    product = root @ c2 @ root
    # The product is symmetric but for rounding, and eigvalsh reads one triangle only.
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    trace = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    difference = mean1 - mean2
    return float(difference @ difference + np.trace(c1) + np.trace(c2) - 2 * trace)


def _square_root(covariance: Array) -> Array:
    """The symmetric square root; eigenvalues below zero are rounding and count as zero."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
