"""Every recipe of the package: its size by hand at full width, and at a small one a step and its checkpoint.

The second half takes its recipes from `recipe_names()` and shrinks them by rule: a new one needs no line here.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from doggan.config import Data, Sampling, Schedule
from doggan.data.batches import batches
from doggan.data.imageset import ImageSet
from doggan.layers import BatchNormalization, SelfAttention
from doggan.losses import RELATIVISTIC
from doggan.recipes import load_about, load_recipe, recipe_names
from doggan.runs.build import build_gan, classes_of, plan_data
from doggan.runs.catalog import describe_recipes
from doggan.runs.fitting import conditional
from doggan.training.backend import to_numpy
from doggan.training.checkpoints import Checkpoints, restore, restore_generator
from doggan.training.gan import GAN

# Trainable parameters (G, D), layer by layer from input to output. Batch norm has 2 a channel, spectral norm none.

MNIST_GAN = (
    (100 * 128 + 128 + 2 * 128)
    + (128 * 256 + 256 + 2 * 256)
    + (256 * 512 + 512 + 2 * 512)
    + (512 * 1024 + 1024 + 2 * 1024)
    + (1024 * 32 * 32 + 32 * 32),
    (32 * 32 * 1024 + 1024) + (1024 * 512 + 512) + (512 * 256 + 256) + (256 * 1 + 1),
)
MNIST_CGAN = (  # a table of 10 numbers for each of 10 digits, and 10 inputs more
    10 * 10
    + (110 * 128 + 128 + 2 * 128)
    + (128 * 256 + 256 + 2 * 256)
    + (256 * 512 + 512 + 2 * 512)
    + (512 * 1024 + 1024 + 2 * 1024)
    + (1024 * 1024 + 1024),
    10 * 10 + (1034 * 1024 + 1024) + (1024 * 512 + 512) + (512 * 256 + 256) + (256 * 1 + 1),
)
MNIST_DCGAN = (
    (100 * 4 * 4 * 512 + 8192 + 2 * 8192)
    + (4 * 4 * 512 * 256 + 2 * 256)
    + (4 * 4 * 256 * 128 + 2 * 128)
    + (4 * 4 * 128 * 1 + 1),
    (3 * 3 * 1 * 128 + 128) + (3 * 3 * 128 * 256 + 2 * 256) + (3 * 3 * 256 * 512 + 2 * 512) + (4 * 4 * 512 * 1 + 1),
)
FOLDER_DCGAN = (
    (4 * 4 * 100 * 512 + 2 * 512)
    + (4 * 4 * 512 * 256 + 2 * 256)
    + (4 * 4 * 256 * 128 + 2 * 128)
    + (4 * 4 * 128 * 64 + 2 * 64)
    + 4 * 4 * 64 * 3,
    4 * 4 * 3 * 64
    + (4 * 4 * 64 * 128 + 2 * 128)
    + (4 * 4 * 128 * 256 + 2 * 256)
    + (4 * 4 * 256 * 512 + 2 * 512)
    + 4 * 4 * 512 * 1,
)
CIFAR_G_CONVOLUTIONS = (
    (4 * 4 * 512 * 512 + 2 * 512)
    + (4 * 4 * 512 * 256 + 2 * 256)
    + (4 * 4 * 256 * 128 + 2 * 128)
    + (4 * 4 * 128 * 64 + 2 * 64)
)
CIFAR_D_CONVOLUTIONS = (  # all but the first
    (4 * 4 * 64 * 128 + 2 * 128) + (4 * 4 * 128 * 256 + 2 * 256) + (4 * 4 * 256 * 512 + 2 * 512)
)
CIFAR_DCGAN = (
    (100 * 2 * 2 * 512 + 2048 + 2 * 2048) + CIFAR_G_CONVOLUTIONS + (64 * 3 + 3),
    (4 * 4 * 3 * 64 + 64) + CIFAR_D_CONVOLUTIONS + (4 * 4 * 512 * 1 + 1),
)
# f, g and h with biases, and γ: of 64 channels in G, of 256 in D.
SOURCE_64 = 2 * (64 * 8 + 8) + (64 * 64 + 64) + 1
SOURCE_256 = 2 * (256 * 32 + 32) + (256 * 256 + 256) + 1
CIFAR_SAGAN = (CIFAR_DCGAN[0] + SOURCE_64, CIFAR_DCGAN[1] + SOURCE_256)
CIFAR_CSAGAN = (  # ten inputs more, ten maps more
    (110 * 2 * 2 * 512 + 2048 + 2 * 2048) + CIFAR_G_CONVOLUTIONS + SOURCE_64 + (64 * 3 + 3),
    (4 * 4 * 13 * 64 + 64) + CIFAR_D_CONVOLUTIONS + SOURCE_256 + (4 * 4 * 512 * 1 + 1),
)
DOGS_DCGAN = (
    (128 * 4 * 4 * 128 + 2048)
    + (5 * 5 * 128 * 512 + 2 * 512)
    + (5 * 5 * 512 * 256 + 2 * 256)
    + (5 * 5 * 256 * 128 + 2 * 128)
    + (5 * 5 * 128 * 64 + 2 * 64)
    + (5 * 5 * 64 * 32 + 2 * 32)
    + (32 * 3 + 3),
    (5 * 5 * 3 * 64 + 64)
    + (5 * 5 * 64 * 64 + 2 * 64)
    + (5 * 5 * 64 * 128 + 2 * 128)
    + (5 * 5 * 128 * 256 + 2 * 256)
    + (8 * 8 * 256 * 1 + 1),
)
DOGS_DEMO = (
    (64 * 4 * 4 * 128 + 2048)
    + (4 * 4 * 128 * 128 + 2 * 128)
    + (4 * 4 * 128 * 64 + 2 * 64)
    + (4 * 4 * 64 * 32 + 2 * 32)
    + (4 * 4 * 32 * 16 + 2 * 16)
    + (16 * 3 + 3),
    (4 * 4 * 3 * 16 + 16)
    + (4 * 4 * 16 * 32 + 2 * 32)
    + (4 * 4 * 32 * 64 + 2 * 64)
    + (4 * 4 * 64 * 96 + 2 * 96)
    + (4 * 4 * 96 * 1 + 1),
)
DOGS_CGAN = (  # conditional batch norm: 2 tables of 120 rows
    (128 * 4 * 4 * 512 + 8192)
    + (4 * 4 * 512 * 512 + 2 * 120 * 512)
    + (4 * 4 * 512 * 256 + 2 * 120 * 256)
    + (4 * 4 * 256 * 128 + 2 * 120 * 128)
    + (4 * 4 * 128 * 64 + 2 * 120 * 64)
    + (64 * 3 + 3),
    (4 * 4 * 3 * 64 + 64)
    + (4 * 4 * 64 * 128 + 128)
    + (4 * 4 * 128 * 256 + 256)
    + (4 * 4 * 256 * 512 + 512)
    + (512 * 1 + 1)
    + 120 * 512,  # the projection
)
# f and g to C/8, h to C/2, o back, no biases, and γ: of 128 channels in both networks.
RELEASED_128 = 2 * 128 * 16 + 128 * 64 + 64 * 128 + 1


def norms(width, style):
    """Scale and offset of a normalisation, linear in the embedding beside a part of z, no biases."""
    return 2 * style * width


def residual_up(inside, out, style=128 + 24):
    """A block of BigGAN's generator: two norms, two 3×3 convolutions and the shortcut."""
    return norms(inside, style) + norms(out, style) + 3 * 3 * inside * out + 3 * 3 * out * out + inside * out


