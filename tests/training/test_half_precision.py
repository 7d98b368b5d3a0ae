"""Half precision: what is computed in it, what stays float32, and how float16's losses are scaled."""

import keras
import numpy as np
import pytest
from linear_gan import LATENT, fit, real_batches
from numpy.testing import assert_array_equal

from doggan.config import Config, Ema, Optimizer, Penalty, Schedule, Train
from doggan.layers import BatchNormalization, ConvSN2D, DenseSN, Dropout
from doggan.runs.build import build_gan
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN
from doggan.training.optimizers import make_optimizer

RATE = 2.0**-6
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def small_gan(precision, **options):
    """Both networks with batch norm, spectral norm and dropout, the last layers float32, as our networks have them."""

    def normalised():
        return [BatchNormalization(momentum=0.5), keras.layers.LeakyReLU(), Dropout(0.2)]

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        generator = keras.Sequential(
            [
                keras.Input((LATENT,)),
                keras.layers.Dense(4 * 6, use_bias=False),
                keras.layers.Reshape((2, 2, 6)),
                *normalised(),
                keras.layers.Dense(1, activation="tanh", dtype="float32"),
            ]
        )
        discriminator = keras.Sequential(
            [
                keras.Input((2, 2, 1)),
                ConvSN2D(6, 3, padding="same", use_bias=False),
                *normalised(),
                keras.layers.Flatten(),
                DenseSN(1, dtype="float32"),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    gan = GAN(generator, discriminator, **options)
    optimizers = [
        make_optimizer(Optimizer("sgd", lr=RATE), Schedule("constant"), 10, name, loss_scaling=precision == "float16")
        for name in ("g_optimizer", "d_optimizer")
    ]
    gan.compile(*optimizers)
    return gan


def trainable(gan):
    """{key: value} of what the optimizers move."""
    networks = ("generator.", "discriminator.")
    return {key: to_numpy(v) for key, v in gan.saved_variables().items() if key.startswith(networks) and v.trainable}


def cosine(a, b):
    return float(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))


def steps_of(gan):
    """What a first step subtracted from each variable, and the logs of three."""
    before, after = trainable(gan), {}

    def keep(epoch, logs):
        if epoch == 0:
            after.update(trainable(gan))

    watch = keras.callbacks.LambdaCallback(on_epoch_end=keep)
    history = fit(gan, real_batches(3), 1, epochs=3, callbacks=[watch]).history
    return {key: before[key] - after[key] for key in before}, history


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.both_backends)])
def test_gradients_are_about_those_of_float32_and_what_is_kept_is_float32(precision):
    # Neither the average nor the buffer of two fakes has a say in the first step.
    expected, _ = steps_of(small_gan("float32", penalty=Penalty(r1=1.0)))
    gan = small_gan(precision, penalty=Penalty(r1=1.0), ema=Ema(half_life=100), replay=2)
    found, history = steps_of(gan)
    for key, gradient in expected.items():
        assert cosine(found[key], gradient) > 0.999, key
        assert np.linalg.norm(found[key]) == pytest.approx(np.linalg.norm(gradient), rel=0.02), key
        assert np.abs(found[key] - gradient).max() > 0, key
    assert all(np.isfinite(values).all() for values in history.values())
    for network in (gan.generator, gan.discriminator):
        normalised = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
        assert [(layer.compute_dtype, len(layer.input.shape)) for layer in normalised] == [(precision, 4)]
    saved = gan.saved_variables().values()
    assert {keras.backend.standardize_dtype(v.dtype) for v in saved if "int" not in str(v.dtype)} == {"float32"}
    assert all(np.isfinite(to_numpy(v)).all() for v in saved)


@pytest.mark.both_backends
def test_a_float16_overflow_skips_the_update_and_halves_the_scale():
    gan = small_gan("float16")
    for optimizer in (gan.g_optimizer, gan.d_optimizer):
        optimizer.dynamic_scale.assign(2.0**60)  # no gradient in float16 survives that
    before = trainable(gan)
    fit(gan, real_batches(1), 1)
    for key, value in trainable(gan).items():
        assert_array_equal(value, before[key], err_msg=key)
    assert float(to_numpy(gan.g_optimizer.dynamic_scale)) == 2.0**59
    assert float(to_numpy(gan.d_optimizer.dynamic_scale)) == 2.0**59


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_recipe_chooses_the_precision_of_its_convolutions_only(precision):
    gan = build_gan(Config(train=Train(precision=precision)), (64, 64, 3), steps_per_epoch=10)
    assert keras.config.dtype_policy().name == "float32"
    for network in (gan.generator, gan.discriminator, gan.sampler):
        assert {layer.compute_dtype for layer in network.layers if layer.name.startswith("conv")} == {precision}
        assert keras.backend.standardize_dtype(network.output.dtype) == "float32"
        assert {keras.backend.standardize_dtype(variable.dtype) for variable in network.weights} == {"float32"}
    assert isinstance(gan.d_optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "float16")
