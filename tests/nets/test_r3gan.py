"""The networks without normalisation: against NumPy from their weights, their beginning, settings that do not fit."""

from dataclasses import replace

import numpy as np
import pytest
from keras import ops
from network_in_numpy import bilinear, conv, pooled, relu, weights_of

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.nets.r3gan import check_discriminator, check_generator, discriminator, generator

SMALL_G = Generator(
    network="r3gan", latent_dim=5, condition="embedding", embedding_dim=3, widths=(8, 6), strides=(1, 2), slope=0.2,
    blocks=2, group_width=4,
)  # fmt: skip
SMALL_D = Discriminator(
    network="r3gan", condition="projection", widths=(4, 8), strides=(2, 1), blocks=1, group_width=4, expansion=3
)
SHAPE, CLASSES = (8, 8, 3), 4
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(5, 5)).astype("float32")
LABELS = np.array([0, 3, 3, 1, 2], "int32")
PICTURES = RNG.uniform(-1, 1, (5, *SHAPE)).astype("float32")


def shaken(model):
    """The model, away from the zeros that it begins with."""
    for variable in model.trainable_variables:
        if variable.path.endswith(("bias", "contract/kernel")):
            variable.assign(RNG.normal(0, 0.3, variable.shape))
    return model


def block(x, w, name, group_width):
    h = relu(conv(x, w[f"{name}_expand/kernel"], w[f"{name}_expand/bias"]), 0.2)
    h = conv(h, w[f"{name}_grouped/kernel"], w[f"{name}_grouped/bias"], groups=h.shape[-1] // group_width)
    return x + conv(relu(h, 0.2), w[f"{name}_contract/kernel"])


def generator_in_numpy(w, z, labels, blocks=2):
    told = np.concatenate([z, w["class_embedding/embeddings"][labels]], axis=1)
    x = (told @ w["dense/kernel"])[:, None, None] * w["base_map/basis"]
    for stage in (1, 2):
        if stage == 2:
            x = bilinear(conv(x, w["stage_2_widen/kernel"]))
        for number in range(1, blocks + 1):
            x = block(x, w, f"stage_{stage}_block_{number}", 4)
    return np.tanh(conv(x, w["image/kernel"]))


@pytest.mark.both_backends
def test_generator_against_numpy():
    network = shaken(generator(SMALL_G, SHAPE, CLASSES))
    expected = generator_in_numpy(weights_of(network), Z.astype(np.float64), LABELS)
    np.testing.assert_allclose(ops.convert_to_numpy(network([Z, LABELS])), expected, atol=1e-4)


@pytest.mark.both_backends
def test_discriminator_against_numpy():
    network = shaken(discriminator(SMALL_D, SHAPE, CLASSES))
    w = weights_of(network)
    x = pooled(block(conv(PICTURES.astype(np.float64), w["stage_1_widen/kernel"]), w, "stage_1_block_1", 4))
    x = block(conv(x, w["stage_2_widen/kernel"]), w, "stage_2_block_1", 4)
    features = (x * w["sum/basis"]).sum((1, 2))
    expected = features @ w["logit/kernel"]
    expected += (w["class_embedding/embeddings"][LABELS] * features).sum(1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(network([PICTURES, LABELS])), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.both_backends
def test_blocks_begin_as_the_identity():
    network = generator(SMALL_G, SHAPE, CLASSES)
    expected = generator_in_numpy(weights_of(network), Z.astype(np.float64), LABELS, blocks=0)
    np.testing.assert_allclose(ops.convert_to_numpy(network([Z, LABELS])), expected, atol=1e-4)


@pytest.mark.both_backends
def test_the_scale_of_the_kernels():
    """He's, √(2 / 1.04) / √fan_in, times L^(−1/4) inside of the L = 4 · 2 blocks."""
    settings = replace(SMALL_D, widths=(64, 64), blocks=4, group_width=16, expansion=2, condition="none")
    w = weights_of(discriminator(settings, SHAPE))
    expand = np.concatenate([w[f"stage_2_block_{i}_expand/kernel"].ravel() for i in range(1, 5)])
    grouped = np.concatenate([w[f"stage_2_block_{i}_grouped/kernel"].ravel() for i in range(1, 5)])
    for kernels, fan_in in ((expand, 64), (grouped, 9 * 16)):
        expected = np.sqrt(2 / 1.04 / fan_in) * 8**-0.25
        assert kernels.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * kernels.size))
    assert w["stage_1_widen/kernel"].std() == pytest.approx(3**-0.5, rel=4 / np.sqrt(2 * 3 * 64))
    assert not w["stage_1_block_1_contract/kernel"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": (1, 4)}, r"generator.strides = \[1, 4\] must be 1 or 2"),
        ({"group_width": 5}, "generator.group_width = 5 does not divide the 16 channels inside"),
        ({"condition": "batch_norm", "embedding_dim": 10}, "batch_norm is not a way that generator.network = 'r3gan'"),
        ({"spectral_norm": True}, "generator.spectral_norm = True is not a setting"),
    ],
)
def test_generator_settings_that_do_not_fit(change, message):
    check_generator(SMALL_G, CLASSES)
    with pytest.raises(DogganError, match=message):
        check_generator(replace(SMALL_G, **change), CLASSES)


def test_discriminator_settings_that_do_not_fit():
    check_discriminator(SMALL_D, SHAPE, CLASSES)
    with pytest.raises(DogganError, match="halve a picture to 1/2 of its side, which 7×8 pixels cannot"):
        check_discriminator(SMALL_D, (7, 8, 3), CLASSES)
