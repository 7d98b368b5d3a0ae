"""Conditional steps against NumPy: fakes = z W + E[class], logit = x v + e[class]; and how z is used again."""

import keras
import numpy as np
import pytest
from keras import ops
from linear_gan import BATCH, LATENT, PIXELS, linear_gan, normals, real_batches, sigmoid, weights
from linear_gan import fit as fit_pictures

from doggan.config import Ema, Penalty
from doggan.layers import BatchNormalization
from doggan.randomness import step_scope
from doggan.training.backend import to_numpy
from doggan.training.fake_classes import FakeClasses
from doggan.training.gan import GAN

pytestmark = pytest.mark.both_backends
CLASSES = 5  # and not LATENT, which would make tables of the shape of matrices


def conditional_gan(fake_classes=None, **options):
    """Both networks are linear, with a row of a table added for the class."""
    z, asked = keras.Input((LATENT,)), keras.Input((), dtype="int32")
    x = keras.layers.Dense(PIXELS, use_bias=False)(z)
    x = keras.layers.Add()([x, keras.layers.Embedding(CLASSES, PIXELS)(asked)])
    generator = keras.Model([z, asked], keras.layers.Reshape((2, 2, 1))(x))
    image, shown = keras.Input((2, 2, 1)), keras.Input((), dtype="int32")
    x = keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(image))
    discriminator = keras.Model([image, shown], keras.layers.Add()([x, keras.layers.Embedding(CLASSES, 1)(shown)]))
    rng = np.random.default_rng(0)
    for network in (generator, discriminator):
        network.set_weights([rng.normal(size=w.shape).astype("float32") for w in network.get_weights()])
    gan = GAN(
        generator, discriminator, labels="published", seed=5, fake_classes=fake_classes or FakeClasses(), **options
    )
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    return gan


def fit(gan, batches, labels, draws=None):
    """Train a step on each of the batches ((pictures, classes), draws)."""
    elements = [((batch, own),) for batch, own in zip(batches, labels, strict=True)]
    if draws is not None:
        elements = [(*element, own) for element, own in zip(elements, draws, strict=True)]
    data = (element for element in elements)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), elements[0])
        data = tf.data.Dataset.from_generator(lambda: iter(elements), output_signature=signature)
    gan.fit(data, steps_per_epoch=len(elements), verbose=0, shuffle=False)


def parameters(network):
    """(matrix, table) in float64, whatever the order of the layers."""
    table, matrix = sorted((w.astype("float64") for w in network.get_weights()), key=lambda w: len(w) != CLASSES)
    return matrix, table


def hot(classes):
    return np.eye(CLASSES)[classes]


def labels(n):
    rng = np.random.default_rng(3)
    return [rng.integers(0, CLASSES, BATCH).astype("int32") for _ in range(n)]


def asked_of(draws, shares):
    """The class of each draw: the first whose cumulated share is above it."""
    return np.array([np.flatnonzero(draw < np.cumsum(shares))[0] for draw in draws], "int32")


