"""Five steps of training in several cases, from weights and draws that NumPy makes; run once under each backend.

    KERAS_BACKEND=jax python tests/parity/parity_step.py result.npz

Its arrays are called "<case>/<start>/<what>": "loss/<name>", float64 [5]; by variable "gradient/<key>" of the first
step, "weight/<key>" after the last, and "moved/<key>", the way it went; and "<case>/asked", a step's draws as JSON.
"""

import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from doggan.randomness import Asked
from doggan.recipes import load_recipe
from doggan.runs.build import build_gan

STARTS, STEPS, BATCH, SIDE = 3, 5, 8, 32
STD = 0.057  # the recipe's 0.02 times √8: the layers are an eighth as wide

# `dogs-dcgan`, an eighth as wide. The half-life of the average is that of three steps, so that it moves.
SMALL = (
    "generator.latent_dim=16",
    "generator.base_size=2",
    "generator.base_depth=16",
    "generator.widths=[64, 32, 16, 8, 4]",
    "discriminator.widths=[8, 8, 16, 32]",
    "ema.half_life=24",
    "ema.ramp_up=0.5",
    f"train.batch_size={BATCH}",
)
LR, MOMENTUM, BETA_1 = 2.0**-8, 0.9, 0.5  # gradients are divided by LR and 1 − BETA_1: powers of two, so exactly


def both(*settings: str) -> tuple[str, ...]:
    """The settings for both optimizers."""
    return tuple(f"{network}_optimizer.{setting}" for setting in settings for network in "gd")


SGD = both("optimizer=sgd", f"lr={LR}", f"momentum={MOMENTUM}")
CASES: dict[str, tuple[str, ...]] = {
    "plain": SGD,
    "wgan-gp": (*SGD, "train.loss=wasserstein", "penalty.gp=10.0"),
    "alternating": (
        *SGD,
        "train.update=alternating",
        "train.d_steps=2",
        "augment.policy=['color', 'translation', 'cutout']",
        "augment.probability=0.8",
        "instance_noise.std=0.1",
    ),
    # Both branches of both conditions; the noise is drawn where the buffer is full, and else not.
    "lazy r1, replay": (
        *SGD,
        "train.update=alternating",
        "train.loss=rasgan",
        "train.replay=2",
        "penalty.r1=1.0",
        "penalty.interval=2",
        "instance_noise.std=0.1",
    ),
    "adam, r2": (*both("lr=1e-3", f"beta_1={BETA_1}"), "penalty.r2=1.0"),
}


def main(path: str) -> None:
    result = {}
    for case, settings in CASES.items():
        result |= {f"{case}/{key}": value for key, value in train(settings).items()}
    np.savez(path, **result)


