import tracemalloc

import numpy as np
import pytest

from doggan.metrics import prdc as module
from doggan.metrics.prdc import DENSITY_K, PRECISION_K, Prdc, prdc


def by_definition(fake: np.ndarray, real: np.ndarray, k: int, density_k: int) -> Prdc:
    """The four definitions with every distance as a root of summed squares."""

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))

    def radii(a: np.ndarray, k: int) -> np.ndarray:
        others = distances(a, a) + np.diag(np.full(len(a), np.inf))
        return np.sort(others, axis=1)[:, k - 1]

    across = distances(fake, real)
    inside = across <= radii(real, density_k)
    return Prdc(
        (across <= radii(real, k)).any(axis=1).mean(),
        (across <= radii(fake, k)[:, None]).any(axis=0).mean(),
        inside.sum(axis=1).mean() / density_k,
        inside.any(axis=0).mean(),
    )


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    """The same 150 × 16 for every version of NumPy: `RandomState`'s stream is frozen."""
    random = np.random.RandomState(0)
    return random.standard_normal((150, 16)), random.standard_normal((150, 16)) * 1.2 + 0.3


def test_by_hand() -> None:
    """On a line with k = 1: real balls reach 1, 1 and 3, generated ones 1, 1 and 5.5."""
    real, fake = np.array([[0.0], [1], [4]]), np.array([[0.5], [1.5], [7]])
    # Balls of real images: [-1, 1], [0, 2], [1, 7] hold 0.5 twice, 1.5 twice and 7 on their border.
    # Balls of generated ones: [-0.5, 1.5], [0.5, 2.5], [1.5, 12.5] hold 0, 1 and 4.
    assert prdc(fake, real, 1, 1) == pytest.approx((1, 1, 5 / 3, 1))
    assert prdc(fake + 0.1, real, 1, 1) == pytest.approx((2 / 3, 1, 4 / 3, 1))  # 7.1 is outside
    # Moved by 3.75: 4.25, 5.25 and 10.75; the last real ball holds two of them, their own reach no 0 or 1.
    assert prdc(fake + 3.75, real, 1, 1) == pytest.approx((2 / 3, 1 / 3, 2 / 3, 1 / 3))


def test_definition(samples: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = samples
    for k, density_k in ((3, 5), (1, 2), (10, 4)):
        assert prdc(x[:61], y, k, density_k) == pytest.approx(by_definition(x[:61], y, k, density_k), abs=1e-12)


def test_torch_fidelity_and_prdc(samples: tuple[np.ndarray, np.ndarray]) -> None:
    """`prc_features_to_metric(prc_neighborhood=3)` of torch-fidelity 0.4.0; `compute_prdc` of prdc 0.2."""
    torch_fidelity = (0.9599999785423279, 0.46666666865348816)  # float32
    three = (0.96, 0.4666666666666667, 1.8977777777777778, 0.8733333333333333)
    five = (0.98, 0.5466666666666666, 1.8440000000000003, 0.9933333333333333)
    assert (PRECISION_K, DENSITY_K) == (3, 5)
    assert prdc(*samples)[:2] == pytest.approx(torch_fidelity, abs=1e-7)
    assert prdc(*samples) == pytest.approx((*three[:2], *five[2:]), abs=1e-12)
    assert prdc(*samples, k=3, density_k=3) == pytest.approx(three, abs=1e-12)
    assert prdc(*samples, k=5, density_k=5) == pytest.approx(five, abs=1e-12)


def test_blocks_make_no_difference(samples: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prdc(*samples)
    monkeypatch.setattr(module, "_ROWS", 13)
    assert prdc(*samples) == whole


def test_identical_sets(samples: tuple[np.ndarray, np.ndarray]) -> None:
    """Every image lies in its own ball and in those of the images that it is a near neighbour of."""
    x, _ = samples
    result = prdc(x, x)
    assert (result.precision, result.recall, result.coverage) == (1, 1, 1)
    # Every ball holds its centre and its five neighbours.
    assert result.density == pytest.approx(6 / 5)


def test_sets_far_apart(samples: tuple[np.ndarray, np.ndarray]) -> None:
    assert prdc(samples[0] + 1000, samples[1]) == (0, 0, 0, 0)


def test_constant_images() -> None:
    """Balls without extent still hold their copies, whatever rounding makes of the distances."""
    constant = np.tile(np.random.default_rng(0).random(2048).astype(np.float32) * 3, (40, 1))
    result = prdc(constant, constant)
    assert result == (1, 1, 40 / DENSITY_K, 1)
    varied = np.random.default_rng(1).random((40, 2048))
    assert prdc(constant, varied)[1:] == (0, 0, 0)
    assert prdc(varied, constant)[:3] == (0, 0, 0)


def test_a_mode_that_is_missing() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 4)) + np.repeat([[0.0], [50.0]], 100, axis=0)
    one_mode = prdc(rng.normal(size=(200, 4)), real)
    assert one_mode.precision > 0.8
    assert one_mode.recall == pytest.approx(0.5, abs=0.05)
    assert one_mode.coverage == pytest.approx(0.5, abs=0.05)


def test_memory_is_bounded() -> None:
    """The distances within 6,000 real rows would be 288 MB."""
    rng = np.random.default_rng(0)
    fake, real = rng.random((500, 4)), rng.random((6000, 4))
    tracemalloc.start()
    prdc(fake, real)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6


def test_refuses() -> None:
    rows = np.random.default_rng(0).random((8, 3))
    with pytest.raises(ValueError, match="N, M ≥ 6"):
        prdc(rows[:5], rows)
    with pytest.raises(ValueError, match=r"not \(8, 3\) and \(8, 2\)"):
        prdc(rows, rows[:, :2])
    with pytest.raises(ValueError, match="at least 1"):
        prdc(rows, rows, k=0)
    with pytest.raises(ValueError, match="not finite"):
        prdc(rows, np.where(rows > 0.9, np.nan, rows))
