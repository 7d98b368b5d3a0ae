"""Batch norm's statistics after re-estimation, against NumPy and by what they make of a layer's inputs."""

import keras
import numpy as np
import pytest
from keras import layers

from doggan.config import Generator
from doggan.errors import DogganError
from doggan.layers import Dropout
from doggan.nets.dcgan import generator as dcgan
from doggan.sampling import draw_z
from doggan.training.statistics import STREAM, batch_norms, pooled, reestimate


def two_layers():
    """z → Dense → BN → ReLU → Dropout → Dense → BN → tanh, with statistics that fit nothing."""
    net = keras.Sequential(
        [
            keras.Input((3,)),
            *(layers.Dense(4), layers.BatchNormalization(epsilon=1e-3), layers.ReLU(), Dropout(0.5)),
            *(layers.Dense(2), layers.BatchNormalization(epsilon=0.1), layers.Activation("tanh")),
        ]
    )
    rng = np.random.default_rng(0)
    for weight in net.weights:
        weight.assign(rng.uniform(0.5, 2.0, weight.shape))
    return net


def convolutions():
    return dcgan(
        Generator(
            latent_dim=3,
            base_size=4,
            base_depth=2,
            widths=(4, 3),
            strides=(2, 2),
            batch_norm=(True, True),
            dropout=(0.5, 0.0),
        ),
        (16, 16, 3),
        seed=1,
    )


def statistics(net):
    return [
        np.asarray(keras.ops.convert_to_numpy(statistic))
        for layer in batch_norms(net)
        for statistic in (layer.moving_mean, layer.moving_variance)
    ]


@pytest.mark.both_backends
def test_two_layers_against_numpy():
    net = two_layers()
    w1, b1, gamma, beta, _, _, w2, b2, *_ = (np.asarray(w, "float64") for w in net.get_weights())
    reestimate(net, 50, seed=3, batch_size=20)
    x = draw_z(50, 3, 3 + STREAM) @ w1 + b1
    mean, variance = x.mean(axis=0), x.var(axis=0)
    y = np.maximum(gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta, 0) @ w2 + b2
    for found, right in zip(statistics(net), (mean, variance, y.mean(axis=0), y.var(axis=0)), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


def test_inference_then_normalises_what_it_is_fed():
    net, n = convolutions(), 30
    for layer in batch_norms(net):
        layer.beta.assign(layer.beta + 0.3)  # so that the second layer's inputs depend on the first's statistics
    reestimate(net, n, seed=0, batch_size=n)
    z = draw_z(n, 3, STREAM)
    for layer in batch_norms(net):
        fed, normalised = (
            np.asarray(x, "float64") for x in keras.Model(net.input, [layer.input, layer.output]).predict_on_batch(z)
        )
        variance = fed.var(axis=(0, 1, 2))
        assert variance.min() > 1e-7
        np.testing.assert_allclose(normalised.mean(axis=(0, 1, 2)), np.asarray(layer.beta), atol=2e-5)
        np.testing.assert_allclose(normalised.var(axis=(0, 1, 2)), variance / (variance + layer.epsilon), rtol=1e-4)


def test_the_batch_size_does_not_matter_and_the_seed_does():
    found = []
    for batch_size, seed in ((7, 1), (10, 1), (10, 1), (10, 2)):
        net = convolutions()
        before = net.get_layer("conv_1").get_weights()[0]
        reestimate(net, 20, seed, batch_size)
        np.testing.assert_array_equal(net.get_layer("conv_1").get_weights()[0], before)
        found.append(np.concatenate(statistics(net)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(found[1], found[2])
    assert np.abs(found[1] / found[3] - 1).max() > 0.01


def test_its_z_are_not_those_of_any_sample():
    for seed in (0, 1, 2**32):
        assert not np.isin(draw_z(100, 4, STREAM), draw_z(100, 4, seed)).any()


def test_pooled_moments_are_those_of_all_values_even_far_from_zero():
    values = 1e4 + np.random.default_rng(0).normal(size=(6, 50, 3))
    mean, variance = pooled(values.mean(axis=1), values.var(axis=1))
    np.testing.assert_allclose(mean, values.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(variance, values.var(axis=(0, 1)), rtol=1e-9)


@pytest.mark.both_backends
def test_half_precision_activations_are_summed_in_float32():
    """In half precision the mean of 256 values near 1,000 would be off by one, and their variance gone."""
    rng = np.random.default_rng(0)
    z = keras.Input((3,))
    x = layers.Dense(256, dtype="mixed_float16")(z)
    x = layers.Reshape((16, 16, 1), dtype="mixed_float16")(x)
    net = keras.Model(z, layers.BatchNormalization(dtype="mixed_float16")(x))
    net.weights[0].assign(rng.normal(size=(3, 256)))
    net.weights[1].assign(np.full(256, 1000.0))
    reestimate(net, 40, seed=0, batch_size=20)
    fed = keras.Model(net.input, net.layers[-1].input).predict_on_batch(draw_z(40, 3, STREAM)).astype("float64")
    found = statistics(net)
    np.testing.assert_allclose(found[0], fed.mean(), rtol=1e-6)
    np.testing.assert_allclose(found[1], fed.var(), rtol=1e-4)


def test_what_there_is_no_estimate_of_is_refused():
    plain = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(DogganError, match=r"no batch normalisation .* give --bn-samples 0"):
        reestimate(plain, 10, seed=0)
    with pytest.raises(DogganError, match="must be at least 1, and is 0"):
        reestimate(two_layers(), 0, seed=0)
    with pytest.raises(DogganError, match="batch size must be at least 1"):
        reestimate(two_layers(), 5, seed=0, batch_size=0)


def test_progress_is_quiet_unless_asked_for(capfd):
    reestimate(two_layers(), 4, seed=0, batch_size=2)
    assert capfd.readouterr() == ("", "")
    reestimate(two_layers(), 4, seed=0, batch_size=2, progress=True)
    assert "8/8" in capfd.readouterr().err
