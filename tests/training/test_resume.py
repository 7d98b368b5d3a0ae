"""Stopping, saving and continuing with a new GAN is not stopping, with everything on that keeps a state."""

import keras
import numpy as np
import pytest
from linear_gan import LATENT, fit, real_batches

from doggan.config import Augment, Ema, InstanceNoise, Optimizer, Penalty, Schedule
from doggan.layers import BatchNormalization, DenseSN, Dropout
from doggan.training.backend import to_numpy
from doggan.training.checkpoints import Checkpoints, restore
from doggan.training.gan import GAN
from doggan.training.optimizers import make_optimizer

pytestmark = pytest.mark.both_backends

STOP, STEPS = 5, 8  # ADA adjusts after steps 4 and 8
BATCH = 5  # an odd number of signs, whose mean is not zero
CASES = {
    "all": {
        "optimizer": Optimizer(lr=1e-2),
        "schedule": Schedule("cosine"),
        "update": "alternating",
        "augment": Augment(policy=("color", "translation", "cutout"), target=0.6, kimg=0.16),
        "instance_noise": InstanceNoise(std=0.3),
        "penalty": Penalty(r1=1.0, interval=2),
        "replay": 2,
    },
    "float16": {
        "optimizer": Optimizer("rmsprop", lr=1e-2, momentum=0.5, clip_norm=1.0),
        "schedule": Schedule("linear", warm_up=6),
    },
}


def small_gan(case):
    """Both networks with batch norm, spectral norm and dropout, on pictures 2×2."""
    options = dict(CASES[case])
    optimizer, schedule = options.pop("optimizer"), options.pop("schedule")
    half = case == "float16"
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_float16" if half else "float32")
    try:
        generator = keras.Sequential(
            [
                keras.Input((LATENT,)),
                keras.layers.Dense(8),
                keras.layers.Reshape((2, 2, 2)),
                BatchNormalization(momentum=0.5),
                keras.layers.LeakyReLU(),
                Dropout(0.2),
                keras.layers.Dense(1, activation="tanh", dtype="float32"),
            ]
        )
        discriminator = keras.Sequential(
            [
                keras.Input((2, 2, 1)),
                keras.layers.Flatten(),
                DenseSN(8),
                BatchNormalization(momentum=0.5),
                keras.layers.LeakyReLU(),
                Dropout(0.2),
                DenseSN(1, dtype="float32"),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    gan = GAN(
        generator,
        discriminator,
        seed=3,
        total_steps=STEPS,
        ema=Ema(half_life=15, ramp_up=0.5),
        **options,
    )
    optimizers = [
        make_optimizer(optimizer, schedule, STEPS, name, loss_scaling=half) for name in ("g_optimizer", "d_optimizer")
    ]
    gan.compile(*optimizers)
    return gan


def values(gan):
    return {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}


@pytest.mark.parametrize("case", CASES)
def test_stopping_and_continuing_equals_not_stopping_bit_for_bit(case, tmp_path):
    whole, again, checkpoints = small_gan(case), small_gan(case), Checkpoints(tmp_path)
    fresh, stopped = values(again), {}
    if case == "all":
        whole.saved_variables()["augment.probability"].assign(0.5)
    batches = real_batches(STEPS, BATCH)

    def stop(epoch, logs):
        if epoch + 1 == STOP:
            stopped.update(values(whole))
            checkpoints.save(whole)

    fit(whole, batches, 1, epochs=STEPS, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    restore(again, checkpoints.find("newest"))
    fit(again, batches[STOP:], 1, epochs=STEPS - STOP)
    expected, found = values(whole), values(again)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)

    # What does not move, or is at the stop as in a new GAN, need not be saved to come back.
    for part in ("moving_variance", ".u", "average.", "g_optimizer.", "d_optimizer.", "step"):
        keys = [key for key in expected if part in key]
        assert any(not np.array_equal(stopped[key], expected[key]) for key in keys), part
        assert any(not np.array_equal(stopped[key], fresh[key]) for key in keys), part
    if case == "all":
        assert stopped["augment.probability"] not in (0, 1, fresh["augment.probability"])
        assert stopped["augment.signs"] != 0
        assert stopped["replay"][0].any()
        assert not stopped["replay"][1].any()


@pytest.mark.parametrize("case", CASES)
def test_every_variable_of_the_model_is_saved_once(case):
    gan = small_gan(case)
    groups = (gan.trainable_variables, gan.non_trainable_variables, gan.optimizer.variables, gan.metrics_variables)
    of_the_model = [id(variable) for group in groups for variable in group]
    saved = [id(variable) for variable in gan.saved_variables().values()]
    assert len(of_the_model) == len(set(of_the_model))
    assert len(saved) == len(set(saved))
    assert set(saved) == set(of_the_model)
