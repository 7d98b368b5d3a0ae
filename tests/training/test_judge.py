"""What the discriminator sees within a step, augmented, noisy and adaptively so, against NumPy written out."""

import keras
import numpy as np
import pytest
from linear_gan import BATCH, LATENT, fit, sigmoid, weights

from doggan.config import Augment, InstanceNoise
from doggan.training.gan import GAN

pytestmark = pytest.mark.both_backends

SIDE = 8  # an eighth of it, how far a translation goes, is a pixel
PIXELS = SIDE * SIDE
RATE = 1.0


def pictures_gan(rate=RATE, scale=0.1, **options):
    """Fakes = z W and logit = x v, on pictures 8×8, with SGD."""
    generator = keras.Sequential(
        [keras.Input((LATENT,)), keras.layers.Dense(PIXELS, use_bias=False), keras.layers.Reshape((SIDE, SIDE, 1))]
    )
    discriminator = keras.Sequential(
        [keras.Input((SIDE, SIDE, 1)), keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)]
    )
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=(LATENT, PIXELS)).astype("float32")])
    discriminator.set_weights([(scale * rng.normal(size=(PIXELS, 1))).astype("float32")])
    gan = GAN(generator, discriminator, labels="published", seed=5, **options)
    gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    return gan


class Draws:
    """Makes the draws of a step, float32, and keeps them in the order in which they were made."""

    def __init__(self, seed=0):
        self.rng, self.made = np.random.default_rng(seed), []

    def uniform(self, *shape):
        return self._keep(self.rng.random(shape, dtype=np.float32))

    def normal(self, *shape):
        return self._keep(self.rng.standard_normal(shape, dtype=np.float32))

    def _keep(self, draw):
        self.made.append(draw)
        return draw.astype("float64")


def shift(draws):
    """[64, 64] that moves a picture by 1, 0 or −1 pixels down and to the right; zeros come in."""
    down, right = (1 - int(3 * draw) for draw in draws)
    places = [(row, column) for row in range(SIDE) for column in range(SIDE)]
    matrix = np.zeros((PIXELS, PIXELS))
    for old, (row, column) in enumerate(places):
        if (row + down, column + right) in places:
            matrix[places.index((row + down, column + right)), old] = 1
    return matrix


def hole(draws):
    """[64, 64] that sets a square of 4×4 to zero; 9 places for each side of it, partly outside of the picture."""
    top, left = (int(9 * draw) - 2 for draw in draws)
    keeps = np.ones((SIDE, SIDE))
    keeps[max(top, 0) : top + 4, max(left, 0) : left + 4] = 0
    return np.diag(keeps.ravel())


MADE = {"translation": shift, "cutout": hole}


def seen(draws, policy, probability, rows=BATCH):
    """[B, 64, 64]: what a judgement does to each picture, as a matrix."""
    matrices = np.broadcast_to(np.eye(PIXELS), (rows, PIXELS, PIXELS))
    for name in policy:
        moved = np.stack([MADE[name](row) for row in draws.uniform(rows, 2)]) @ matrices
        if probability < 1:
            moved = np.where(draws.uniform(rows, 1)[:, :, None] < probability, moved, matrices)
        matrices = moved
    return matrices


def apply(matrices, pictures):
    return np.einsum("bij,bj->bi", matrices, pictures)


def d_gradient(real, fake, v):
    """d/dv of mean −log σ(x·v) is mean (σ − 1) x; of mean −log(1 − σ(f·v)) it is mean σ f."""
    return (real.T @ (sigmoid(real @ v) - 1) + fake.T @ sigmoid(fake @ v)) / len(real)


def g_gradient(z, matrices, fake, v):
    """d/dW of mean −log σ(v · A z W): through the A of each picture."""
    slopes = np.einsum("bij,i->bj", matrices, v[:, 0])
    return z.T @ ((sigmoid(fake @ v) - 1) * slopes) / len(z)


def real_pictures(n, rows=BATCH):
    return list(np.random.default_rng(1).uniform(-1, 1, (n, rows, SIDE, SIDE, 1)).astype("float32"))


def assert_weights(gan, w, v):
    for found, expected in zip(weights(gan), (w, v), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("policy", "probability"), [(("translation",), 1.0), (("cutout",), 0.5)])
