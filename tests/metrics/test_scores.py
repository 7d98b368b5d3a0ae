import numpy as np
import pytest
from fake_extractor import FakeExtractor

from doggan.errors import DogganError
from doggan.metrics import scores as module
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.inception_score import inception_score
from doggan.metrics.kid import kid
from doggan.metrics.memorization import memorization_distance, nearest
from doggan.metrics.prdc import prdc
from doggan.metrics.scores import DEFAULT_METRICS, METRICS, check_counts, check_metrics, compute, score_names


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


def test_distances_that_are_known_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    training = rows(20, 2)
    distances, _ = nearest(GENERATED, training)
    expected = compute(GENERATED, REAL, WithLogits(), training=training)
    monkeypatch.setattr(module, "nearest", None)
    assert compute(GENERATED, REAL, WithLogits(), training=training, distances=distances) == expected


def test_rounding_below_zero_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """A FID of −1e-9 would be a MiFID of about −1e6 for identical sets."""
    monkeypatch.setattr(module, "frechet_distance", lambda *statistics: -1e-9)
    scores = compute(REAL, REAL, WithLogits(), ("mifid", "fid"))
    assert (scores["fake-fid"], scores["fake-mifid"]) == (0, 0)
    assert np.copysign(1, scores["fake-mifid"]) == 1


def test_progress_names_the_metric_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    compute(GENERATED, REAL, WithLogits(), ("kid", "fid"))
    assert capsys.readouterr() == ("", "")
    compute(GENERATED, REAL, WithLogits(), ("kid", "fid"), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "computing kid" in err
    assert "computing fid" in err


def test_sets_of_other_sizes_of_constant_and_of_equal_pictures() -> None:
    constant = np.repeat(GENERATED[:1], 12, axis=0)
    scores = compute(constant, REAL, WithLogits(), METRICS)
    assert np.isfinite(list(scores.values())).all()
    assert scores["fake-inception_score"] == pytest.approx(1)
    same = compute(REAL, REAL, WithLogits(), ("fid", "mifid", "prdc"))
    assert 0 <= same["fake-fid"] < 1e-5
    assert same["fake-mifid"] >= 0
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
    with pytest.raises(DogganError, match="'prdc' needs at least 6 generated images, and there are 5"):
        compute(GENERATED[:5], REAL, WithLogits(), ("fid", "prdc"))
    with pytest.raises(DogganError, match="'fid' needs at least 2 real images, and there are 1"):
        compute(GENERATED, REAL[:1], WithLogits(), ("fid",))
    broken = GENERATED.copy()
    broken[3, 2] = np.nan
    with pytest.raises(DogganError, match="all zero, for the generated images; fetch its weights again"):
        compute(broken, REAL, WithLogits())
    without = WithLogits()
    without.has_weights = False
    with pytest.raises(DogganError, match="all zero, for the generated images; look at the pictures"):
        compute(broken, REAL, without)
    with pytest.raises(DogganError, match="all zero, for the real images"):
        compute(REAL, np.zeros_like(REAL), WithLogits())


def test_every_metric_works_with_the_fewest_it_asks_for() -> None:
    for metric, n in (("fid", 2), ("mifid", 2), ("kid", 3), ("prdc", 6), ("is", 10)):
        assert len(compute(GENERATED[:n], REAL[:n], WithLogits(), (metric,))) == len(score_names(metric))
        with pytest.raises(DogganError, match=f"needs at least {n} generated images, and there are {n - 1}"):
            check_counts((metric,), generated=n - 1)
    check_counts(("is",), real=1)  # it does not look at them
    with pytest.raises(DogganError, match="'kid' needs at least 3 real images, and there are 2"):
        check_counts(("fid", "kid"), real=2)


def test_the_default_needs_no_logits() -> None:
    assert set(METRICS) - set(DEFAULT_METRICS) == {"is"}
    check_metrics(DEFAULT_METRICS, FakeExtractor())
