"""The training step against the algorithm written out in NumPy, and what `fit` reports of it."""

import keras
import numpy as np
import pytest
from keras import ops
from linear_gan import BATCH, LATENT, PIXELS, fit, linear_gan, normals, real_batches, sigmoid, weights

from doggan.config import Ema
from doggan.errors import DogganError
from doggan.randomness import StepSeed
from doggan.training.backend import to_numpy
from doggan.training.moments import MeanStd

pytestmark = pytest.mark.both_backends


def d_gradient(real, fake, v):
    """d/dv of mean −log σ(x·v) is mean (σ − 1) x; of mean −log(1 − σ(f·v)) it is mean σ f."""
    return (real.T @ (sigmoid(real @ v) - 1) + fake.T @ sigmoid(fake @ v)) / len(real)


def g_gradient(z, fake, v):
    """d/dW of mean −log σ(z·W·v)."""
    return z.T @ ((sigmoid(fake @ v) - 1) @ v.T) / len(z)


def test_a_step_is_the_simultaneous_update_of_the_paper():
    gan = linear_gan()
    w, v = weights(gan)
    batches = real_batches(3)
    for step, real in enumerate(batches):
        real = real.reshape(BATCH, PIXELS)
        z = ops.convert_to_numpy(keras.random.normal((BATCH, LATENT), seed=StepSeed(5, 0, step)))
        fake = z @ w
        w, v = w - 0.1 * g_gradient(z, fake, v), v - 0.1 * d_gradient(real, fake, v)
    fit(gan, batches, 3)
    np.testing.assert_allclose(gan.generator.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], v, rtol=1e-5, atol=1e-6)
    assert int(to_numpy(gan.step)) == 3


def test_alternating_updates_take_d_steps_shares_of_the_batch_and_then_one_new_z():
    gan = linear_gan(update="alternating", d_steps=2)
    w, v = weights(gan)
    batches, draws = real_batches(2, 2 * BATCH), [normals(6, BATCH, LATENT)[i : i + 3] for i in (0, 3)]
    for real, zs in zip(batches, draws, strict=True):
        for share, z in zip(np.split(real.reshape(-1, PIXELS), 2), zs[:2], strict=True):
            v = v - 0.1 * d_gradient(share, z @ w, v)
        w = w - 0.1 * g_gradient(zs[2], zs[2] @ w, v)
    fit(gan, batches, 2, [tuple(zs) for zs in draws])
    np.testing.assert_allclose(gan.generator.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], v, rtol=1e-5, atol=1e-6)
    assert [tuple(asked) for asked in gan.asked] == [("normal", (BATCH, LATENT))] * 3


def test_a_relativistic_generator_update_scores_the_last_share_again():
    gan = linear_gan(update="alternating", loss="rsgan")
    w, v = weights(gan)
    real, (first, second) = real_batches(1)[0], normals(2, BATCH, LATENT)
    flat = real.reshape(BATCH, PIXELS)
    # d_loss = mean −log σ(r·v − f·v); g_loss = mean −log σ(f·v − r·v), with the new v.
    away = flat - first @ w
    v = v - 0.1 * away.T @ (sigmoid(away @ v) - 1) / BATCH
    w = w - 0.1 * second.T @ ((sigmoid((second @ w - flat) @ v) - 1) @ v.T) / BATCH
    fit(gan, [real], 1, [(first, second)])
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.generator.get_weights()[0], w, rtol=1e-5, atol=1e-6)


def test_replay_updates_d_on_the_full_buffer_and_empties_it():
    plain, gan = linear_gan(), linear_gan(replay=2)
    w, v = weights(gan)
    batches, zs = real_batches(4), normals(4, BATCH, LATENT)
    buffer = []
    for step, (real, z) in enumerate(zip(batches, zs, strict=True)):
        fake = z @ w
        w, v = w - 0.1 * g_gradient(z, fake, v), v - 0.1 * d_gradient(real.reshape(BATCH, PIXELS), fake, v)
        buffer.append(fake[0])
        if step % 2:
            kept = np.array(buffer)
            v = v - 0.1 * kept.T @ sigmoid(kept @ v) / 2
            buffer = []
    shapes = [tuple(variable.shape) for variable in gan.variables]
    draws = [(z,) for z in zs]
    fit(plain, batches, 4, draws)
    fit(gan, batches, 4, draws)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], v, rtol=1e-5, atol=1e-6)
    assert np.abs(plain.discriminator.get_weights()[0] - v).max() > 1e-3
    np.testing.assert_array_equal(to_numpy(gan.replay.images), 0)
    assert shapes == [tuple(variable.shape) for variable in gan.variables]  # nothing grows
    assert int(to_numpy(gan.d_optimizer.iterations)) == 6
    fit(gan, batches, 1, draws)
    assert np.abs(to_numpy(gan.replay.images)[0]).min() > 0
    np.testing.assert_array_equal(to_numpy(gan.replay.images)[1], 0)


