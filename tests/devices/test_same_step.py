"""Training on two devices is training on one, up to rounding: whatever of the step is of the whole batch."""

import keras
import numpy as np
import pytest

from doggan.config import Augment, Ema, InstanceNoise, LabelNoise, Optimizer, Penalty, Schedule
from doggan.data.batches import divided
from doggan.devices import ONE
from doggan.layers import (
    BatchNormalization,
    ConditionalBatchNormalization,
    ConvSN2D,
    DenseSN,
    Dropout,
    EmbeddingSN,
    SelfAttention,
)
from doggan.training.backend import to_numpy
from doggan.training.fake_classes import FakeClasses
from doggan.training.gan import GAN
from doggan.training.optimizers import make_optimizer

pytestmark = pytest.mark.two_devices

LATENT, SIDE, BATCH, STEPS = 3, 8, 8, 6
CASES = {
    "simultaneous": {
        "labels": "intended",
        "label_noise": LabelNoise(flip=0.25),
        "optimizer": Optimizer("rmsprop", lr=1e-2, clip_norm=0.05),
        "penalty": Penalty(r1=0.5, gp=0.5, interval=2),
        "replay": 4,
    },
    "alternating": {
        "loss": "rasgan",
        "update": "alternating",
        "d_steps": 2,
        "augment": Augment(policy=("color", "translation", "cutout"), target=0.1, kimg=0.1),
        "instance_noise": InstanceNoise(std=0.2),
    },
    "conditional": {
        "update": "alternating",
        "d_steps": 2,
        "reuse_z": True,
        "fake_classes": FakeClasses(np.array([0.5, 0.2, 0.3])),
        "loss": "hinge",
    },
    "float16": {"precision": "mixed_float16", "tolerance": 2e-2, "steps_per_execution": 3},
}


def networks():
    generator = keras.Sequential(
        [
            keras.Input((LATENT,)),
            keras.layers.Dense(SIDE * SIDE),
            keras.layers.Reshape((SIDE, SIDE, 1)),
            BatchNormalization(momentum=0.5),
            Dropout(0.2),
            keras.layers.Activation("tanh", dtype="float32"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            ConvSN2D(4, 3, strides=2, padding="same"),
            BatchNormalization(momentum=0.5),
            keras.layers.LeakyReLU(),
            Dropout(0.2),
            keras.layers.Flatten(),
            DenseSN(1, dtype="float32"),
        ]
    )
    return generator, discriminator


def conditional_networks():
    """With conditional batch norm, projection, and self-attention that does something."""
    z, classes = keras.Input((LATENT,)), keras.Input((), dtype="int32")
    x = keras.layers.Reshape((SIDE, SIDE, 8))(keras.layers.Dense(SIDE * SIDE * 8)(z))
    x = ConditionalBatchNormalization(3, momentum=0.5)((x, classes))
    x = SelfAttention("source", spectral_norm=True)(x)
    generator = keras.Model([z, classes], keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(x))
    image, shown = keras.Input((SIDE, SIDE, 1)), keras.Input((), dtype="int32")
    x = keras.layers.LeakyReLU()(ConvSN2D(8, 3, strides=2, padding="same")(image))
    x = SelfAttention("released", spectral_norm=True)(x)
    x = keras.layers.Flatten()(x)
    match = keras.layers.Dot(axes=1)([EmbeddingSN(3, x.shape[-1])(shown), x])
    discriminator = keras.Model([image, shown], keras.layers.Add()([DenseSN(1)(x), match]))
    for network in (generator, discriminator):
        for layer in network.layers:
            if isinstance(layer, SelfAttention):
                layer.gamma.assign(0.5)
    return generator, discriminator


def gan_of(case):
    """A small GAN with batch norm, spectral norm, dropout and an average."""
    options = {
        "labels": "published",
        "precision": "float32",
        "optimizer": Optimizer("sgd", lr=0.1),
        "loss": "bce",
    } | case
    precision, optimizer, loss = (options.pop(name) for name in ("precision", "optimizer", "loss"))
    steps = options.pop("steps_per_execution", 1)
    options.pop("tolerance", None)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    try:
        generator, discriminator = conditional_networks() if "fake_classes" in case else networks()
    finally:
        keras.config.set_dtype_policy("float32")
    gan = GAN(generator, discriminator, seed=3, total_steps=STEPS, ema=Ema(half_life=30, ramp_up=0.0), **options)
    scaled = precision == "mixed_float16"
    gan.compile(
        *(
            make_optimizer(optimizer, Schedule("constant"), STEPS, name, loss_scaling=scaled)
            for name in ("g_optimizer", "d_optimizer")
        ),
        loss=loss,
        steps_per_execution=steps,
    )
    return gan


def trained(case, devices):
    """name → value of all that training moves, after `STEPS` steps; and the numbers logged last."""
    rng = np.random.default_rng(1)
    shares = case.get("d_steps", 1)
    batches = [rng.uniform(-1, 1, (shares * BATCH, SIDE, SIDE, 1)).astype("float32") for _ in range(STEPS)]
    if "fake_classes" in case:
        batches = [(batch, rng.integers(0, 3, len(batch)).astype("int32")) for batch in batches]
    data = ((batch,) for batch in batches)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        stacked = tf.nest.map_structure(lambda *parts: np.stack(parts), *batches)
        data = tf.data.Dataset.from_tensor_slices((stacked,) if "fake_classes" in case else stacked)
        if devices is not ONE:
            share = lambda part: divided(part, devices.replicas, shares)  # noqa: E731
            data = data.map(lambda *parts: tf.nest.map_structure(share, parts if "fake_classes" in case else parts[0]))
    with devices.scope():
        gan = gan_of(case)
        logs = gan.fit(data, steps_per_epoch=STEPS, verbose=0, shuffle=False).history
        return {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}, logs


@pytest.mark.parametrize("case", CASES)
def test_two_devices_train_as_one(case, two):
    tolerance = CASES[case].get("tolerance", 2e-5)
    (one, logs), (both, same_logs) = trained(CASES[case], ONE), trained(CASES[case], two)
    assert one.keys() == both.keys()
    for key, value in one.items():
        np.testing.assert_allclose(both[key], value, rtol=tolerance, atol=tolerance, err_msg=key)
    assert logs.keys() == same_logs.keys()
    for key, value in logs.items():
        np.testing.assert_allclose(same_logs[key], value, rtol=tolerance, atol=tolerance, err_msg=key)
    assert both["step"] == STEPS
