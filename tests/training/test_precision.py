"""Half precision: what is computed in it, what stays float32, and how float16's losses are scaled."""

import keras
import numpy as np
import pytest
from linear_gan import LATENT, PIXELS, fit, real_batches
from numpy.testing import assert_array_equal

from doggan.config import Config, Ema, Optimizer, Penalty, Schedule, Train
from doggan.layers import DenseSN, Dropout
from doggan.runs.build import build_gan
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN
from doggan.training.optimizers import make_optimizer

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def dense_gan(precision):
    """Both networks with batch norm, spectral norm and dropout, the last layers float32, as our networks have them."""

    def network(name, inputs, *outputs):
        hidden = [DenseSN(16), keras.layers.BatchNormalization(momentum=0.5), keras.layers.LeakyReLU(), Dropout(0.2)]
        return keras.Sequential([keras.Input(inputs), keras.layers.Flatten(), *hidden, *outputs], name=name)

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        pixels = keras.layers.Dense(PIXELS, activation="tanh", dtype="float32")
        generator = network("generator", (LATENT,), pixels, keras.layers.Reshape((2, 2, 1), dtype="float32"))
        discriminator = network("discriminator", (2, 2, 1), DenseSN(1, dtype="float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    gan = GAN(generator, discriminator, penalty=Penalty(r1=1.0), ema=Ema(half_life=100), replay=2)
    optimizers = [
        make_optimizer(Optimizer(lr=1e-2), Schedule("constant"), 10, name, loss_scaling=precision == "float16")
        for name in ("g_optimizer", "d_optimizer")
    ]
    gan.compile(*optimizers)
    return gan


def trainable(gan):
    return [to_numpy(v) for net in (gan.generator, gan.discriminator) for v in net.trainable_variables]


@pytest.mark.both_backends
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_steps_are_about_those_of_float32_and_what_is_kept_is_float32(precision):
    moved = []
    for each in ("float32", precision):
        gan = dense_gan(each)
        before = trainable(gan)
        history = fit(gan, real_batches(3), 3).history
        assert all(np.isfinite(values).all() for values in history.values())
        moved.append(np.concatenate([(new - old).ravel() for new, old in zip(trainable(gan), before, strict=True)]))
    assert np.corrcoef(*moved)[0, 1] > 0.9
    assert np.abs(moved[0] - moved[1]).max() > 0
    assert {layer.compute_dtype for layer in gan.discriminator.layers if isinstance(layer, Dropout)} == {precision}
    saved = gan.saved_variables().values()
    assert {keras.backend.standardize_dtype(v.dtype) for v in saved if "int" not in str(v.dtype)} == {"float32"}
    assert all(np.isfinite(to_numpy(v)).all() for v in saved)


@pytest.mark.both_backends
def test_a_float16_overflow_skips_the_update_and_halves_the_scale():
    gan = dense_gan("float16")
    for optimizer in (gan.g_optimizer, gan.d_optimizer):
        optimizer.dynamic_scale.assign(2.0**60)  # no gradient in float16 survives that
    before = trainable(gan)
    fit(gan, real_batches(1), 1)
    for old, new in zip(before, trainable(gan), strict=True):
        assert_array_equal(old, new)
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
