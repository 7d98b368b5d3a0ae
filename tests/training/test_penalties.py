"""Gradient penalties on discriminators whose slopes are known, and what they must leave alone."""

import keras
import numpy as np
import pytest
from keras import ops
from linear_gan import BATCH, LATENT, PIXELS, fit, linear_gan, normals, real_batches, sigmoid, weights

from doggan.config import Penalty
from doggan.layers import DenseSN
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN
from doggan.training.penalties import one_centred, state_kept, zero_centred

pytestmark = pytest.mark.both_backends


def test_formulas():
    gradient = np.array([[[[3.0], [4.0]]], [[[0.0], [0.0]]]], "float32")  # norms 5 and 0
    assert float(zero_centred(gradient)) == pytest.approx((25 + 0) / 2)
    assert float(one_centred(gradient)) == pytest.approx(((5 - 1) ** 2 + 1) / 2, rel=1e-5)
    assert zero_centred(gradient.astype("float16")).dtype in ("float32", np.float32)


def step(penalty, optimizer=None, steps=1, **options):
    """v after some steps of the linear GAN, with the z used and the logs."""
    gan = linear_gan(penalty=penalty, optimizer=optimizer, **options)
    history = fit(gan, real_batches(steps), steps, [(z, *rest) for z, *rest in draws(penalty, steps)])
    return gan.discriminator.get_weights()[0], history.history


def draws(penalty, steps):
    zs = normals(steps, BATCH, LATENT)
    epsilons = np.random.default_rng(3).uniform(size=(steps, BATCH, 1, 1, 1)).astype("float32")
    return [(z, epsilon) if penalty.gp else (z,) for z, epsilon in zip(zs, epsilons, strict=True)]


def test_penalties_of_a_linear_discriminator():
    """Its slope is v everywhere: R1 and R2 add γ v to the gradient, WGAN-GP 2λ (‖v‖ − 1) v / ‖v‖."""
    _, v = weights(linear_gan())
    norm = np.linalg.norm(v)
    plain, _ = step(Penalty())
    for penalty, slope, value in (
        (Penalty(r1=0.5), 0.5 * v, 0.25 * norm**2),
        (Penalty(r2=0.3), 0.3 * v, 0.15 * norm**2),
        (Penalty(gp=0.7), 1.4 * (norm - 1) * v / norm, 0.7 * (norm - 1) ** 2),
        (Penalty(r1=0.5, r2=0.3), 0.8 * v, 0.4 * norm**2),
    ):
        found, history = step(penalty)
        np.testing.assert_allclose(found, plain - 0.1 * slope, rtol=1e-4, atol=1e-6)
        assert history["penalty"][-1] == pytest.approx(value, rel=1e-5)


def test_penalties_are_annealed_by_half_a_cosine():
    """Of four steps the third is half way: ½ (1 + ⅕) of the factor is left."""
    penalty = Penalty(r1=0.5, final=0.2)
    _, v = weights(linear_gan())
    found = []
    for steps in (1, 2, 3, 5):
        # v stays where it is, and the penalty shows the factor.
        _, history = step(penalty, lambda: keras.optimizers.SGD(1e-6), steps, total_steps=4)
        found.append(history["penalty"][-1] / (0.25 * np.sum(v**2)))
    assert found == pytest.approx([1, 0.2 + 0.4 * (1 + np.sqrt(0.5)), 0.6, 0.2], rel=1e-3)


def test_r1_of_a_curved_discriminator_has_its_second_order_gradient():
    """D = (x·v)²: R1 is γ/2 · E 4 (x·v)² ‖v‖², whose gradient by v is 4γ E[(x·v) x ‖v‖² + (x·v)² v]."""
    gan = linear_gan(activation=ops.square)
    _, v = weights(gan)
    x = real_batches(1)[0].reshape(BATCH, PIXELS)
    xv = x @ v
    slope = 4 * 0.5 * ((x * xv).mean(axis=0)[:, None] * (v**2).sum() + (xv**2).mean() * v)
    plain, _ = step(Penalty(), activation=ops.square)
    found, history = step(Penalty(r1=0.5), activation=ops.square)
    np.testing.assert_allclose(found, plain - 0.1 * slope, rtol=1e-4, atol=1e-5)
    assert history["penalty"][-1] == pytest.approx(0.25 * 4 * (xv**2).mean() * (v**2).sum(), rel=1e-5)


