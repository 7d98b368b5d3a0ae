import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from doggan.metrics.frechet import _ROWS, frechet_distance, statistics


def test_statistics_by_hand() -> None:
    mean, cov = statistics([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    np.testing.assert_allclose(mean, [2, 3])
    np.testing.assert_allclose(cov, [[4, 2], [2, 4]])  # sums of squares 8, 4, 8 over N − 1 = 2
    assert mean.dtype == cov.dtype == np.float64


def test_one_dimension_is_still_a_matrix() -> None:
    _, cov = statistics(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(cov, [[2]])


@pytest.mark.parametrize("bad", [np.ones((1, 4)), np.ones(4), [[1.0, np.nan], [0.0, 1.0]]])
def test_statistics_refuses(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features"):
        statistics(bad)


def test_diagonal_gaussians() -> None:
    """For commuting covariances: Σ (μ1 − μ2)² + Σ (σ1 − σ2)²."""
    mu1, mu2 = np.array([1.0, -2, 0]), np.array([0.0, 1, 0.5])
    sigma1, sigma2 = np.array([1.0, 2, 0.5]), np.array([3.0, 0.25, 0.5])
    expected = ((mu1 - mu2) ** 2).sum() + ((sigma1 - sigma2) ** 2).sum()
    assert frechet_distance(mu1, np.diag(sigma1**2), mu2, np.diag(sigma2**2)) == pytest.approx(expected, abs=1e-12)


def test_equal_covariances_leave_the_means() -> None:
    cov = np.cov(np.random.default_rng(0).normal(size=(8, 50)))
    assert frechet_distance(np.zeros(8), cov, np.full(8, 0.5), cov) == pytest.approx(2.0, abs=1e-10)


def test_two_by_two_by_hand() -> None:
    """tr √(C1 C2) = √(tr(C1 C2) + 2 √det(C1 C2)) for 2×2."""
    c1, c2 = np.array([[2.0, 1], [1, 2]]), np.array([[1.0, 0], [0, 3]])
    trace = np.sqrt(8 + 2 * np.sqrt(9))  # tr = 2 + 6, det = 3 · 3
    assert frechet_distance([0, 0], c1, [0, 0], c2) == pytest.approx(4 + 4 - 2 * trace, abs=1e-12)


def test_scipy_square_root() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a = statistics(rng.normal(size=(400, 20)) @ rng.normal(size=(20, 20)))
    b = statistics(rng.normal(size=(300, 20)) @ rng.normal(size=(20, 20)) + 0.3)
    root = np.real(sqrtm(a[1] @ b[1]))
    expected = ((a[0] - b[0]) ** 2).sum() + np.trace(a[1] + b[1] - 2 * root)
    assert frechet_distance(*a, *b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(*b, *a) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances() -> None:
    """Twelve samples in 40 dimensions: tr √(C1 C2) is the nuclear norm of the centred cross product."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(12, 40)), rng.normal(size=(12, 40))
    centred = (x - x.mean(0)) @ (y - y.mean(0)).T / 11
    trace = np.linalg.svd(centred, compute_uv=False).sum()
    (mu1, c1), (mu2, c2) = statistics(x), statistics(y)
    expected = ((mu1 - mu2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * trace
    assert frechet_distance(mu1, c1, mu2, c2) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(mu1, c1, mu1, c1) == pytest.approx(0, abs=1e-12)


def test_torch_fidelity_and_scipy() -> None:
    """Literals by `fid_statistics_to_metric` of torch-fidelity 0.4.0 and by `sqrtm` of SciPy 1.17.1."""
    random = np.random.RandomState(0)
    x, y = random.standard_normal((150, 16)), random.standard_normal((150, 16)) * 1.2 + 0.3
    value = frechet_distance(*statistics(x), *statistics(y))
    assert value == pytest.approx(3.7648933579844623, rel=1e-12)
    assert value == pytest.approx(3.764893357984443, rel=1e-12)


def test_identical_and_constant_sets() -> None:
    rng = np.random.default_rng(0)
    x = statistics(rng.random((300, 20)))
    assert frechet_distance(*x, *x) == pytest.approx(0, abs=1e-9)
    constant, other = statistics(np.full((5, 20), 0.3)), statistics(np.full((5, 20), 0.5))
    assert frechet_distance(*constant, *other) == pytest.approx(20 * 0.04)
    # Against a constant set the distance is that of the means and the other's total variance.
    expected = ((x[0] - 0.3) ** 2).sum() + np.trace(x[1])
    assert frechet_distance(*constant, *x) == pytest.approx(expected)
    assert frechet_distance(*x, *constant) == pytest.approx(expected)


def test_one_singular_covariance() -> None:
    """Exact either way round: by the few samples' centred rows X / √n, tr √(C1 C2) = tr √(X C2 Xᵀ) / √n."""
    rng = np.random.default_rng(0)
    few, many = rng.random((15, 40)), rng.random((500, 40))
    (mu1, c1), (mu2, c2) = statistics(few), statistics(many)
    x = (few - mu1)[:-1]  # fourteen of fifteen rows that sum to zero
    gram = np.eye(14) + np.ones((14, 14))  # what the fifteenth adds: C1 = xᵀ gram x / 14
    root = np.linalg.cholesky(gram).T @ x
    trace = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root.T) / 14).sum()
    expected = ((mu1 - mu2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * trace
    assert frechet_distance(mu1, c1, mu2, c2) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(mu2, c2, mu1, c1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [_ROWS - 1, _ROWS, _ROWS + 1])
def test_blocks_make_no_difference(rows: int) -> None:
    features = np.random.default_rng(0).random((rows, 6)).astype(np.float32) + 100
    mean, cov = statistics(features)
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(cov, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-12, atol=1e-14)


def test_statistics_memory_is_bounded() -> None:
    """60,000 rows of 128 float32 are 61 MB of float64; a block of them is 4 MB."""
    features = np.ones((60_000, 128), np.float32)
    tracemalloc.start()
    statistics(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_distance_refuses() -> None:
    with pytest.raises(ValueError, match="two means"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(3), np.eye(2))
    with pytest.raises(ValueError, match="two means"):
        frechet_distance(0.0, 1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(3), np.full((3, 3), np.nan))


def test_reference_evaluators(shared_data: Path) -> None:
    scores = json.loads((shared_data / "reference/scores.json").read_text())
    with np.load(shared_data / "reference/features-500.npz") as file:
        features = file["features"]
    first, last = features[:250], features[250:]
    few = frechet_distance(*statistics(first[:, :64]), *statistics(last[:, :64]))
    assert few == pytest.approx(scores["fid_first64dims_250_vs_250"]["scipy_sqrtm"], rel=1e-10)
    full = frechet_distance(*statistics(first), *statistics(last))
    # The reference keeps what rounding makes of the eigenvalues that are zero; the singular values do not.
    assert full == pytest.approx(scores["fid_2048dims_250_vs_250_rank_deficient"]["eigh"], rel=1e-6)
    x, y = (part.astype(np.float64) - part.mean(axis=0, dtype=np.float64) for part in (first, last))
    trace = np.linalg.svd(x @ y.T / 249, compute_uv=False).sum()
    difference = first.mean(axis=0, dtype=np.float64) - last.mean(axis=0, dtype=np.float64)
    total = ((x**2).sum() + (y**2).sum()) / 249
    assert full == pytest.approx(difference @ difference + total - 2 * trace, rel=1e-12)
