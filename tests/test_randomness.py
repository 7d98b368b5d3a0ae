"""Randomness as a function of (seed, step)."""

import threading

import keras
import numpy as np
import pytest
from keras import ops

from doggan.randomness import next_seed, step_scope


def normal(seed, step, streams=1):
    """The first `streams` draws of a step, 1000 values each."""
    with step_scope(seed, step):
        return [ops.convert_to_numpy(keras.random.normal((1000,), seed=next_seed())) for _ in range(streams)]


def test_outside_of_a_scope_there_is_no_seed():
    assert next_seed() is None
    with step_scope(0, 0):
        assert next_seed() is not None
    assert next_seed() is None


@pytest.mark.both_backends
def test_draws_are_a_function_of_seed_and_step():
    np.testing.assert_array_equal(normal(1, 2, 3), normal(1, 2, 3))


@pytest.mark.both_backends
def test_seeds_steps_and_streams_are_unrelated():
    draws = np.array([x for seed in (0, 1) for step in (0, 1, 2) for x in normal(seed, step, 3)])
    assert draws.mean() == pytest.approx(0, abs=0.03)
    assert draws.std() == pytest.approx(1, abs=0.03)
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    # 153 pairs of standard deviation 1/√1000; five of those.
    assert np.abs(correlation).max() < 5 / np.sqrt(1000)


@pytest.mark.both_backends
def test_large_and_negative_seeds():
    draws = np.array([normal(seed, step)[0] for seed in (-1, 2**40 + 1) for step in (0, 2**31 - 1)])
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 5 / np.sqrt(1000)


@pytest.mark.both_backends
def test_compiled_step_draws_what_an_eager_one_does():
    def draw(step):
        with step_scope(5, step):
            return keras.random.normal((1000,), seed=next_seed())

    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(draw)
    else:
        import tensorflow as tf

        compiled = tf.function(draw)
    for step in (0, 3):
        ours = ops.convert_to_numpy(compiled(ops.convert_to_tensor(step, "int32")))
        np.testing.assert_allclose(ours, normal(5, step)[0], rtol=1e-5, atol=1e-6)


def test_seed_owns_no_variable():
    with step_scope(0, 0):
        seed = next_seed()
    assert not [v for v in vars(seed).values() if isinstance(v, keras.Variable)]
    np.testing.assert_array_equal(seed.next(), seed.next())


@pytest.mark.both_backends
def test_innermost_scope_counts_and_the_outer_one_goes_on():
    expected = normal(1, 0, 2)
    with step_scope(1, 0):
        first = ops.convert_to_numpy(keras.random.normal((1000,), seed=next_seed()))
        np.testing.assert_array_equal(normal(2, 0), normal(2, 0))
        second = ops.convert_to_numpy(keras.random.normal((1000,), seed=next_seed()))
    np.testing.assert_array_equal([first, second], expected)


def test_an_error_closes_the_scope():
    with pytest.raises(ZeroDivisionError), step_scope(0, 0):
        _ = 1 / 0
    assert next_seed() is None


def test_threads_have_scopes_of_their_own():
    """`tf.distribute` traces its replicas in threads that take turns within a step."""
    both_open = threading.Barrier(2)
    drawn = {}

    def replica(name):
        with step_scope(1, 0):
            both_open.wait()
            drawn[name] = [next_seed().seed for _ in range(3)]
            both_open.wait()

    threads = [threading.Thread(target=replica, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3