def test_replay_refuses_a_loss_that_pairs():
    with pytest.raises(DogganError, match="rsgan pairs"):
        linear_gan(replay=2, loss="rsgan")


def test_several_steps_in_one_call_are_the_same_steps():
    results = []
    for k in (1, 3):
        gan = linear_gan(labels="intended", ema=Ema(), steps_per_execution=k)
        fit(gan, real_batches(6), 6)
        results.append([to_numpy(variable) for variable in gan.saved_variables().values()])
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)


def test_samples_are_drawn_from_the_average():
    gan = linear_gan(ema=Ema(half_life=64, ramp_up=10.0))
    fit(gan, real_batches(3), 3)
    z = np.ones((2, LATENT), "float32")
    ours = ops.convert_to_numpy(gan(z))
    np.testing.assert_array_equal(ours, ops.convert_to_numpy(gan.sampler(z)))
    assert np.abs(ours - ops.convert_to_numpy(gan.generator(z))).max() > 1e-4
    assert "average.000.kernel" in gan.saved_variables()


def test_logs_hold_the_last_step_and_the_moments_of_the_epoch():
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append({name: float(value) for name, value in logs.items()})

    fit(linear_gan(), real_batches(10), 5, epochs=2, callbacks=[Watch()])
    assert len(seen) == 10
    second = seen[5:]  # the moments start anew with the epoch
    for name in ("g_loss", "d_loss", "d_real", "d_fake"):
        values = np.array([logs[name] for logs in second])
        assert second[-1][f"{name}_mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert second[-1][f"{name}_std"] == pytest.approx(values.std(), rel=1e-3)


def test_the_same_seed_repeats_a_run_and_another_does_not():
    found = []
    for seed in (5, 5, 6):
        gan = linear_gan(labels="intended", seed=seed)
        fit(gan, real_batches(4), 4)
        found.append(gan.generator.get_weights()[0])
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1e-4


def test_calling_the_gan_generates():
    gan = linear_gan()
    z = np.ones((2, LATENT), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(gan(z)), ops.convert_to_numpy(gan.generator(z)))


def test_both_optimizers_move_and_are_saved_with_their_slots():
    gan = linear_gan(optimizer=lambda: keras.optimizers.Adam(0.01))
    before = {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}
    fit(gan, real_batches(2), 2)
    moved = {
        key for key, variable in gan.saved_variables().items() if not np.array_equal(before[key], to_numpy(variable))
    }
    for owner in ("g_optimizer", "d_optimizer"):
        assert sum(key.startswith(owner) for key in moved) == 3  # iterations, momentum, velocity of one kernel
    assert {"step", "generator.000.kernel", "discriminator.000.kernel"} <= moved


@pytest.mark.parametrize(
    "options", [{"labels": "soft"}, {"update": "both"}, {"d_steps": 2}], ids=["labels", "update", "d_steps"]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        linear_gan(**options)


def test_mean_std_of_a_large_offset_is_exact():
    stat = MeanStd("x")
    values = 1000 + np.random.default_rng(0).normal(size=200)
    for value in values:
        stat.update_state(ops.convert_to_tensor(value, dtype="float32"))
    assert float(stat.result()) == pytest.approx(values.mean(), rel=1e-6)
    assert float(stat.std()) == pytest.approx(values.std(), rel=1e-3)
    stat.reset_state()
    assert float(stat.result()) == 0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only tf.data has batches of unknown size")
def test_batches_of_unknown_size_are_refused_in_a_sentence():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(np.concatenate(real_batches(2))).batch(BATCH)
    with pytest.raises(DogganError, match="drop_remainder=True"):
        linear_gan().fit(data, verbose=0)


def test_an_unknown_loss_is_refused_in_a_sentence():
    with pytest.raises(DogganError, match="no loss 'gan'; it is one of bce, bce_saturating"):
        linear_gan(loss="gan")
