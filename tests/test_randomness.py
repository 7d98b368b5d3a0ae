"""Randomness as a function of (seed, step)."""

import threading

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from doggan import randomness
from doggan.randomness import Asked, in_step_scope, step_scope, uniform


def normal(seed, step, streams=1):
    """The first `streams` draws of a step, 1000 values each."""
    with step_scope(seed, step):
        return [ops.convert_to_numpy(randomness.normal((1000,))) for _ in range(streams)]


def test_a_scope_is_open_only_within_it():
    assert not in_step_scope()
    with step_scope(0, 0):
        assert in_step_scope()
    assert not in_step_scope()


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
            return randomness.normal((1000,))

    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(draw)
    else:
        import tensorflow as tf

        compiled = tf.function(draw)
    for step in (0, 3):
        ours = ops.convert_to_numpy(compiled(ops.convert_to_tensor(step, "int32")))
        np.testing.assert_allclose(ours, normal(5, step)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has one algorithm, and XLA always")
def test_xla_draws_the_same():
    import tensorflow as tf

    def draw(step):
        with step_scope(5, step):
            return uniform((100,)), randomness.normal((100,))

    for plain, compiled in zip(*(tf.function(draw, jit_compile=jit)(3) for jit in (False, True)), strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=1e-5, atol=1e-6)


def test_seeds_far_apart_are_unrelated():
    assert randomness.StepSeed(1, 0, 0).seed != randomness.StepSeed(1 + 2**21, 0, 0).seed


def test_seed_owns_no_variable():
    seed = randomness.StepSeed(seed=5, stream=2, step=3)
    assert not [v for v in vars(seed).values() if isinstance(v, keras.Variable)]
    np.testing.assert_array_equal(seed.next(), seed.next())


@pytest.mark.both_backends
def test_innermost_scope_counts_and_the_outer_one_goes_on():
    expected = normal(1, 0, 2)
    with step_scope(1, 0):
        first = ops.convert_to_numpy(randomness.normal((1000,)))
        np.testing.assert_array_equal(normal(2, 0), normal(2, 0))
        second = ops.convert_to_numpy(randomness.normal((1000,)))
    np.testing.assert_array_equal([first, second], expected)


def test_an_error_closes_the_scope():
    with pytest.raises(ZeroDivisionError), step_scope(0, 0):
        _ = 1 / 0
    assert not in_step_scope()


def test_threads_have_scopes_of_their_own():
    """`tf.distribute` traces its replicas in threads that take turns within a step."""
    both_open = threading.Barrier(2)
    drawn = {}

    def replica(name):
        with step_scope(1, 0):
            both_open.wait()
            drawn[name] = [float(randomness.normal(())) for _ in range(3)]
            both_open.wait()

    threads = [threading.Thread(target=replica, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


@pytest.mark.both_backends
def test_the_distributions():
    with step_scope(0, 0):
        between = ops.convert_to_numpy(uniform((100, 50), -2.0, 3.0))
        standard = ops.convert_to_numpy(randomness.normal((100, 50)))
    assert between.dtype == standard.dtype == np.float32
    assert between.min() >= -2
    assert between.max() < 3
    assert stats.kstest(between.ravel(), stats.uniform(-2, 5).cdf).pvalue > 0.01
    assert stats.kstest(standard.ravel(), stats.norm.cdf).pvalue > 0.01


@pytest.mark.both_backends
def test_float32_under_every_policy():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with step_scope(0, 0):
            draws = uniform((2,), -1.0), randomness.normal((2,))
    finally:
        keras.config.set_dtype_policy(policy)
    assert [keras.backend.standardize_dtype(draw.dtype) for draw in draws] == ["float32", "float32"]


def three_draws(draws=None):
    """What a step with three draws is given and what it asked for."""
    with step_scope(0, 0, draws) as asked:
        drawn = uniform((2, 3), 1.0, 3.0), randomness.normal((4,)), uniform(())
    return [ops.convert_to_numpy(x) for x in drawn], asked


@pytest.mark.both_backends
def test_a_step_lists_what_it_asked_for():
    expected = [Asked("uniform", (2, 3)), Asked("normal", (4,)), Asked("uniform", ())]
    drawn, asked = three_draws()
    assert asked == expected
    assert [x.shape for x in drawn] == [shape for _, shape in asked]
    assert three_draws([np.zeros(shape) for _, shape in expected])[1] == expected


@pytest.mark.both_backends
def test_handed_draws_are_used_in_their_order():
    """Uniform ones are in [0, 1) as `Asked` says, and are stretched to the range like any other."""
    rng = np.random.default_rng(0)
    draws = [rng.random((2, 3)), rng.standard_normal(4), rng.random(())]
    drawn, _ = three_draws(draws)
    for ours, theirs in zip(drawn, [1 + 2 * draws[0], *draws[1:]], strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.both_backends
def test_handed_draws_may_be_tensors_of_a_compiled_step():
    def draw(handed):
        with step_scope(0, 0, handed):
            return uniform((3,), -1.0), randomness.normal((2,))

    handed = (np.array([0, 0.25, 0.5], "float32"), np.array([7, -7], "float32"))
    if keras.backend.backend() == "jax":
        import jax

        first, second = jax.jit(draw)(handed)
    else:
        import tensorflow as tf

        first, second = tf.function(draw)(handed)
    np.testing.assert_array_equal(ops.convert_to_numpy(first), [-1, -0.5, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(second), [7, -7])


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([np.zeros((3, 2)), np.zeros(4), np.zeros(())], r"draw 0 .* uniform of shape \(2, 3\)"),
        ([np.zeros((2, 3)), np.zeros((4, 1)), np.zeros(())], r"draw 1 .* normal of shape \(4,\)"),
        ([np.zeros((2, 3)), np.zeros(4)], r"draw 2 .* uniform of shape \(\)"),
        ([], "draw 0"),
        ([np.zeros((2, 3)), np.zeros(4), np.zeros(()), np.zeros(())], "makes 3 draws, and 4 were handed in"),
    ],
)
def test_handed_draws_of_another_shape_or_number_are_refused(draws, message):
    with pytest.raises(ValueError, match=message):
        three_draws(draws)
    assert not in_step_scope()


def test_drawing_outside_of_a_step_is_refused():
    with pytest.raises(RuntimeError, match="open a step_scope"):
        uniform((2,))


@pytest.mark.both_backends
def test_branches_draw_as_if_each_were_the_only_one():
    with step_scope(0, 0) as asked:
        first = uniform((2,))
        short, long = randomness.alternatives(lambda: [uniform((3,))], lambda: [uniform((3,)), uniform((4,))])
        drawn = [branch() for branch in (short, long, short)]
        after = uniform((5,))
    np.testing.assert_array_equal(ops.convert_to_numpy(drawn[0][0]), ops.convert_to_numpy(drawn[1][0]))
    np.testing.assert_array_equal(ops.convert_to_numpy(drawn[0][0]), ops.convert_to_numpy(drawn[2][0]))
    assert [shape for _, shape in asked] == [(2,), (3,), (4,), (5,)]
    assert len({float(ops.sum(x)) for x in (first, *drawn[1], after)}) == 4


def test_handed_draws_belong_to_their_own_scope():
    with step_scope(0, 0, [np.ones(2), np.full(2, 2)]):
        first = uniform((2,))
        np.testing.assert_array_equal(normal(2, 0), normal(2, 0))
        second = uniform((2,))
    np.testing.assert_array_equal([np.array(first), np.array(second)], [[1, 1], [2, 2]])
