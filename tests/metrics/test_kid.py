import numpy as np
import pytest

from doggan.metrics import kid as module
from doggan.metrics.kid import kid


def mmd2_by_loops(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(k(a, b) for a in x for b in y) / (n * m)
    return xx + yy - 2 * xy


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(9, 4)), rng.normal(0.5, 1.5, size=(7, 4))


def test_by_hand() -> None:
    """One dimension: k(a, b) = (ab + 1)³."""
    # Pairs of x: 1·1, 1·1, 1·1 → 8 each. Pairs of y: 0 → 1 each. Across: 0 → 1 each.
    assert kid([[1.0]] * 3, [[0.0]] * 3).value == pytest.approx(8 + 1 - 2)


def test_double_loop(samples: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = samples
    assert kid(x, y).value == pytest.approx(mmd2_by_loops(x, y), rel=1e-12)
    assert kid(y, x).value == pytest.approx(mmd2_by_loops(x, y), rel=1e-12)


def test_blocks_make_no_difference(samples: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kid(*samples)
    monkeypatch.setattr(module, "_ROWS", 2)
    np.testing.assert_allclose(kid(*samples), whole, rtol=1e-12)


def test_standard_error_is_the_jackknife(samples: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = samples
    variance = 0.0
    for left_out in (
        [mmd2_by_loops(np.delete(x, i, 0), y) for i in range(len(x))],
        [mmd2_by_loops(x, np.delete(y, i, 0)) for i in range(len(y))],
    ):
        n = len(left_out)
        variance += (n - 1) / n * sum((value - np.mean(left_out)) ** 2 for value in left_out)
    assert kid(x, y).standard_error == pytest.approx(np.sqrt(variance), rel=1e-10)


def test_unbiased_and_its_error_is_right() -> None:
    """Equal distributions: zero on average. Different ones: the error is the spread of repetitions."""
    rng = np.random.default_rng(0)
    equal = [kid(rng.normal(size=(20, 3)), rng.normal(size=(30, 3))).value for _ in range(300)]
    assert abs(np.mean(equal)) < 3 * np.std(equal) / np.sqrt(300)
    assert min(equal) < 0
    different = [kid(rng.normal(size=(60, 3)), rng.normal(1, 1, size=(60, 3))) for _ in range(200)]
    spread = np.std([value for value, _ in different])
    assert np.mean([error for _, error in different]) == pytest.approx(spread, rel=0.2)


def test_torch_fidelity() -> None:
    """`kid_features_to_metric` of torch-fidelity 0.4.0 in float64, with one subset of all 150 rows."""
    random = np.random.RandomState(0)
    x, y = random.standard_normal((150, 16)), random.standard_normal((150, 16)) * 1.2 + 0.3
    assert kid(x, y).value == pytest.approx(0.4139692977585274, rel=1e-12)


def test_mean_over_subsets() -> None:
    """The paper's definition: random subsets of both sets, the mean of their estimates."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 5)), rng.normal(0.4, 1.2, size=(120, 5))
    subsets = [kid(rng.choice(x, 20, replace=False), rng.choice(y, 20, replace=False)).value for _ in range(1500)]
    error = np.std(subsets) / np.sqrt(len(subsets))
    assert kid(x, y).value == pytest.approx(np.mean(subsets), abs=4 * error)
    assert error < 0.1 * kid(x, y).value


def test_constant_images() -> None:
    """All rows c and all rows d: k(c, c) + k(d, d) − 2 k(c, d), without error."""
    c, d = np.array([1.0, 2.0]), np.array([0.0, 3.0])
    k_cc, k_dd, k_cd = ((a @ b / 2 + 1) ** 3 for a, b in ((c, c), (d, d), (c, d)))
    value, error = kid(np.tile(c, (6, 1)), np.tile(d, (9, 1)))
    assert value == pytest.approx(k_cc + k_dd - 2 * k_cd)
    assert error == pytest.approx(0, abs=1e-12)


def test_identical_sets() -> None:
    """The unbiased estimate leaves the diagonal out, so a set against itself is below zero."""
    x = np.random.default_rng(0).normal(size=(40, 4))
    assert kid(x, x).value == pytest.approx(mmd2_by_loops(x, x), rel=1e-12)
    assert kid(x, x).value < 0


@pytest.mark.parametrize("shape", [(2, 4), (5, 3), (4,)])
def test_refuses(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="KID needs"):
        kid(np.ones(shape), np.ones((5, 4)))
    with pytest.raises(ValueError, match="not finite"):
        kid(np.full((5, 4), np.nan), np.ones((5, 4)))
