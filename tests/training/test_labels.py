"""Label noise: counted, not sampled."""

import numpy as np
import pytest
from keras import ops

from doggan.config import LabelNoise
from doggan.randomness import step_scope
from doggan.training.labels import flipped, hard_targets, noisy_targets

pytestmark = pytest.mark.both_backends


def draw(seed=0, step=0, batch=128, n_fake=None, noise=None):
    with step_scope(seed, step):
        targets = noisy_targets(batch, n_fake or batch, noise or LabelNoise())
    return ops.convert_to_numpy(targets.real)[:, 0], ops.convert_to_numpy(targets.fake)[:, 0]


@pytest.mark.parametrize("step", [0, 1, 77])
def test_exactly_round_p_b_labels_flip_and_take_the_range_of_their_new_class(step):
    real, fake = draw(step=step)
    assert (real <= 0.3).sum() == 6  # round(0.05 · 128)
    assert ((real >= 0.7) & (real <= 1.0)).sum() == 122
    assert (fake >= 0.7).sum() == 6
    assert ((fake >= 0.0) & (fake <= 0.3)).sum() == 122


def test_each_side_flips_by_its_own_size():
    real, fake = draw(batch=128, n_fake=50)
    assert real.shape == (128,)
    assert fake.shape == (50,)
    assert (real <= 0.3).sum() == 6  # round(0.05 · 128)
    assert (fake >= 0.7).sum() == 2  # round(0.05 · 50), the even one of 2 and 3


def test_labels_are_those_of_the_draws():
    noise = LabelNoise(flip=0.5, real=(0.7, 1.0), fake=(0.0, 0.4))
    # The two smallest of the first draw flip; the second says how far into its range a label lies. Then the fakes.
    draws = [[0.3, 0.1, 0.9, 0.2], [[0.0], [0.5], [1.0], [0.25]], [0.6, 0.4], [[0.5], [0.5]]]
    with step_scope(0, 0, [np.float32(d) for d in draws]) as asked:
        targets = noisy_targets(4, 2, noise)
    assert [tuple(a) for a in asked] == [("uniform", s) for s in [(4,), (4, 1), (2,), (2, 1)]]
    np.testing.assert_allclose(ops.convert_to_numpy(targets.real)[:, 0], [0.7, 0.2, 1.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(targets.fake)[:, 0], [0.2, 0.85], rtol=1e-6)


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
    targets = hard_targets(3, 2)
    np.testing.assert_array_equal(ops.convert_to_numpy(targets.real), np.ones((3, 1)))
    np.testing.assert_array_equal(ops.convert_to_numpy(targets.fake), np.zeros((2, 1)))