def train(settings: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What `train_from` says of each start, and what a step with these settings asks for."""
    config = load_recipe("dogs-dcgan", (*SMALL, *settings))
    gan = build_gan(config, (SIDE, SIDE, 3), steps_per_epoch=STEPS)
    fresh = {key: numpy(variable) for key, variable in gan.saved_variables().items()}
    n_real = BATCH * config.train.d_steps
    asked = what_is_asked(gan, n_real)

    result: dict[str, NDArray[Any]] = {"asked": np.array(json.dumps(asked))}
    for start in range(STARTS):
        for key, variable in gan.saved_variables().items():
            variable.assign(fresh[key])
        rng = np.random.default_rng(start)
        real = rng.uniform(-1, 1, (STEPS, n_real, SIDE, SIDE, 3)).astype("float32")
        draws = tuple(drawn(rng, draw) for draw in asked)
        result |= {f"{start}/{key}": value for key, value in train_from(gan, start, real, draws).items()}
    return result


def train_from(
    gan: Any, start: int, real: NDArray[np.float32], draws: tuple[NDArray[np.float32], ...]
) -> dict[str, NDArray[Any]]:
    """Losses [steps], first gradients, last weights and their distances from the first, of five steps."""
    first = {key: initial(key, variable, start) for key, variable in weights_of(gan).items()}
    for key, variable in weights_of(gan).items():
        variable.assign(first[key])
    result: dict[str, NDArray[Any]] = {}

    def after_epoch(epoch: int, logs: Any) -> None:
        if epoch == 0:
            result.update({f"gradient/{key}": gradient for key, gradient in first_gradients(gan).items()})

    # An epoch a step: the logs are its own, and the variables can be read after it.
    history = gan.fit(
        steps(real, draws),
        steps_per_epoch=1,
        epochs=STEPS,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
    ).history
    result |= {f"loss/{name}": np.array(history[name]) for name in ("g_loss", "d_loss", "d_real", "d_fake")}
    for key, variable in weights_of(gan).items():
        result[f"weight/{key}"] = numpy(variable)
        result[f"moved/{key}"] = numpy(variable) - first[key]
    return result


def weights_of(gan: Any) -> dict[str, Any]:
    """The variables of the networks and of the average: kernels, moving statistics, u; but not the seeds of dropout."""
    networks = ("generator.", "discriminator.", "average.")
    return {
        key: variable
        for key, variable in gan.saved_variables().items()
        if key.startswith(networks) and "float" in variable.dtype
    }


def initial(key: str, variable: Any, start: int) -> NDArray[np.float32]:
    """A value as a network has it some steps after its start; the average begins as the generator."""
    shape, name = tuple(variable.shape), key.split(".")[-1]
    rng = np.random.default_rng((start, zlib.crc32(key.replace("average.", "generator.").encode())))
    around_zero = stats.truncnorm.rvs(-2, 2, size=shape, random_state=rng)
    if name == "u":
        value = around_zero / np.linalg.norm(around_zero)
    elif name in ("gamma", "moving_variance"):
        value = np.exp(0.1 * around_zero)
    else:
        value = STD * around_zero
    return value.astype("float32")


def first_gradients(gan: Any) -> dict[str, NDArray[np.float32]]:
    """By variable, what the first step subtracted, from the optimizers' momenta, which began at zero.

    SGD's is μ · 0 − lr · g after one update, Adam's β₁ · 0 + (1 − β₁) · g. After two updates of D in the step it is the
    sum of both gradients, the first weighted by μ.
    """
    found = {}
    for owner, optimizer in (("generator", gan.g_optimizer), ("discriminator", gan.d_optimizer)):
        adam = isinstance(optimizer, keras.optimizers.Adam)
        slots = optimizer._momentums if adam else optimizer.momentums
        for i, (variable, slot) in enumerate(zip(getattr(gan, owner).trainable_variables, slots, strict=True)):
            found[f"{owner}.{i:03d}.{variable.name}"] = numpy(slot) / (1 - BETA_1 if adam else -LR)
    return found


def what_is_asked(gan: Any, n_real: int) -> list[Asked]:
    """The draws of a step on so many pictures, from tracing one, which runs and changes nothing."""
    real = np.zeros((n_real, SIDE, SIDE, 3), "float32")
    if keras.backend.backend() == "jax":
        import jax

        groups = (
            gan.trainable_variables,
            gan.non_trainable_variables,
            gan.optimizer.variables,
            gan.metrics_variables,
        )
        jax.eval_shape(gan.train_step, [[variable.value for variable in group] for group in groups], (real,))
    else:
        import tensorflow as tf

        tf.function(gan.step_on).get_concrete_function(tf.TensorSpec(real.shape))
    return list(gan.asked)


def drawn(rng: np.random.Generator, asked: Asked) -> NDArray[np.float32]:
    """One such draw for each step, float32 [steps, *shape]."""
    shape = (STEPS, *asked.shape)
    if asked.kind == "uniform":
        return rng.random(shape, dtype=np.float32)
    return rng.standard_normal(shape, dtype=np.float32)


def steps(real: NDArray[np.float32], draws: tuple[NDArray[np.float32], ...]) -> Any:
    """What `fit` takes: (pictures, draws) of one step after the other."""
    if keras.backend.backend() == "jax":
        return numpy_steps(real, draws)
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((real, draws))


def numpy_steps(real: NDArray[np.float32], draws: tuple[NDArray[np.float32], ...]) -> Iterator[Any]:
    for i in range(STEPS):
        yield real[i], tuple(draw[i] for draw in draws)


def numpy(variable: Any) -> NDArray[np.float32]:
    return np.array(keras.ops.convert_to_numpy(variable.value))


if __name__ == "__main__":
    main(sys.argv[1])
