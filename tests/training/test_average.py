"""The generator's average against its closed form, in compiled steps."""

import keras
import numpy as np
import pytest
from keras import ops

from doggan.config import Ema, Generator
from doggan.layers import DenseSN, Dropout
from doggan.nets.dcgan import generator as dcgan
from doggan.training.average import GeneratorAverage


def small():
    """A kernel, a bias, u, and the four weights of batch norm."""
    return keras.Sequential(
        [keras.Input((2,)), DenseSN(3), Dropout(0.5), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    )


def dense(value):
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, use_bias=False)])
    net.set_weights([np.full((1, 2), value, "float32")])
    return net


def values(net):
    return [ops.convert_to_numpy(weight) for weight in net.weights]


def set_values(net, arrays):
    for weight, array in zip(net.weights, arrays, strict=True):
        weight.assign(array)


def compiled(average, generator, images_per_step):
    """images_seen → one update in a compiled function, its results stored in the average."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda seen: average.update(generator, seen, images_per_step))
    import jax

    means, nows = average.generator.weights, generator.weights

    @jax.jit
    def pure(mean_values, now_values, seen):
        mapping = [*zip(means, mean_values, strict=True), *zip(nows, now_values, strict=True)]
        with keras.StatelessScope(mapping) as scope:
            average.update(generator, seen, images_per_step)
        return [scope.get_current_value(mean) for mean in means]

    def step(seen):
        new = pure([mean.value for mean in means], [now.value for now in nows], seen)
        for mean, value in zip(means, new, strict=True):
            mean.assign(value)

    return step


@pytest.mark.both_backends
@pytest.mark.parametrize(("ramp_up", "dtype"), [(0.0, "float32"), (0.3, "int32")])
def test_every_weight_follows_the_closed_form(ramp_up, dtype):
    generator, rng = small(), np.random.default_rng(0)
    average = GeneratorAverage(generator, Ema(half_life=20.0, ramp_up=ramp_up))
    update, n = compiled(average, generator, 8), 8
    expected = [value.astype("float64") for value in values(generator)]
    names = {"kernel", "bias", "u", "gamma", "beta", "moving_mean", "moving_variance"}
    assert {weight.name for weight in average.generator.weights} == names
    for step in range(12):  # the ramp ends at image 67, in step 9
        new = [rng.normal(size=value.shape).astype("float32") for value in expected]
        set_values(generator, new)
        update(ops.convert_to_tensor(n * step, dtype))
        half_life = min(20.0, ramp_up * n * step) if ramp_up else 20.0
        beta = 0.5 ** (n / half_life) if half_life else 0.0
        expected = [beta * mean + (1 - beta) * now.astype("float64") for mean, now in zip(expected, new, strict=True)]
        for mean, right in zip(values(average.generator), expected, strict=True):
            np.testing.assert_allclose(mean, right, rtol=1e-5, atol=1e-6)
        for mine, now in zip(values(generator), new, strict=True):
            np.testing.assert_array_equal(mine, now)


def test_after_a_half_life_half_of_the_distance_is_left():
    average, now = GeneratorAverage(dense(1.0), Ema(half_life=1000.0, ramp_up=0.0)), dense(3.0)
    for step in range(10):
        average.update(now, 100 * step, 100)
    np.testing.assert_allclose(values(average.generator)[0], 2.0, rtol=1e-6)


def test_a_long_half_life_keeps_its_digits():
    """β differs from 1 by 1.1e-5 here, of which float32 next to 1 has two digits."""
    average = GeneratorAverage(dense(0.0), Ema(half_life=1e6, ramp_up=0.0))
    assert float(average.rate(0, 16)) == pytest.approx(1 - 0.5 ** (16 / 1e6), rel=1e-6)


@pytest.mark.both_backends
@pytest.mark.parametrize(("ramp_up", "images"), [(0.05, 1), (1e-30, 128)])
def test_the_first_step_forgets_the_initial_weights(ramp_up, images):
    average = GeneratorAverage(dense(1.0), Ema(half_life=1e4, ramp_up=ramp_up))
    compiled(average, dense(3.0), images)(ops.convert_to_tensor(0, "int32"))
    np.testing.assert_array_equal(values(average.generator)[0], 3.0)


@pytest.mark.both_backends
def test_it_is_a_network_of_its_own_and_is_not_trained():
    generator = small()
    average = GeneratorAverage(generator, Ema())
    assert average.generator.trainable_variables == []
    assert len(generator.trainable_variables) == 4
    theirs = {id(variable) for variable in generator.variables}
    assert not any(id(variable) in theirs for variable in average.generator.variables)
    names = [[variable.name for variable in net.variables] for net in (average.generator, generator)]
    assert names[0] == names[1]  # a checkpoint's keys of the one fit the other
    before = values(average.generator)
    for mine, same in zip(values(generator), before, strict=True):
        np.testing.assert_array_equal(mine, same)
    set_values(generator, [value + 1 for value in values(generator)])
    for mean, same in zip(values(average.generator), before, strict=True):
        np.testing.assert_array_equal(mean, same)


def test_it_computes_as_the_generator_does_in_half_precision_too():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        generator = dcgan(
            Generator(
                latent_dim=3,
                base_size=2,
                base_depth=2,
                widths=(4,),
                strides=(2,),
                batch_norm=(True,),
                dropout=(0.5,),
                spectral_norm=True,
            ),
            (4, 4, 3),
        )
    finally:
        keras.config.set_dtype_policy("float32")
    average = GeneratorAverage(generator, Ema()).generator
    for ours, theirs in zip(average.layers[1:], generator.layers[1:], strict=True):  # the input has nothing to compute
        assert type(ours) is type(theirs)
        assert ours.dtype_policy.name == theirs.dtype_policy.name
    assert average.get_layer("conv_1").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in average.weights} == {"float32"}
    z = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    first, second = (ops.convert_to_numpy(net(z)) for net in (generator, average))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() > 0


def test_a_half_life_of_zero_is_no_average():
    with pytest.raises(ValueError, match="must be positive"):
        GeneratorAverage(dense(1.0), Ema(half_life=0.0))