def test_both_networks_learn_from_augmented_pictures(policy, probability):
    gan = pictures_gan(augment=Augment(policy=policy, probability=probability))
    before = w, v = weights(gan)
    batches, draws = real_pictures(2), []
    for real in batches:
        step = Draws(len(draws))
        z = step.normal(BATCH, LATENT)
        on_real, on_fake = (seen(step, policy, probability) for _ in range(2))
        real, fake = apply(on_real, real.reshape(BATCH, PIXELS)), apply(on_fake, z @ w)
        w, v = w - RATE * g_gradient(z, on_fake, fake, v), v - RATE * d_gradient(real, fake, v)
        draws.append(tuple(step.made))
    assert 0 < sum(np.array_equal(matrix, np.eye(PIXELS)) for matrix in (*on_real, *on_fake)) < 2 * BATCH
    fit(gan, batches, 2, draws)
    assert_weights(gan, w, v)
    assert min(np.abs(new - old).max() for new, old in zip((w, v), before, strict=True)) > 1e-2


def test_every_alternating_update_augments_anew():
    policy, probability = ("translation", "cutout"), 0.5
    gan = pictures_gan(augment=Augment(policy=policy, probability=probability), update="alternating", d_steps=2)
    w, v = weights(gan)
    (batch,), draws = real_pictures(1, 2 * BATCH), Draws()
    for real in np.split(batch.reshape(-1, PIXELS), 2):
        z = draws.normal(BATCH, LATENT)
        on_real, on_fake = (seen(draws, policy, probability) for _ in range(2))
        v = v - RATE * d_gradient(apply(on_real, real), apply(on_fake, z @ w), v)
    z = draws.normal(BATCH, LATENT)
    on_fake = seen(draws, policy, probability)
    w = w - RATE * g_gradient(z, on_fake, apply(on_fake, z @ w), v)
    fit(gan, [batch], 1, [tuple(draws.made)])
    assert_weights(gan, w, v)


def test_instance_noise_is_on_real_and_fake_and_fades_from_step_to_step():
    gan = pictures_gan(instance_noise=InstanceNoise(std=0.5, until=0.5), total_steps=4)
    w, v = weights(gan)
    batches, draws = real_pictures(3), []
    for std, real in zip((0.5, 0.25, 0.0), batches, strict=True):
        step = Draws(len(draws))
        z = step.normal(BATCH, LATENT)
        noise = [std * step.normal(BATCH, SIDE, SIDE, 1).reshape(BATCH, PIXELS) for _ in range(2)]
        real, fake = real.reshape(BATCH, PIXELS) + noise[0], z @ w + noise[1]
        still = np.broadcast_to(np.eye(PIXELS), (BATCH, PIXELS, PIXELS))
        w, v = w - RATE * g_gradient(z, still, fake, v), v - RATE * d_gradient(real, fake, v)
        draws.append(tuple(step.made))
    fit(gan, batches, 3, draws)
    assert_weights(gan, w, v)


@pytest.mark.parametrize(("d_steps", "by"), [(1, 0.1), (2, 0.2)])
def test_the_adaptive_probability_rises_where_the_discriminator_is_sure_of_real_pictures(d_steps, by):
    """By 4 · 8 d_steps / 320 after every fourth step, since D(real) > 0 > D(fake) whatever is augmented."""
    gan = pictures_gan(
        rate=0.0,
        augment=Augment(policy=("translation",), target=0.6, kimg=0.32),
        update="simultaneous" if d_steps == 1 else "alternating",
        d_steps=d_steps,
    )
    gan.generator.set_weights([-np.ones((LATENT, PIXELS), "float32")])
    gan.discriminator.set_weights([np.ones((PIXELS, 1), "float32")])
    gan.saved_variables()["augment.probability"].assign(0.25)
    batches, draws = [np.ones((d_steps * BATCH, SIDE, SIDE, 1), "float32")] * 8, []
    for seed in range(8):
        step = Draws(seed)
        for judged in (2,) if d_steps == 1 else (2, 2, 1):
            step.made.append(np.ones((BATCH, LATENT), "float32"))
            for _ in range(judged):
                seen(step, ("translation",), 0.5)
        draws.append(tuple(step.made))
    history = fit(gan, batches, 1, draws, epochs=8).history
    assert min(history["d_real"]) > 0.9
    assert max(history["d_fake"]) < 0.1
    assert history["augment_p"] == pytest.approx([0.25] * 3 + [0.25 + by] * 4 + [0.25 + 2 * by], abs=1e-6)
