"""Losses against values computed by hand, in double precision."""

import math

import numpy as np
import pytest
from keras import ops

from doggan.losses import LOSSES, Targets, bce, cross_entropy

REAL = np.array([[2.0], [-1.0]], np.float32)
FAKE = np.array([[0.5], [-3.0]], np.float32)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def entropy(p: float, t: float) -> float:
    return -t * math.log(p) - (1 - t) * math.log(1 - p)


@pytest.mark.both_backends
def test_bce_equals_the_formula_written_out():
    targets = Targets(np.array([[0.9], [0.2]], np.float32), np.array([[0.1], [0.8]], np.float32))
    g_loss, d_loss = bce(ops.convert_to_tensor(REAL), ops.convert_to_tensor(FAKE), targets)
    expected_g = -(math.log(sigmoid(0.5)) + math.log(sigmoid(-3.0))) / 2
    expected_real = (entropy(sigmoid(2.0), 0.9) + entropy(sigmoid(-1.0), 0.2)) / 2
    expected_fake = (entropy(sigmoid(0.5), 0.1) + entropy(sigmoid(-3.0), 0.8)) / 2
    assert float(g_loss) == pytest.approx(expected_g, rel=1e-6)
    assert float(d_loss) == pytest.approx(expected_real + expected_fake, rel=1e-6)


@pytest.mark.both_backends
def test_an_undecided_discriminator_costs_log_2_for_each_of_its_two_calls():
    zeros = ops.zeros((4, 1))
    g_loss, d_loss = bce(zeros, zeros, Targets(ops.ones((4, 1)), ops.zeros((4, 1))))
    assert float(g_loss) == pytest.approx(math.log(2), rel=1e-6)
    assert float(d_loss) == pytest.approx(2 * math.log(2), rel=1e-6)


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("logit", "target", "expected"), [(200.0, 0.0, 200.0), (-200.0, 1.0, 200.0), (200.0, 1.0, 0.0)]
)
def test_cross_entropy_does_not_overflow(logit, target, expected):
    assert float(cross_entropy(ops.convert_to_tensor([[logit]]), target)) == pytest.approx(expected, abs=1e-5)


def test_the_registry_names_what_recipes_name():
    assert LOSSES["bce"] is bce
