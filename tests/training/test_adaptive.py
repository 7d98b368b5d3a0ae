"""ADA's probability, step by step by hand, inside the compiled step of each backend."""

import keras
import numpy as np
import pytest
from keras import ops

from doggan.config import Augment
from doggan.training.adaptive import AdaptiveProbability

BATCH = 8


def adaptive(probability=0.5, target=0.6, kimg=0.32):
    """One that moves by 4 · 8 / 320 = 0.1 every fourth step."""
    return AdaptiveProbability(Augment(policy=("cutout",), target=target, kimg=kimg), start=probability)


def logits(mean_sign):
    """float32 [8, 1] of this mean sign, of various sizes."""
    positive = round(BATCH * (1 + mean_sign) / 2)
    return np.linspace(0.1, 9, BATCH, dtype=np.float32)[:, None] * np.where(np.arange(BATCH) < positive, 1, -1)[:, None]


def compiled(ada):
    """`ada.update` as the training step of the backend runs it; returns the probability before the update."""
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def pure(values, on_real, step):
            with keras.StatelessScope(list(zip(ada.variables, values, strict=True))) as scope:
                before = ada.value
                ada.update(on_real, step, BATCH)
            return before, [scope.get_current_value(v) for v in ada.variables]

        def update(on_real, step):
            before, moved = pure([v.value for v in ada.variables], on_real, step)
            for variable, value in zip(ada.variables, moved, strict=True):
                variable.assign(value)
            return float(before)

        return update
    import tensorflow as tf

    @tf.function
    def assigning(on_real, step):
        before = ada.value
        ada.update(on_real, step, BATCH)
        return before

    return lambda on_real, step: float(assigning(tf.constant(on_real, tf.float32), tf.constant(step)))


def course(ada, signs, start=0):
    """The probability after each of the steps, with logits of these mean signs."""
    update, found = compiled(ada), []
    for step, sign in enumerate(signs, start):
        before = float(ada.value)
        assert update(logits(sign).astype(np.float32), np.int32(step)) == pytest.approx(before)
        found.append(float(ada.value))
    return found


@pytest.mark.both_backends
def test_twelve_steps_by_hand():
    signs = np.reshape([[1, 1, 0.25, 0.5], [0.5, 0.5, 0.5, 0.75], [1, 0.25, 0.5, 0.75]], -1)  # means 0.69, 0.56, 0.63
    expected = [0.5] * 3 + [0.6] * 4 + [0.5] * 4 + [0.6]
    assert course(adaptive(), signs) == pytest.approx(expected, abs=1e-6)


def test_rises_while_the_discriminator_is_sure_and_stops_at_one():
    assert course(adaptive(0.75), [1] * 20)[3::4] == pytest.approx([0.85, 0.95, 1, 1, 1], abs=1e-6)


def test_falls_while_it_is_not_and_stops_at_zero():
    assert course(adaptive(0.25), [-1, 0, 0.5, 0.25] * 5)[3::4] == pytest.approx([0.15, 0.05, 0, 0, 0], abs=1e-6)


def test_comes_back_at_once_from_a_bound():
    assert course(adaptive(1.0), [1] * 8 + [0] * 4)[-1] == pytest.approx(0.9, abs=1e-6)


def test_speed_goes_by_the_pictures_seen_and_not_by_the_logits():
    ada = adaptive()
    for step in range(4):
        ada.update(ops.convert_to_tensor(logits(1)), step, 2 * BATCH)
    assert float(ada.value) == pytest.approx(0.7)


def test_stays_where_the_target_is_met_exactly():
    assert course(adaptive(0.5, target=0.5), [0.5, 0.75, 0.25, 0.5])[-1] == 0.5


def test_takes_kimg_thousand_pictures_from_zero_to_one():
    ada = adaptive(0.0, kimg=0.128)
    found = course(ada, [1] * 16)  # 16 · 8 pictures
    assert found[-2] < 1
    assert found[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.both_backends
def test_resumes_from_its_variables_within_an_interval():
    signs = [1, 0.5, 0.75, 1, -1, 0.25, 1, 1, 1, 1]
    whole = course(adaptive(), signs)
    first, second = adaptive(), adaptive(probability=0.9)
    course(first, signs[:6])
    for old, new in zip(first.variables, second.variables, strict=True):
        new.assign(old.value)
    assert course(second, signs[6:], start=6) == pytest.approx(whole[6:], abs=1e-7)


def test_variables_are_float32_and_not_trained():
    ada = adaptive()
    assert [(v.dtype, v.trainable, tuple(v.shape)) for v in ada.variables] == [("float32", False, ())] * 2
    assert len({v.name for v in ada.variables}) == 2
    with keras.src.backend.AutocastScope("float16"):
        assert keras.backend.standardize_dtype(ada.value.dtype) == "float32"


def test_logits_in_half_precision_are_counted_in_single():
    """The mean of 40,000 signs of which one is negative is 0.99995, in half precision one."""
    ada = adaptive(target=0.99999)
    many = np.ones((40_000, 1), np.float16)
    many[0] = -1
    for step in range(4):
        ada.update(ops.convert_to_tensor(many), step, BATCH)
    assert float(ada.value) < 0.5
