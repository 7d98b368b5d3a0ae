import numpy as np
import pytest
from fake_extractor import FakeExtractor

from doggan.errors import DogganError
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.inception_score import inception_score
from doggan.metrics.kid import kid
from doggan.metrics.memorization import memorization_distance
from doggan.metrics.prdc import prdc
from doggan.metrics.scores import DEFAULT_METRICS, METRICS, check_metrics, compute, score_names


class WithLogits(FakeExtractor):
    prefix = "fake-"
    dimensions = 6

    def logits(self, features: np.ndarray) -> np.ndarray:
        return features[:, :4] * 3


def rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 6), dtype=np.float32)


GENERATED, REAL = rows(30, 0), rows(40, 1) + np.float32(0.2)


def test_every_score_is_that_of_its_own_function() -> None:
    scores = compute(GENERATED, REAL, WithLogits(), METRICS)
    fid = frechet_distance(*statistics(REAL), *statistics(GENERATED))
    distance = memorization_distance(GENERATED, REAL)
    assert distance < 0.1
    expected = [
        ("fid", fid),
        ("mifid", fid / distance),
        ("memorization_distance", distance),
        *zip(("kid", "kid_standard_error"), kid(GENERATED, REAL), strict=True),
        *zip(("precision", "recall", "density", "coverage"), prdc(GENERATED, REAL), strict=True),
        *zip(("inception_score", "inception_score_std"), inception_score(GENERATED[:, :4] * 3), strict=True),
    ]
    assert list(scores) == [f"fake-{name}" for name, _ in expected]
    assert list(scores.values()) == pytest.approx([value for _, value in expected], rel=1e-12)
    assert all(type(value) is float for value in scores.values())


def test_order_is_as_asked() -> None:
    names = [*score_names("kid", "fake-"), *score_names("fid", "fake-")]
    assert list(compute(GENERATED, REAL, WithLogits(), ("kid", "fid"))) == names


def test_the_distance_of_the_extractor_decides() -> None:
    """MiFID is FID from the extractor's ε on."""
    extractor = WithLogits()
    extractor.epsilon = 1e-3
    scores = compute(GENERATED, REAL, extractor, ("mifid", "fid"))
    assert scores["fake-memorization_distance"] > 1e-3
    assert scores["fake-mifid"] == pytest.approx(scores["fake-fid"])


def test_memorization_is_of_the_training_pictures() -> None:
    training = np.concatenate([rows(20, 2), GENERATED])
    scores = compute(GENERATED, REAL, WithLogits(), ("mifid", "fid"), training=training)
    assert scores["fake-memorization_distance"] == pytest.approx(0, abs=1e-12)
    assert scores["fake-fid"] == compute(GENERATED, REAL, WithLogits(), ("fid",))["fake-fid"]


def test_sets_of_other_sizes_of_constant_and_of_equal_pictures() -> None:
    constant = np.repeat(GENERATED[:1], 12, axis=0)
    scores = compute(constant, REAL, WithLogits(), METRICS)
    assert np.isfinite(list(scores.values())).all()
    assert scores["fake-inception_score"] == pytest.approx(1)
    same = compute(REAL, REAL, WithLogits(), ("fid", "mifid", "prdc"))
    assert same["fake-fid"] == pytest.approx(0, abs=1e-5)
    assert same["fake-memorization_distance"] == pytest.approx(0, abs=1e-12)
    assert (same["fake-precision"], same["fake-recall"], same["fake-coverage"]) == (1, 1, 1)


def test_mistakes() -> None:
    with pytest.raises(DogganError, match="no metric 'lpips'; choose from fid, mifid, kid, prdc, is"):
        check_metrics(("fid", "lpips"), WithLogits())
    with pytest.raises(DogganError, match="'fid' is asked for twice"):
        check_metrics(("fid", "fid"), WithLogits())
    with pytest.raises(DogganError, match="No metric"):
        check_metrics((), WithLogits())
    with pytest.raises(DogganError, match="needs the logits of Inception, which fake does not have"):
        check_metrics(("is",), FakeExtractor())
    with pytest.raises(DogganError, match="'prdc' needs at least 6 images, and there are 5"):
        compute(GENERATED[:5], REAL, WithLogits(), ("fid", "prdc"))
    with pytest.raises(DogganError, match="'fid' needs at least 2 images, and there are 1"):
        compute(GENERATED, REAL[:1], WithLogits(), ("fid",))
    broken = GENERATED.copy()
    broken[3, 2] = np.nan
    with pytest.raises(DogganError, match="not finite, or all zero, for the generated images"):
        compute(broken, REAL, WithLogits())
    with pytest.raises(DogganError, match="all zero, for the real images"):
        compute(REAL, np.zeros_like(REAL), WithLogits())


def test_every_metric_works_with_the_fewest_it_asks_for() -> None:
    for metric, n in (("fid", 2), ("mifid", 2), ("kid", 3), ("prdc", 6), ("is", 10)):
        assert len(compute(GENERATED[:n], REAL[:n], WithLogits(), (metric,))) == len(score_names(metric))


def test_the_default_needs_no_logits() -> None:
    assert set(METRICS) - set(DEFAULT_METRICS) == {"is"}
    check_metrics(DEFAULT_METRICS, FakeExtractor())