@pytest.mark.parametrize("how", ["batch", "drawn"])
def test_a_simultaneous_step(how):
    shares = np.array([0.4, 0.2, 0.0, 0.3, 0.1])
    gan = conditional_gan(FakeClasses(None if how == "batch" else shares))
    (w, big), (v, small) = parameters(gan.generator), parameters(gan.discriminator)
    batches, real_classes, zs = real_batches(3), labels(3), normals(3, BATCH, LATENT)
    uniform = np.random.default_rng(4).random((3, BATCH), "float32")
    draws = [(z,) if how == "batch" else (z, u) for z, u in zip(zs, uniform, strict=True)]
    for real, own, z, u in zip(batches, real_classes, zs, uniform, strict=True):
        asked = own if how == "batch" else asked_of(u, shares)
        real = real.reshape(BATCH, PIXELS)
        fake = z @ w + big[asked]
        on_real, on_fake = real @ v + small[own], fake @ v + small[asked]
        to_fake = (sigmoid(on_fake) - 1) @ v.T / BATCH  # d g_loss / d fake
        d_v = (real.T @ (sigmoid(on_real) - 1) + fake.T @ sigmoid(on_fake)) / BATCH
        d_small = (hot(own).T @ (sigmoid(on_real) - 1) + hot(asked).T @ sigmoid(on_fake)) / BATCH
        w, big = w - 0.1 * z.T @ to_fake, big - 0.1 * hot(asked).T @ to_fake
        v, small = v - 0.1 * d_v, small - 0.1 * d_small
    fit(gan, batches, real_classes, draws)
    for ours, expected in zip(
        (*parameters(gan.generator), *parameters(gan.discriminator)), (w, big, v, small), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_d_steps_share_out_the_classes_with_the_pictures():
    gan = conditional_gan(update="alternating", d_steps=2)
    w, big = parameters(gan.generator)
    v, small = parameters(gan.discriminator)
    (real,), (own,) = real_batches(1, 2 * BATCH), [np.concatenate(labels(2))]
    zs = normals(3, BATCH, LATENT)
    for share, classes, z in zip(np.split(real.reshape(-1, PIXELS), 2), np.split(own, 2), zs[:2], strict=True):
        fake = z @ w + big[classes]
        on_real, on_fake = share @ v + small[classes], fake @ v + small[classes]
        d_v = (share.T @ (sigmoid(on_real) - 1) + fake.T @ sigmoid(on_fake)) / BATCH
        d_small = hot(classes).T @ (sigmoid(on_real) - 1 + sigmoid(on_fake)) / BATCH
        v, small = v - 0.1 * d_v, small - 0.1 * d_small
    last = np.split(own, 2)[1]
    to_fake = (sigmoid((zs[2] @ w + big[last]) @ v + small[last]) - 1) @ v.T / BATCH
    w, big = w - 0.1 * zs[2].T @ to_fake, big - 0.1 * hot(last).T @ to_fake
    fit(gan, [real], [own], [tuple(zs)])
    for ours, expected in zip(
        (*parameters(gan.generator), *parameters(gan.discriminator)), (w, big, v, small), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_penalties_judge_with_the_classes():
    """D is linear, so its slope is v everywhere: R1 adds γ v to the gradient of v, and nothing to the table's."""
    plain, gan = conditional_gan(), conditional_gan(penalty=Penalty(r1=0.5))
    draws = [(normals(1, BATCH, LATENT)[0],)]
    v, _ = parameters(gan.discriminator)
    for one in (plain, gan):
        fit(one, real_batches(1), labels(1), draws)
    (without, table), (with_penalty, same) = (parameters(one.discriminator) for one in (plain, gan))
    np.testing.assert_allclose(without - with_penalty, 0.1 * 0.5 * v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table, same, rtol=1e-6)


def test_drawn_classes_are_as_frequent_as_their_shares():
    shares = np.array([0.1, 0.0, 0.6, 0.3, 0.0])
    with step_scope(0, 0):
        drawn = ops.convert_to_numpy(FakeClasses(shares)(np.zeros(40_000, "int32")))
    counts = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(counts, shares, atol=0.01)  # four standard errors
    assert counts[1] == counts[4] == 0
    assert drawn.dtype == np.int32


def test_draws_at_the_ends_of_the_shares():
    draws = np.array([0.0, 0.24999, 0.25, 0.49999, 0.5, 1 - 2.0**-24], "float32")
    with step_scope(0, 0, [draws]):
        drawn = FakeClasses(np.array([0.25, 0.25, 0.5]))(np.zeros(6, "int32"))
    assert ops.convert_to_numpy(drawn).tolist() == [0, 0, 1, 1, 2, 2]


def test_one_z_for_both_updates():
    gan = linear_gan(update="alternating", reuse_z=True)
    w, v = weights(gan)
    batches, zs = real_batches(3), normals(3, BATCH, LATENT)
    for real, z in zip(batches, zs, strict=True):
        real, fake = real.reshape(BATCH, PIXELS), z @ w
        v = v - 0.1 * (real.T @ (sigmoid(real @ v) - 1) + fake.T @ sigmoid(fake @ v)) / BATCH
        w = w - 0.1 * z.T @ ((sigmoid(fake @ v) - 1) @ v.T) / BATCH
    fit_pictures(gan, batches, 3, [(z,) for z in zs])
    np.testing.assert_allclose(gan.generator.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], v, rtol=1e-5, atol=1e-6)
    assert [tuple(asked) for asked in gan.asked] == [("normal", (BATCH, LATENT))]


def test_moving_statistics_move_once_where_z_is_used_again():
    moved = []
    for reuse_z in (False, True):
        generator = keras.Sequential(
            [
                keras.Input((LATENT,)),
                BatchNormalization(momentum=0.5),
                keras.layers.Dense(PIXELS),
                keras.layers.Reshape((2, 2, 1)),
            ]
        )
        discriminator = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
        gan = GAN(generator, discriminator, labels="published", update="alternating", reuse_z=reuse_z)
        gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
        zs = normals(2, BATCH, LATENT)
        fit_pictures(gan, real_batches(1), 1, [tuple(zs[:1] if reuse_z else zs)])
        moved.append(to_numpy(generator.layers[0].moving_mean))
    means = [z.mean(axis=0) for z in normals(2, BATCH, LATENT)]
    np.testing.assert_allclose(moved[0], 0.5 * (0.5 * means[0]) + 0.5 * means[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved[1], 0.5 * means[0], rtol=1e-4, atol=1e-6)


def test_the_average_of_a_conditional_generator_makes_pictures_of_classes():
    gan = conditional_gan(ema=Ema(half_life=1e-3))
    fit(gan, real_batches(2), labels(2))
    z, classes = normals(1, 5, LATENT)[0], np.array([0, 1, 2, 2, 0], "int32")
    w, big = parameters(gan.generator)
    made = ops.convert_to_numpy(gan([z, classes]))
    np.testing.assert_allclose(made.reshape(5, PIXELS), z @ w + big[classes], rtol=1e-4, atol=1e-5)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="both networks are conditional"):
        linear_gan(fake_classes=FakeClasses())
    with pytest.raises(ValueError, match="reuse_z need"):
        linear_gan(reuse_z=True)
    with pytest.raises(ValueError, match="forgets the classes"):
        conditional_gan(replay=4)


@pytest.mark.parametrize("make", [keras.optimizers.Adam, keras.optimizers.RMSprop])
def test_a_class_that_stands_several_times_in_a_batch_has_one_gradient(make):
    """From rest neither optimizer moves a weight by more than its formula says of the one gradient that it has.

    Adam's first step is lr · g / (|g| + ε), at most lr; RMSprop's is lr · g / √((1 − ρ) g² + ε), at most lr / √(1 − ρ).
    """
    gan = conditional_gan()
    gan.compile(make(0.1), make(0.1))
    (_, big), (_, small) = parameters(gan.generator), parameters(gan.discriminator)
    fit(gan, real_batches(1), [np.array([0, 0, 0, 1, 1, 1, 1, 4], "int32")])
    most = 0.1 if make is keras.optimizers.Adam else 0.1 / 0.1**0.5
    for network, before in ((gan.generator, big), (gan.discriminator, small)):
        moved = np.abs(parameters(network)[1] - before)
        assert moved[[0, 1, 4]].max() > 0.9 * most
        assert moved.max() < 1.001 * most
        np.testing.assert_array_equal(moved[[2, 3]], 0)
