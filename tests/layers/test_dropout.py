"""Dropout whose mask is a function of (seed, step)."""

import keras
import numpy as np
import pytest
from gradients import losses_and_gradients
from keras import ops
from layer_checks import run_layer_test

from doggan.layers import Dropout
from doggan.randomness import step_scope

ONES = np.ones((64, 100), "float32")


def dropped(layer, seed, step, calls=1):
    """What each of `calls` training calls of one step makes of ones."""
    with step_scope(seed, step):
        return [ops.convert_to_numpy(layer(ONES, training=True)) for _ in range(calls)]


@pytest.mark.both_backends
def test_layer(tmp_path):
    run_layer_test(Dropout, {"rate": 0.5, "seed": 1}, ONES, ONES.shape, tmp_path)


@pytest.mark.both_backends
def test_mask_is_a_function_of_seed_and_step():
    layer = Dropout(0.5)
    (first,) = dropped(layer, seed=3, step=7)
    layer(ONES, training=True)  # a draw elsewhere changes nothing
    (same,) = dropped(Dropout(0.5, seed=99), seed=3, step=7)
    np.testing.assert_array_equal(first, same)
    for seed, step in ((3, 8), (4, 7), (7, 3)):
        assert np.mean(dropped(layer, seed, step)[0] != first) == pytest.approx(0.5, abs=0.05)


@pytest.mark.both_backends
def test_step_may_be_a_tensor():
    expected = dropped(Dropout(0.5), seed=3, step=7)
    np.testing.assert_array_equal(dropped(Dropout(0.5), 3, ops.convert_to_tensor(7, "int32")), expected)
    counter = keras.Variable(7, dtype="int32", trainable=False)
    np.testing.assert_array_equal(dropped(Dropout(0.5), 3, counter), expected)


@pytest.mark.both_backends
def test_calls_within_one_step_have_unrelated_masks():
    first, second = dropped(Dropout(0.5), seed=0, step=0, calls=2)
    # Independent masks of rate one half agree on half of the entries: 6400 draws, standard deviation 0.6%.
    assert np.mean(first != second) == pytest.approx(0.5, abs=0.03)


@pytest.mark.both_backends
def test_mean_is_kept_and_the_kept_are_scaled():
    (outputs,) = dropped(Dropout(0.25), seed=0, step=0)
    assert set(np.unique(outputs)) == {np.float32(0), np.float32(1 / 0.75)}
    # 6400 entries of standard deviation √(1/3): four standard errors.
    assert outputs.mean() == pytest.approx(1, abs=4 * np.sqrt(1 / 3 / ONES.size))


@pytest.mark.both_backends
def test_handed_draws_below_the_rate_are_dropped():
    """`numpy.where` by hand; the draw that equals the rate is kept."""
    inputs = np.array([[1, 2, -3, 4], [5, -6, 7, 8]], "float32")
    draws = np.array([[0.1, 0.25, 0.2499, 0.9], [0, 0.5, 0.24, 0.26]], "float32")
    with step_scope(0, 0, [draws]) as asked:
        outputs = Dropout(0.25)(inputs, training=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs), [[0, 2 / 0.75, 0, 4 / 0.75], [0, -6 / 0.75, 0, 8 / 0.75]], rtol=1e-6
    )
    assert asked == [("uniform", (2, 4))]


@pytest.mark.both_backends
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_its_dtype_the_mean_and_the_mask(policy):
    """The mask is drawn in float32: that of the full-precision layer, with a rate that halves cannot write."""
    layer, rate = Dropout(0.3, dtype=policy), 0.3
    with step_scope(2, 5):
        outputs = layer(ONES, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    outputs = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    (full,) = dropped(Dropout(rate), seed=2, step=5)
    np.testing.assert_array_equal(outputs > 0, full > 0)
    np.testing.assert_allclose(outputs, full, rtol=2**-8)
    assert outputs.mean() == pytest.approx(1, abs=4 * np.sqrt(rate / (1 - rate) / ONES.size) + 2**-8)


@pytest.mark.both_backends
def test_gradient_passes_where_the_input_does():
    layer, inputs = Dropout(0.5), keras.Variable(ONES)
    (outputs,) = dropped(layer, seed=1, step=1)

    def total():
        with step_scope(1, 1):
            return [ops.sum(layer(inputs.value, training=True))]

    _, ((gradient,),) = losses_and_gradients(total, [[inputs]], [])
    np.testing.assert_array_equal(gradient, outputs)


@pytest.mark.both_backends
@pytest.mark.parametrize("noise_shape", [(64, 1), (None, 1)])
def test_noise_shape_is_obeyed_in_a_step(noise_shape):
    (outputs,) = dropped(Dropout(0.5, noise_shape=noise_shape), seed=0, step=0)
    assert (outputs == outputs[:, :1]).all()
    assert len(np.unique(outputs)) == 2


@pytest.mark.both_backends
def test_outside_of_a_step_it_is_the_layer_of_keras():
    ours, theirs = Dropout(0.5, seed=5), keras.layers.Dropout(0.5, seed=5)
    for _ in range(2):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours(ONES, training=True)), ops.convert_to_numpy(theirs(ONES, training=True))
        )


@pytest.mark.both_backends
def test_inference_and_rate_zero_drop_nothing():
    with step_scope(0, 0):
        np.testing.assert_array_equal(ops.convert_to_numpy(Dropout(0.5)(ONES)), ONES)
        np.testing.assert_array_equal(ops.convert_to_numpy(Dropout(0.0)(ONES, training=True)), ONES)
