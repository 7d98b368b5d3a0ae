import numpy as np
import pytest

from doggan.metrics.inception_score import inception_score


def test_the_same_for_every_image_is_one() -> None:
    assert inception_score(np.tile([[0.3, -1.0, 2.0]], (20, 1))) == pytest.approx((1, 0), abs=1e-12)


def test_every_class_with_certainty_is_their_number() -> None:
    logits = np.tile(1000 * np.eye(7), (10, 1))  # seventy images; e⁻¹⁰⁰⁰ is exactly zero
    assert inception_score(logits) == pytest.approx((7, 0), abs=1e-12)


def test_by_hand() -> None:
    """p = (.9, .1) and (.1, .9): the marginal is (½, ½), each KL is .9 ln 1.8 + .1 ln .2."""
    logits = np.log([[0.9, 0.1], [0.1, 0.9]])
    expected = np.exp(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert inception_score(logits, splits=1) == pytest.approx((expected, 0), abs=1e-12)


def test_splits_are_consecutive_and_spread_by_their_number() -> None:
    collapsed, varied = np.zeros((4, 2)), np.tile(1000 * np.eye(2), (2, 1))
    assert inception_score(np.concatenate([collapsed, varied]), splits=2) == pytest.approx((1.5, 0.5))
    # Seven images in three parts: 2, 2 and 3, as i · N // splits cuts them.
    assert inception_score([[1000.0, 0], [0, 1000.0], *[[0.0, 0]] * 5], splits=3).mean == pytest.approx(4 / 3)


def test_a_constant_on_all_logits_does_not_matter() -> None:
    logits = np.random.default_rng(0).normal(size=(30, 5))
    shifted = logits + 1e4 * np.arange(30)[:, None]
    assert inception_score(shifted) == pytest.approx(inception_score(logits), rel=1e-9)


def test_torch_fidelity() -> None:
    """`isc_features_to_metric(logits, splits=10, shuffle=False)` of torch-fidelity 0.4.0, in float64."""
    random = np.random.RandomState(0)
    random.standard_normal((300, 16))
    logits = random.standard_normal((200, 12)) * 3
    assert inception_score(logits) == pytest.approx((3.888123052819181, 0.2939152019356023), rel=1e-12)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((9, 4)), "10 splits"),
        (np.zeros(40), "10 splits"),
        (np.full((20, 4), np.nan), "not finite"),
        (np.full((20, 4), -np.inf), "not finite"),
    ],
)
def test_refuses(logits: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inception_score(logits)
    with pytest.raises(ValueError, match="0 splits"):
        inception_score(np.zeros((20, 4)), splits=0)
