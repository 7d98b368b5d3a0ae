"""The residual networks: against NumPy from their weights, what they are told, and settings that do not fit."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops
from network_in_numpy import conv, nearest, pooled, relu, sigma, weights_of

from doggan.config import BatchNorm, Discriminator, Generator, Init
from doggan.errors import DogganError
from doggan.nets.resnet import check_discriminator, check_generator, discriminator, generator, image_size
from doggan.sampling import draw_z
from doggan.training.statistics import STREAM, batch_norms, reestimate

BN = BatchNorm(epsilon=1e-3, momentum=0.5)
SMALL_G = Generator(
    network="resnet", latent_dim=9, hierarchical_z=True, condition="shared", embedding_dim=5, base_depth=6,
    widths=(8, 8), strides=(2, 1), kernel=3, spectral_norm=True, bn=BN, init=Init(kind="orthogonal"),
)  # fmt: skip
SMALL_D = Discriminator(
    network="resnet", condition="projection", widths=(8, 8, 10), strides=(2, 1, 2), kernel=3, slope=0.1,
    init=Init(kind="orthogonal"),
)  # fmt: skip
SHAPE, CLASSES = (8, 8, 3), 4
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(5, 9)).astype("float32")
LABELS = np.array([0, 3, 3, 1, 2], "int32")
PICTURES = RNG.uniform(-1, 1, (5, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def networks():
    """Both, with biases and moving statistics that are not at their beginnings."""
    made = generator(SMALL_G, SHAPE, CLASSES), discriminator(SMALL_D, SHAPE, CLASSES)
    for model in made:
        for variable in model.variables:
            name = variable.path.split("/")[-1]
            if name in ("bias", "moving_mean", "gamma", "beta"):
                variable.assign(RNG.normal(0, 0.5, variable.shape))
            if name == "moving_variance":
                variable.assign(RNG.uniform(0.5, 2, variable.shape))
    return made


def generator_in_numpy(w, z, labels):
    def normal(kernel):
        return w[kernel] / sigma(w[kernel])

    def norm(x, name, style=None):
        x = (x - w[f"{name}/moving_mean"]) / np.sqrt(w[f"{name}/moving_variance"] + BN.epsilon)
        if style is None:
            return w[f"{name}/gamma"] * x + w[f"{name}/beta"]
        scale, offset = (style @ normal(f"{name}_{part}/kernel") for part in ("scale", "offset"))
        return (1 + scale[:, None, None]) * x + offset[:, None, None]

    parts = np.split(z, 3, axis=1)
    x = (parts[0] @ normal("dense/kernel") + w["dense/bias"]).reshape(-1, 4, 4, 6)
    for i, up in ((1, nearest), (2, lambda x: x)):
        style = np.concatenate([w["class_embedding/embeddings"][labels], parts[i]], axis=1)
        h = conv(up(relu(norm(x, f"block_{i}_bn_1", style))), normal(f"block_{i}_conv_1/kernel"))
        h = conv(relu(norm(h, f"block_{i}_bn_2", style)), normal(f"block_{i}_conv_2/kernel"))
        x = h + (conv(nearest(x), normal("block_1_shortcut/kernel")) if i == 1 else x)
    return np.tanh(conv(relu(norm(x, "bn_last")), normal("image/kernel"), w["image/bias"]))


def discriminator_in_numpy(w, x, labels):
    def layer(x, name):
        return conv(x, w[f"{name}/kernel"] / sigma(w[f"{name}/kernel"]), w[f"{name}/bias"])

    for i, (halved, changed) in enumerate([(True, True), (False, False), (True, True)], 1):
        h = layer(x if i == 1 else relu(x, 0.1), f"block_{i}_conv_1")
        h = layer(relu(h, 0.1), f"block_{i}_conv_2")
        h, x = (pooled(h), pooled(x)) if halved else (h, x)
        x = h + (layer(x, f"block_{i}_shortcut") if changed else x)
    features = relu(x, 0.1).sum((1, 2))
    logit = features @ (w["logit/kernel"] / sigma(w["logit/kernel"])) + w["logit/bias"]
    rows = (w["class_embedding/embeddings"] / sigma(w["class_embedding/embeddings"]))[labels]
    return logit + (rows * features).sum(1, keepdims=True)


@pytest.mark.both_backends
def test_generator_against_numpy(networks):
    expected = generator_in_numpy(weights_of(networks[0]), Z.astype(np.float64), LABELS)
    np.testing.assert_allclose(ops.convert_to_numpy(networks[0]([Z, LABELS])), expected, atol=1e-4)


@pytest.mark.both_backends
def test_discriminator_against_numpy(networks):
    expected = discriminator_in_numpy(weights_of(networks[1]), PICTURES.astype(np.float64), LABELS)
    np.testing.assert_allclose(ops.convert_to_numpy(networks[1]([PICTURES, LABELS])), expected, rtol=1e-3, atol=1e-3)


def test_a_part_of_z_reaches_its_block_and_no_earlier_one(networks):
    network, _ = networks
    blocks = keras.Model(network.inputs, [network.get_layer(f"block_{i}").output for i in (1, 2)])
    z = Z.copy()
    z[:, 6:] += 1  # the last of three parts
    (first, second), (same, other) = ([ops.convert_to_numpy(b) for b in blocks([x, LABELS])] for x in (Z, z))
    np.testing.assert_array_equal(first, same)
    assert np.abs(second - other).max() > 1e-3


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("g", "d"),
    [
        ({"condition": "none"}, {"condition": "none"}),  # z alone modulates
        ({"condition": "none", "hierarchical_z": False}, {"condition": "none"}),
        ({"condition": "batch_norm", "hierarchical_z": False}, {"attention": (1,)}),
        ({"hierarchical_z": False, "attention": (1,)}, {"spectral_norm": False}),
    ],
)
def test_other_ways(g, d):
    plain = {} if g.get("condition", "shared") == "shared" else {"embedding_dim": 10}
    settings = replace(SMALL_G, **plain, **g), replace(SMALL_D, **d)
    made, judge = generator(settings[0], SHAPE, CLASSES), discriminator(settings[1], SHAPE, CLASSES)
    images = made([Z, LABELS] if settings[0].condition != "none" else Z)
    images = ops.convert_to_numpy(images)
    logits = judge([images, LABELS] if settings[1].condition != "none" else images)
    assert images.shape == (5, *SHAPE)
    assert logits.shape == (5, 1)
    assert np.isfinite(ops.convert_to_numpy(logits)).all()


def test_statistics_can_be_estimated_anew(networks):
    """Each normalisation's moving statistics become the moments of what it is fed, in inference."""
    network, _ = networks
    kept = network.get_weights()
    classes = (np.arange(40) % CLASSES).astype(np.int32)
    reestimate(network, 40, seed=0, batch_size=10, classes=classes)
    layers = batch_norms(network)
    assert len(layers) == 5
    fed = [layer.input[0] if isinstance(layer.input, list) else layer.input for layer in layers]
    inputs = keras.Model(network.inputs, fed)([draw_z(40, 9, STREAM), classes])
    for layer, x in zip(layers, map(ops.convert_to_numpy, inputs), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_mean), x.mean((0, 1, 2)), atol=1e-4)
        np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_variance), x.var((0, 1, 2)), rtol=1e-3)
    network.set_weights(kept)


