"""Label noise: counted, not sampled."""

import numpy as np
import pytest
from keras import ops

from doggan.config import LabelNoise
from doggan.randomness import step_scope
from doggan.training.labels import flipped, hard_targets, noisy_targets

pytestmark = pytest.mark.both_backends


def draw(seed=0, step=0, batch=128, noise=None):
    with step_scope(seed, step):
        targets = noisy_targets(batch, noise or LabelNoise())
    return ops.convert_to_numpy(targets.real)[:, 0], ops.convert_to_numpy(targets.fake)[:, 0]


@pytest.mark.parametrize("step", [0, 1, 77])
def test_exactly_round_p_b_labels_flip_and_take_the_range_of_their_new_class(step):
    real, fake = draw(step=step)
    assert (real <= 0.3).sum() == 6  # round(0.05 · 128)
    assert ((real >= 0.7) & (real <= 1.0)).sum() == 122
    assert (fake >= 0.7).sum() == 6
    assert ((fake >= 0.0) & (fake <= 0.3)).sum() == 122


def test_smoothed_labels_fill_their_range():
    real, fake = draw(batch=4000, noise=LabelNoise(flip=0.0))
    assert real.min() < 0.705
    assert real.max() > 0.995
    assert real.mean() == pytest.approx(0.85, abs=0.01)
    assert fake.mean() == pytest.approx(0.15, abs=0.01)
    assert real.std() == pytest.approx(0.3 / 12**0.5, abs=0.01)


def test_the_draw_depends_on_seed_and_step_alone():
    first, again = draw(seed=3, step=5), draw(seed=3, step=5)
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != draw(seed=3, step=6)[0]).mean() > 0.9
    assert (first[0] != draw(seed=4, step=5)[0]).mean() > 0.9


def test_real_and_fake_labels_flip_independently():
    together = 0
    for step in range(20):
        real, fake = draw(step=step, noise=LabelNoise(flip=0.5))
        together += ((real < 0.5) == (fake > 0.5)).mean() / 20
    assert 0.4 < together < 0.6


@pytest.mark.parametrize(("batch", "n"), [(8, 0), (8, 8), (5, 2)])
def test_flips_are_distinct(batch, n):
    with step_scope(0, 0):
        assert int(ops.convert_to_numpy(flipped(batch, n)).sum()) == n


def test_published_labels_are_hard():
    targets = hard_targets(3)
    np.testing.assert_array_equal(ops.convert_to_numpy(targets.real), np.ones((3, 1)))
    np.testing.assert_array_equal(ops.convert_to_numpy(targets.fake), np.zeros((3, 1)))
