"""The training step against the algorithm written out in NumPy, and what `fit` reports of it."""

import keras
import numpy as np
import pytest
from keras import ops

from doggan.randomness import StepSeed
from doggan.training.gan import GAN, MeanStd, to_numpy
from doggan.training.schedules import make_optimizer

pytestmark = pytest.mark.both_backends

LATENT, PIXELS, BATCH = 3, 4, 8


def linear_gan(labels="published", optimizer=None, seed=5):
    """Fakes = z W, logit = x v: gradients that can be written down."""
    generator = keras.Sequential(
        [keras.Input((LATENT,)), keras.layers.Dense(PIXELS, use_bias=False), keras.layers.Reshape((2, 2, 1))]
    )
    discriminator = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)]
    )
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=(LATENT, PIXELS)).astype("float32")])
    discriminator.set_weights([rng.normal(size=(PIXELS, 1)).astype("float32")])
    gan = GAN(generator, discriminator, labels=labels, seed=seed)
    optimizer = optimizer or (lambda: keras.optimizers.SGD(0.1))
    gan.compile(optimizer(), optimizer())
    return gan


def real_batches(n=1000):
    rng = np.random.default_rng(1)
    for _ in range(n):
        batch = rng.uniform(-1, 1, (BATCH, 2, 2, 1)).astype("float32")
        yield (batch,) if keras.backend.backend() == "jax" else batch


def fit(gan, steps, epochs=1, **options):
    data = real_batches()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_generator(real_batches, output_signature=tf.TensorSpec((BATCH, 2, 2, 1)))
    return gan.fit(data, steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False, **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_step_is_the_simultaneous_update_of_the_paper():
    gan = linear_gan()
    w, v = (net.get_weights()[0].astype("float64") for net in (gan.generator, gan.discriminator))
    for step, batch in zip(range(3), real_batches(), strict=False):
        real = np.asarray(batch[0] if isinstance(batch, tuple) else batch).reshape(BATCH, PIXELS)
        z = ops.convert_to_numpy(keras.random.normal((BATCH, LATENT), seed=StepSeed(5, 1, step)))
        fake = z @ w
        on_real, on_fake = sigmoid(real @ v), sigmoid(fake @ v)
        # d/dv of mean −log σ(x·v) is mean (σ − 1) x; of mean −log(1 − σ(f·v)) it is mean σ f.
        v_gradient = (real.T @ (on_real - 1) + fake.T @ on_fake) / BATCH
        w_gradient = z.T @ ((on_fake - 1) @ v.T) / BATCH
        w, v = w - 0.1 * w_gradient, v - 0.1 * v_gradient
    fit(gan, 3)
    np.testing.assert_allclose(gan.generator.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], v, rtol=1e-5, atol=1e-6)
    assert int(to_numpy(gan.step)) == 3


def test_logs_hold_the_last_step_and_the_moments_of_the_epoch():
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append({name: float(value) for name, value in logs.items()})

    fit(linear_gan(), 5, epochs=2, callbacks=[Watch()])
    assert len(seen) == 10
    second = seen[5:]  # the moments start anew with the epoch
    for name in ("g_loss", "d_loss", "d_real", "d_fake"):
        values = np.array([logs[name] for logs in second])
        assert second[-1][f"{name}_mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert second[-1][f"{name}_std"] == pytest.approx(values.std(), rel=1e-3)


def test_the_same_seed_repeats_a_run_and_another_does_not():
    weights = []
    for seed in (5, 5, 6):
        gan = linear_gan(labels="intended", seed=seed)
        fit(gan, 4)
        weights.append(gan.generator.get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-4


def test_calling_the_gan_generates():
    gan = linear_gan()
    z = np.ones((2, LATENT), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(gan(z)), ops.convert_to_numpy(gan.generator(z)))


def test_both_optimizers_move_and_are_saved_with_their_slots():
    gan = linear_gan(optimizer=lambda: keras.optimizers.Adam(0.01))
    before = {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}
    fit(gan, 2)
    moved = {
        key for key, variable in gan.saved_variables().items() if not np.array_equal(before[key], to_numpy(variable))
    }
    for owner in ("g_optimizer", "d_optimizer"):
        assert sum(key.startswith(owner) for key in moved) == 3  # iterations, momentum, velocity of one kernel
    assert {"step", "generator.000.kernel", "discriminator.000.kernel"} <= moved


@pytest.mark.parametrize("step", [0, 50, 100])
def test_cosine_decay_follows_the_formula_and_constant_does_not_move(step):
    from doggan.config import Optimizer, Schedule

    variable = keras.Variable(np.zeros(2, "float32"))
    cosine = make_optimizer(Optimizer(lr=3e-4), Schedule("cosine"), 100, "a")
    constant = make_optimizer(Optimizer(lr=3e-4), Schedule("constant"), 100, "b")
    for optimizer in (cosine, constant):
        optimizer.build([variable])
        optimizer.iterations.assign(step)
    expected = 3e-4 * 0.5 * (1 + np.cos(np.pi * step / 100))
    assert float(cosine.learning_rate) == pytest.approx(expected, rel=1e-5, abs=1e-10)
    assert float(constant.learning_rate) == pytest.approx(3e-4, rel=1e-6)


def test_mean_std_of_a_large_offset_is_exact():
    stat = MeanStd("x")
    values = 1000 + np.random.default_rng(0).normal(size=200)
    for value in values:
        stat.update_state(ops.convert_to_tensor(value, dtype="float32"))
    assert float(stat.result()) == pytest.approx(values.mean(), rel=1e-6)
    assert float(stat.std()) == pytest.approx(values.std(), rel=1e-3)
    stat.reset_state()
    assert float(stat.result()) == 0