def test_lazy_penalties_come_every_interval_and_count_for_it():
    _, v = weights(linear_gan())
    plain, _ = step(Penalty())
    first, history = step(Penalty(r1=0.5, interval=2))
    np.testing.assert_allclose(first, plain - 0.1 * 2 * 0.5 * v, rtol=1e-4, atol=1e-6)
    assert history["penalty"][-1] > 0
    second, history = step(Penalty(r1=0.5, interval=2), steps=2)
    assert history["penalty"][-1] == 0
    # The second step has none: from the first one's v it is the plain update.
    gan = linear_gan()
    w, _ = weights(gan)
    (_, real1), (z0, z1) = real_batches(2), normals(2, BATCH, LATENT)
    w = w - 0.1 * z0.T @ ((sigmoid(z0 @ w @ v) - 1) @ v.T) / BATCH
    real, fake, v1 = real1.reshape(BATCH, PIXELS), z1 @ w, first.astype("float64")
    expected = v1 - 0.1 * (real.T @ (sigmoid(real @ v1) - 1) + fake.T @ sigmoid(fake @ v1)) / BATCH
    np.testing.assert_allclose(second, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_penalties_move_neither_u_nor_batch_norm_a_second_time(update):
    states, values = [], []
    for penalty in (Penalty(), Penalty(r1=1.0, r2=1.0, gp=1.0)):
        gan = standing_gan(penalty, update)
        before = [to_numpy(variable) for variable in gan.discriminator.non_trainable_variables]
        assert len(before) == 3  # u, moving mean and variance
        z, z_of_g = normals(2, BATCH, LATENT)
        epsilon = [np.full((BATCH, 1, 1, 1), 0.5, "float32")] if penalty.gp else []
        given = (z, *epsilon) if update == "simultaneous" else (z, *epsilon, z_of_g)
        history = fit(gan, real_batches(1), 1, [given]).history
        states.append([to_numpy(variable) for variable in gan.discriminator.non_trainable_variables])
        values += history.get("penalty", [0.0])
        assert all(np.abs(new - old).max() > 1e-4 for new, old in zip(states[-1], before, strict=True))
    assert values[0] == 0 < values[1]
    for without, penalised in zip(*states, strict=True):
        np.testing.assert_allclose(penalised, without, rtol=1e-6)


def standing_gan(penalty, update):
    """D has batch norm and spectral norm, and a rate of zero: only its state moves."""
    generator = keras.Sequential(
        [keras.Input((LATENT,)), keras.layers.Dense(PIXELS), keras.layers.Reshape((2, 2, 1))], name="generator"
    )
    discriminator = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            DenseSN(6),
            keras.layers.BatchNormalization(),
            keras.layers.LeakyReLU(),
            keras.layers.Dense(1),
        ]
    )
    rng = np.random.default_rng(4)
    for variable in (*generator.trainable_variables, *discriminator.trainable_variables):
        variable.assign(rng.normal(size=tuple(variable.shape)))
    discriminator.layers[1].u.assign(np.ones(6))  # far from the singular vector, so that it has somewhere to move
    gan = GAN(generator, discriminator, penalty=penalty, update=update, labels="published", seed=1)
    gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    return gan


def test_what_is_assigned_while_the_state_is_kept_is_forgotten():
    variable = keras.Variable(np.ones(2, "float32"))
    with state_kept():
        variable.assign(np.zeros(2))
        assert float(ops.sum(variable)) == 0
    np.testing.assert_array_equal(to_numpy(variable), 1)