def residual_down(inside, out):
    """A block of its discriminator, with biases."""
    return (3 * 3 * inside * out + out) + (3 * 3 * out * out + out) + (inside * out + out)


def dogs_best(c):
    """Of width c in the layers at 64×64."""
    at_32 = 2 * 2 * c * (2 * c // 8) + 2 * c * c + c * 2 * c + 1  # self-attention of 2c channels, as RELEASED_128
    return (
        120 * 128  # the shared embedding
        + (24 * 4 * 4 * 8 * c + 4 * 4 * 8 * c)
        + residual_up(8 * c, 8 * c)
        + residual_up(8 * c, 4 * c)
        + residual_up(4 * c, 2 * c)
        + at_32
        + residual_up(2 * c, c)
        + 2 * c
        + (3 * 3 * c * 3 + 3),
        residual_down(3, c)
        + (2 * c * (c // 8) + c * (c // 2) + (c // 2) * c + 1)
        + residual_down(c, 2 * c)
        + residual_down(2 * c, 4 * c)
        + residual_down(4 * c, 8 * c)
        + 2 * (3 * 3 * 8 * c * 8 * c + 8 * c)  # of one width and side: no convolution in the shortcut
        + (8 * c + 1)
        + 120 * 8 * c,
    )


DOGS_CPU = (
    120 * 128
    + (24 * 4 * 4 * 64 + 4 * 4 * 64)
    + residual_up(64, 64)
    + residual_up(64, 32)
    + (2 * 32 * 4 + 32 * 16 + 16 * 32 + 1)  # attention at 16×16
    + residual_up(32, 16)
    + 2 * 16
    + (3 * 3 * 16 * 3 + 3),
    residual_down(3, 16)
    + (2 * 16 * 2 + 16 * 8 + 8 * 16 + 1)
    + residual_down(16, 32)
    + residual_down(32, 64)
    + residual_down(64, 128)  # without halving the side, but wider
    + (128 + 1)
    + 120 * 128,
)


def inverted(width):
    """Two blocks of R3GAN: 1×1 to twice the width, 3×3 in groups of 16 channels, 1×1 back."""
    return 2 * ((width * 2 * width + 2 * width) + (3 * 3 * 16 * 2 * width + 2 * width) + 2 * width * width)


R3GAN_STAGES = sum(map(inverted, (64, 128, 192, 256, 256))) + 64 * 128 + 128 * 192 + 192 * 256  # and 1×1 between
DOGS_R3GAN = (
    120 * 128 + (128 + 128) * 256 + 4 * 4 * 256 + R3GAN_STAGES + 64 * 3,
    3 * 64 + R3GAN_STAGES + 4 * 4 * 256 + 256 + 120 * 256,
)
BY_HAND = {
    "dogs-best": dogs_best(64),
    "dogs-best-whole": dogs_best(64),
    "dogs-fast": dogs_best(32),
    "dogs-r3gan": DOGS_R3GAN,
    "cifar10-csagan": CIFAR_CSAGAN,
    "cifar10-dcgan": CIFAR_DCGAN,
    "cifar10-sagan": CIFAR_SAGAN,
    "dogs-cgan": DOGS_CGAN,
    "dogs-cpu": DOGS_CPU,
    "dogs-dcgan": DOGS_DCGAN,
    "dogs-demo": DOGS_DEMO,
    "dogs-rahinge": DOGS_DCGAN,
    "dogs-ralsgan": DOGS_DCGAN,
    "dogs-rasgan": DOGS_DCGAN,
    "dogs-sagan": (DOGS_CGAN[0] + RELEASED_128, DOGS_CGAN[1] + RELEASED_128),
    "folder-dcgan": FOLDER_DCGAN,
    "mnist-cgan": MNIST_CGAN,
    "mnist-dcgan": MNIST_DCGAN,
    "mnist-gan": MNIST_GAN,
    "mnist-lsgan": MNIST_CGAN,
}
PUBLISHED = {"folder-dcgan": (3_576_704, 2_765_568)}


@pytest.fixture(scope="module")
def described():
    return {row.name: (row.generator_parameters, row.discriminator_parameters) for row in describe_recipes()}


@pytest.mark.parametrize("name", recipe_names())
def test_parameters_at_full_width(name, described):
    assert name in BY_HAND, "a new recipe's parameters are counted by hand, too"
    assert described[name] == BY_HAND[name]
    assert BY_HAND[name] == PUBLISHED.get(name, BY_HAND[name])


BATCH = 4


def narrow(name, seed=0):
    """A recipe with small batches and 8 channels, as few as self-attention takes, and everything else as it is.

    The same everywhere, so that JAX compiles what draws a kernel once for all recipes.
    """
    config = load_recipe(name)
    g, d = config.generator, config.discriminator
    base = {"base_depth": 8} if g.network in ("dcgan", "resnet") else {}
    groups = {"group_width": 8} if g.network == "r3gan" else {}
    parts = len(g.widths) + 1 if g.hierarchical_z else 1
    return replace(
        config,
        seed=seed,
        generator=replace(g, latent_dim=6 * parts, widths=(8,) * len(g.widths), **base, **groups),
        discriminator=replace(d, widths=(8,) * len(d.widths), **groups),
        train=replace(config.train, batch_size=BATCH),
    )


def random_pictures(name, n):
    """An `ImageSet` like the recipe's own."""
    about, rng = load_about(name), np.random.default_rng(0)
    return ImageSet(
        images=rng.integers(0, 256, (n, *about.image), dtype=np.uint8),
        labels=rng.integers(0, about.classes, n, dtype=np.int32) if about.classes else None,
        class_names=tuple(f"class {i}" for i in range(about.classes)),
        source_ids=np.array([f"picture {i}" for i in range(n)]),
        boxes=np.zeros((n, 4), np.int32),
        split=np.zeros(n, np.uint8),
    )


class Trained(NamedTuple):
    """A narrow recipe after one step; what its weights were before by `id`, and what the step logged."""

    name: str
    gan: GAN
    before: dict[int, np.ndarray]
    logs: dict[str, list[float]]


def make_gan(name, seed=0):
    config = narrow(name, seed)
    images = random_pictures(name, 2 * BATCH * config.train.d_steps)
    plan = plan_data(config, images)
    labels = images.labels if conditional(config) else None
    gan = build_gan(config, load_about(name).image, plan.steps_per_epoch, classes=classes_of(config, images))
    return gan, batches(images.images, plan, labels=labels)


def trainable(gan):
    return [*gan.generator.trainable_variables, *gan.discriminator.trainable_variables]


def kind(name):
    """A narrow recipe without what asks for nothing else of a backend: depth, rates, pictures.

    And without its loss: all of them have tests of their own on both backends.
    """
    config = narrow(name)
    g, d = (
        replace(network, widths=(), strides=(), attention=network.attention and (1,))
        for network in (config.generator, config.discriminator)
    )
    return replace(
        config,
        recipe="",
        data=Data(),
        generator=replace(g, latent_dim=0),
        discriminator=d,
        g_optimizer=replace(config.g_optimizer, lr=0.0),
        d_optimizer=replace(config.d_optimizer, lr=0.0),
        lr=Schedule(),
        augment=replace(config.augment, kimg=0.0),
        sampling=Sampling(),
        train=replace(config.train, loss="", squash=False, epochs=0),
    )


def trained_recipes():
    """The shallowest of every kind: narrow ones of a kind are the same networks, at other depths."""
    deepest_first = sorted(recipe_names(), key=lambda name: len(narrow(name).discriminator.widths), reverse=True)
    return sorted({kind(name): name for name in deepest_first}.values())


@pytest.fixture(scope="module", params=trained_recipes())
def trained(request):
    gan, data = make_gan(request.param)
    rng = np.random.default_rng(1)
    for variable in trainable(gan):  # away from where it began: a γ of zero, say, makes others idle
        variable.assign(to_numpy(variable) + rng.normal(0, 0.1, variable.shape).astype("float32"))
    before = {id(variable): to_numpy(variable).copy() for variable in trainable(gan)}
    history = gan.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)
    return Trained(request.param, gan, before, history.history)


def inputs_of(gan, seed=2):
    """z, and classes for a conditional generator."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(BATCH, gan.latent_dim)).astype("float32")
    return [z, np.zeros(BATCH, "int32")] if len(gan.generator.inputs) > 1 else z


def idle(name, gan):
    """Ids of the weights that a step need not move: no loss depends on them, whatever their values."""
    loss = load_recipe(name).train.loss
    found = []
    for network in (gan.generator, gan.discriminator):
        for layer in network.layers:
            if isinstance(layer, SelfAttention) and layer.kind == "source":
                found.append(layer.g.bias)  # the same in all of a position's logits
            if isinstance(layer, BatchNormalization):  # takes off what a bias adds
                source = layer.input[0] if isinstance(layer.input, list | tuple) else layer.input
                found.append(getattr(source._keras_history.operation, "bias", None))
    # Relativistic losses compare logits with logits; and so does the hinge as long as none is beyond its margin.
    if loss in RELATIVISTIC or loss == "hinge":
        found.append(gan.discriminator.get_layer("logit").bias)
    return {id(variable) for variable in found if variable is not None}


@pytest.mark.both_backends
def test_shapes(trained):
    image = load_about(trained.name).image
    pictures = to_numpy(trained.gan.generator(inputs_of(trained.gan)))
    assert pictures.shape == (BATCH, *image)
    assert np.abs(pictures).max() <= 1
    told = [pictures, np.zeros(BATCH, "int32")] if len(trained.gan.discriminator.inputs) > 1 else pictures
    assert tuple(trained.gan.discriminator(told).shape) == (BATCH, 1)


@pytest.mark.both_backends
def test_a_step_moves_every_weight_of_both_networks_and_no_number_is_lost(trained):
    still = idle(trained.name, trained.gan)
    for variable in trainable(trained.gan):
        after = to_numpy(variable)
        assert np.isfinite(after).all(), variable.path
        assert id(variable) in still or (after != trained.before[id(variable)]).any(), f"{variable.path} stood still"
    assert {"g_loss", "d_loss", "d_real", "d_fake"} <= set(trained.logs)
    for name, values in trained.logs.items():
        assert np.isfinite(values).all(), name
    assert int(to_numpy(trained.gan.step)) == 1


@pytest.mark.both_backends
def test_a_checkpoint_brings_everything_back(trained, tmp_path):
    gan, path = trained.gan, Checkpoints(tmp_path).save(trained.gan)
    other, _ = make_gan(trained.name, seed=1)
    saved, restored = gan.saved_variables(), other.saved_variables()
    assert list(saved) == list(restored)
    kernels = [key for key in saved if key.endswith("kernel")]
    assert all((to_numpy(saved[key]) != to_numpy(restored[key])).any() for key in kernels)
    restore(other, path)
    for key, variable in saved.items():
        np.testing.assert_array_equal(to_numpy(restored[key]), to_numpy(variable), err_msg=key)
    averaged = load_recipe(trained.name).ema.half_life > 0
    assert restore_generator(other.generator, path) == (1, averaged)
    for seed in (2, 3):
        z = inputs_of(gan, seed)
        np.testing.assert_array_equal(to_numpy(other.generator(z)), to_numpy(gan.sampler(z)))