def test_kernels_begin_orthogonal(networks):
    fresh = generator(SMALL_G, SHAPE, CLASSES)
    kernels = [np.asarray(v.value) for v in fresh.trainable_variables if v.path.endswith("kernel")]
    assert len(kernels) == 1 + 2 * 2 * 2 + 2 * 2 + 1 + 1
    for kernel in kernels:
        singular = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)
        np.testing.assert_allclose(singular, 1, atol=1e-5)


def test_image_size():
    assert image_size(SMALL_G) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": (2, 3)}, r"generator.strides = \[2, 3\] must be 1 or 2"),
        ({"latent_dim": 10}, "generator.latent_dim = 10 is no multiple of 3; give one, such as 12"),
        ({"condition": "one_hot"}, "one_hot is not a way that generator.network = 'resnet' has"),
        ({"condition": "batch_norm", "embedding_dim": 10}, "hierarchical_z goes with generator.condition = shared"),
        ({"condition": "none"}, "generator.embedding_dim = 5 is of generator.condition = shared; set"),
        ({"dropout": (0.1, 0.1)}, "generator.dropout = .* is not a setting that generator.network = 'resnet' reads"),
        ({"init": Init(kind="orthogonal", std=0.1)}, "generator.init.mean and std are of init.kind = truncated_normal"),
    ],
)
def test_generator_settings_that_do_not_fit(change, message):
    check_generator(SMALL_G, CLASSES)
    with pytest.raises(DogganError, match=message):
        check_generator(replace(SMALL_G, **change), CLASSES)


def test_other_settings_that_do_not_fit():
    check_discriminator(SMALL_D, SHAPE, CLASSES)
    with pytest.raises(DogganError, match="halve a picture to 1/4 of its side, which 10×8 pixels cannot"):
        check_discriminator(SMALL_D, (10, 8, 3), CLASSES)
    with pytest.raises(DogganError, match=r"make pictures of 8 px, not \(16, 16\)"):
        generator(SMALL_G, (16, 16, 3), CLASSES)
    from doggan.nets.dcgan import check_generator as check_dcgan

    with pytest.raises(DogganError, match=r"shared is not a way that generator\.network"):
        check_dcgan(Generator(condition="shared"), CLASSES)
