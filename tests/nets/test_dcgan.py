"""The DCGAN: sizes, parameter counts, settings, saving and one step of each network."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from gradients import losses_and_gradients
from keras import ops

from doggan.config import BatchNorm, Discriminator, Generator, Init
from doggan.errors import DogganError
from doggan.layers import ConvSN2D, ConvSN2DTranspose, DenseSN, Dropout
from doggan.nets import family
from doggan.nets.dcgan import check_discriminator, check_generator, discriminator, generator, image_size

SMALL_G = Generator(
    latent_dim=6, base_size=4, base_depth=5, widths=(8, 8, 8), strides=(1, 2, 2), kernel=3,
    batch_norm=(True, True, True), dropout=(0.5, 0.0, 0.0),
)  # fmt: skip
SMALL_D = Discriminator(
    widths=(8, 8, 8), strides=(1, 2, 2), kernel=3, batch_norm=(False, True, True), dropout=(0.0, 0.0, 0.0)
)
SHAPE = (16, 16, 3)


def noise(n=8, config=SMALL_G):
    return np.random.default_rng(0).normal(size=(n, config.latent_dim)).astype("float32")


def pictures(n=8, shape=SHAPE):
    return np.random.default_rng(1).uniform(-1, 1, (n, *shape)).astype("float32")


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.fixture(scope="module")
def reference():
    """Both networks of the reference solution."""
    return generator(Generator(), (64, 64, 3)), discriminator(Discriminator(), (64, 64, 3))


@pytest.mark.both_backends
def test_reference_generator(reference):
    model, _ = reference
    assert model.name == "generator"
    assert model.input_shape == (None, 128)
    assert model.output_shape == (None, 64, 64, 3)
    convolutions = 5 * 5 * (128 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 32)
    channels = 512 + 256 + 128 + 64 + 32
    dense = 128 * 2048 + 2048
    per_pixel = 32 * 3 + 3
    assert count(model.trainable_weights) == dense + convolutions + 2 * channels + per_pixel == 6_256_675
    assert count(model.non_trainable_weights) == 2 * channels
    assert [layer.output.shape[1:] for layer in layers_of(model, keras.layers.Conv2DTranspose)] == [
        (4, 4, 512), (8, 8, 256), (16, 16, 128), (32, 32, 64), (64, 64, 32)
    ]  # fmt: skip
    assert [layer.name for layer in layers_of(model, Dropout)] == ["dropout_1", "dropout_2"]
    assert not layers_of(model, (ConvSN2DTranspose, DenseSN))


@pytest.mark.both_backends
def test_reference_discriminator(reference):
    _, model = reference
    assert model.name == "discriminator"
    assert model.output_shape == (None, 1)
    convolutions = 5 * 5 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 256)
    first_bias = 64
    channels = 64 + 128 + 256
    dense = 8 * 8 * 256 + 1
    assert count(model.trainable_weights) == convolutions + first_bias + 2 * channels + dense == 1_148_545
    u = 64 + 64 + 128 + 256 + 1
    assert count(model.non_trainable_weights) == 2 * channels + u
    assert [layer.output.shape[1:] for layer in layers_of(model, ConvSN2D)] == [
        (64, 64, 64), (32, 32, 64), (16, 16, 128), (8, 8, 256)
    ]  # fmt: skip
    order = [type(layer).__name__ for layer in model.layers]
    repeated = ["ConvSN2D", "BatchNormalization", "LeakyReLU"]
    assert order == ["InputLayer", "ConvSN2D", "LeakyReLU", *repeated * 3, "Flatten", "DenseSN"]
    assert model.get_layer("logit").activation is keras.activations.linear


@pytest.mark.both_backends
def test_every_kernel_is_a_truncated_normal(reference):
    kernels = [w for model in reference for w in model.weights if w.path.endswith("kernel")]
    assert len(kernels) == 7 + 5
    for kernel in map(ops.convert_to_numpy, kernels):
        assert np.abs(kernel).max() <= 2 * 0.02 + 1e-6
        # Cut at two standard deviations, what remains of 0.02 is 0.02 · 0.8796; about five standard errors.
        assert kernel.std() == pytest.approx(0.02 * 0.8796, rel=4 / np.sqrt(kernel.size))
        assert kernel.mean() == pytest.approx(0, abs=5 * 0.0176 / np.sqrt(kernel.size))


def test_sigma_is_right_in_every_layer_of_the_reference(reference):
    for layer in layers_of(reference[1], ConvSN2D):
        w = ops.convert_to_numpy(layer.kernel)
        exact = np.linalg.svd(w.reshape(-1, w.shape[-1]), compute_uv=False)[0]
        assert float(layer.sigma()) == pytest.approx(exact, rel=1e-5)


def test_summary(capsys):
    generator(SMALL_G, SHAPE).summary()
    discriminator(SMALL_D, SHAPE).summary()
    printed = capsys.readouterr().out
    assert "generator" in printed
    assert "ConvSN2D" in printed


def test_registries():
    assert family(Generator().network, "generator").generator is generator
    assert family(Discriminator().network, "discriminator").discriminator is discriminator


@pytest.mark.both_backends
def test_seed_decides_the_weights():
    def weights(seed):
        return (
            generator(SMALL_G, SHAPE, seed=seed).get_weights() + discriminator(SMALL_D, SHAPE, seed=seed).get_weights()
        )

    first, same, other = weights(3), weights(3), weights(4)
    for a, b in zip(first, same, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [i for i, w in enumerate(first) if w.ndim > 1]
    assert all((first[i] != other[i]).mean() > 0.9 for i in kernels)


@pytest.mark.both_backends
def test_layers_of_equal_shape_start_from_different_weights():
    g = generator(replace(SMALL_G, base_depth=8), SHAPE)
    d = discriminator(SMALL_D, SHAPE)
    kernels = [ops.convert_to_numpy(m.get_layer(f"conv_{i}").kernel) for m in (g, d) for i in (2, 3)]
    for i, a in enumerate(kernels):
        assert all((a != b).mean() > 0.9 for b in kernels[:i])


@pytest.mark.both_backends
def test_settings_reach_the_layers():
    bn, init = BatchNorm(epsilon=1e-5, momentum=0.8), Init(mean=0.1, std=0.3)
    common = {"bn": bn, "init": init}
    settings = replace(SMALL_G, spectral_norm=True, slope=0.1, batch_norm=(True, False, True), **common)
    g = generator(settings, (16, 16, 1))
    d = discriminator(replace(SMALL_D, spectral_norm=False, slope=0.0, dropout=(0.0, 0.3, 0.0), **common), SHAPE)
    assert g.output_shape == (None, 16, 16, 1)
    assert len(layers_of(g, ConvSN2DTranspose)) == 3
    assert len(layers_of(g, DenseSN)) == 2
    assert not layers_of(d, (ConvSN2D, DenseSN))
    assert [layer.negative_slope for layer in layers_of(g, keras.layers.LeakyReLU)] == pytest.approx([0.1] * 3)
    assert len(layers_of(d, keras.layers.ReLU)) == 3
    # A bias exactly where no batch normalisation follows.
    assert [layer.use_bias for layer in layers_of(g, keras.layers.Conv2DTranspose)] == [False, True, False]
    assert [layer.use_bias for layer in layers_of(d, keras.layers.Conv2D)] == [True, False, False]
    assert [(layer.name, layer.rate) for layer in layers_of(d, Dropout)] == [("dropout_2", 0.3)]
    for layer in layers_of(g, keras.layers.BatchNormalization) + layers_of(d, keras.layers.BatchNormalization):
        assert (layer.epsilon, layer.momentum) == (1e-5, 0.8)
    kernels = [ops.convert_to_numpy(w).ravel() for w in [*g.weights, *d.weights] if w.path.endswith("kernel")]
    assert np.concatenate(kernels).mean() == pytest.approx(0.1, abs=0.02)
    assert np.concatenate(kernels).std() == pytest.approx(0.3 * 0.8796, rel=0.05)


@pytest.mark.both_backends
def test_save_and_load(tmp_path):
    for model, batch in ((generator(SMALL_G, SHAPE), noise()), (discriminator(SMALL_D, SHAPE), pictures())):
        model(batch, training=True)  # moves statistics and u
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.name == model.name
        for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ops.convert_to_numpy(loaded(batch)), ops.convert_to_numpy(model(batch)))


@pytest.mark.both_backends
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_one_step_of_each_network(spectral_norm):
    """Every weight has a gradient and all state moves; a step down lowers the loss of either network."""
    g = generator(replace(SMALL_G, dropout=(0.0,) * 3, spectral_norm=spectral_norm), SHAPE)
    d = discriminator(replace(SMALL_D, spectral_norm=spectral_norm), SHAPE)
    z, real = noise(), pictures()

    def losses():
        fake = g(z, training=True)
        on_fake = d(fake, training=True)
        g_loss = ops.mean(ops.softplus(-on_fake))
        d_loss = ops.mean(ops.softplus(-d(real, training=True))) + ops.mean(ops.softplus(on_fake))
        return [g_loss, d_loss]

    variables = [g.trainable_variables, d.trainable_variables]
    state = g.non_trainable_variables + d.non_trainable_variables
    start = [ops.convert_to_numpy(v).copy() for v in state]
    before, gradients = losses_and_gradients(losses, variables, state)
    for variable, value in zip(state, start, strict=True):
        still = np.array_equal(ops.convert_to_numpy(variable), value)
        assert still == (variable.shape == (1,)), variable.path  # the u of one output channel is ±1 for good
    for i, network in enumerate((g, d)):
        for variable, gradient in zip(network.trainable_variables, gradients[i], strict=True):
            assert np.isfinite(gradient).all()
            assert np.abs(gradient).max() > 0, f"no gradient for {network.name} {variable.path}"
        kept = [ops.convert_to_numpy(v).copy() for v in network.trainable_variables]
        for variable, gradient in zip(network.trainable_variables, gradients[i], strict=True):
            variable.assign(variable - 1e-2 * gradient)
        assert float(losses()[i]) < before[i]
        for variable, value in zip(network.trainable_variables, kept, strict=True):
            variable.assign(value)


@pytest.mark.both_backends
def test_outputs_are_float32_under_a_mixed_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        g, d = generator(SMALL_G, SHAPE), discriminator(SMALL_D, SHAPE)
    finally:
        keras.config.set_dtype_policy(before)
    assert g.get_layer("conv_1").compute_dtype == "bfloat16"
    images = g(noise(), training=True)
    logits = d(images, training=True)
    for outputs in (images, logits):
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        assert np.isfinite(ops.convert_to_numpy(outputs)).all()
    assert np.abs(ops.convert_to_numpy(images)).max() <= 1


def test_image_size():
    assert image_size(Generator()) == 64
    assert image_size(SMALL_G) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": (1, 2)}, "generator.strides has 2 entries but generator.widths has 3"),
        ({"batch_norm": (True,)}, "generator.batch_norm has 1 entries but generator.widths has 3"),
        ({"dropout": (0.5,) * 4}, "generator.dropout has 4 entries but generator.widths has 3"),
        (
            {"dropout": (0.5, 1.0, 0.0)},
            r"generator.dropout = \[0.5, 1.0, 0.0\] must all be at least 0 and below 1",
        ),
        ({"widths": (), "strides": ()}, r"generator.widths = \[\] must name at least one layer"),
        ({"widths": (8, 0, 8)}, "generator.widths = .* must all be at least 1"),
        ({"strides": (1, 2, 0)}, "generator.strides = .* must all be at least 1"),
        ({"latent_dim": 0}, "generator.latent_dim = 0 must be at least 1"),
        ({"kernel": 0}, "generator.kernel = 0 must be at least 1"),
        ({"slope": -0.1}, "generator.slope = -0.1 must not be negative"),
        ({"init": Init(std=0.0)}, "generator.init.std = 0.0 must be positive"),
        ({"bn": BatchNorm(epsilon=0.0)}, "generator.bn.epsilon = 0.0 must be positive"),
        ({"bn": BatchNorm(momentum=1.0)}, "generator.bn.momentum = 1.0 must be in"),
    ],
)
def test_generator_settings_that_do_not_fit(change, message):
    check_generator(SMALL_G)
    with pytest.raises(DogganError, match=message):
        check_generator(replace(SMALL_G, **change))


def test_discriminator_settings_that_do_not_fit():
    check_discriminator(SMALL_D, SHAPE)
    check_discriminator(SMALL_D, (7, 9, 1))
    with pytest.raises(DogganError, match=r"discriminator\.strides has 2 entries but discriminator.widths has 3"):
        discriminator(replace(SMALL_D, strides=(2, 2)), SHAPE)
    with pytest.raises(DogganError, match=r"discriminator.strides = \[1, 2, 2\] shrink .* than the 2×16 pixels"):
        check_discriminator(SMALL_D, (2, 16, 3))
