"""`GAN`: a generator and a discriminator as one Keras model, trained with `compile` and `fit`."""

from typing import Any

import keras
import numpy as np
from keras import ops

from doggan.config import LabelNoise
from doggan.errors import DogganError
from doggan.losses import LOSSES
from doggan.randomness import next_seed, step_scope
from doggan.training.labels import hard_targets, noisy_targets

if keras.backend.backend() == "tensorflow":
    from doggan.training.engine_tensorflow import Engine
elif keras.backend.backend() == "jax":
    from doggan.training.engine_jax import Engine  # type: ignore[assignment]
else:
    raise DogganError(
        f"KERAS_BACKEND is {keras.backend.backend()}; doggan trains on tensorflow and jax, set it to one."
    )


class MeanStd(keras.metrics.Metric):
    """Running mean and standard deviation of a scalar over an epoch, by Welford's update (Technometrics 4, 1962)."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.count = self.add_variable((), "zeros", name="count")
        self.mean = self.add_variable((), "zeros", name="mean")
        self.squares = self.add_variable((), "zeros", name="squares")

    def update_state(self, value: Any, sample_weight: None = None) -> None:
        """Take in one scalar."""
        count, before = self.count + 1.0, ops.convert_to_tensor(self.mean)
        mean = before + (value - before) / count
        self.squares.assign(self.squares + (value - before) * (value - mean))
        self.mean.assign(mean)
        self.count.assign(count)

    def result(self) -> Any:
        """The mean of what was taken in since the last reset."""
        return ops.convert_to_tensor(self.mean)

    def std(self) -> Any:
        """The population standard deviation of the same."""
        return ops.sqrt(self.squares / ops.maximum(self.count, 1.0))


class _Both:
    """What `fit` needs of `model.optimizer`, for two: JAX carries their variables through the step."""

    def __init__(self, *optimizers: keras.optimizers.Optimizer) -> None:
        self.optimizers = optimizers
        self.built = True

    @property
    def variables(self) -> list[Any]:
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]


class GAN(Engine, keras.Model):
    """Trains `generator` against `discriminator`; calling it maps z to pictures.

    Args:
        generator: z float32 [B, latent_dim] → pictures [B, H, W, C] in [-1, 1].
        discriminator: pictures → logits [B, 1].
        labels: "intended" (flipped and smoothed as `label_noise` says) or "published" (hard).
        seed: decides z, label noise and dropout masks of every step.

    `fit` takes batches of real pictures, float32 [B, H, W, C] in [-1, 1], B static. Its logs are `g_loss`, `d_loss`
    and the mean probabilities `d_real` and `d_fake` of the last step, and over the epoch so far `<name>_mean` and
    `<name>_std` of each, summed inside the step.

    The step number is a variable, and everything random is a function of it, so restoring the variables of the two
    networks, the two optimizers and `step` continues exactly.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        labels: str = "intended",
        label_noise: LabelNoise | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(name="gan")
        if labels not in ("intended", "published"):
            raise ValueError(f"labels are 'intended' or 'published', not {labels!r}")
        self.generator = generator
        self.discriminator = discriminator
        self.latent_dim = int(generator.input_shape[-1])
        self.labels = labels
        self.label_noise = label_noise or LabelNoise()
        self.seed = seed
        self.step = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="step", autocast=False
        )
        self.stats = [MeanStd(name) for name in ("g_loss", "d_loss", "d_real", "d_fake")]
        self.built = True

    def compile(
        self,
        g_optimizer: keras.optimizers.Optimizer,
        d_optimizer: keras.optimizers.Optimizer,
        loss: str = "bce",
        jit_compile: bool | None = None,
    ) -> None:
        """Set the optimizers and the loss (a name in `doggan.losses.LOSSES`).

        XLA (`jit_compile`) is on by default where the backend has an accelerator and off on a CPU under TensorFlow,
        where it makes these convolutions several times slower.
        """
        if jit_compile is None:
            jit_compile = keras.backend.backend() == "jax" or has_accelerator()
        super().compile(optimizer=None, loss=None, auto_scale_loss=False, jit_compile=jit_compile)
        self._loss_tracker = None
        self.gan_loss = LOSSES[loss]
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        # Built now, so that their slots exist to be restored before the first step.
        g_optimizer.build(self.generator.trainable_variables)
        d_optimizer.build(self.discriminator.trainable_variables)
        self.optimizer = _Both(g_optimizer, d_optimizer)

    def call(self, z: Any, training: bool = False) -> Any:
        """Pictures [B, H, W, C] in [-1, 1] from z [B, latent_dim]."""
        return self.generator(z, training=training)

    def step_on(self, real: Any) -> dict[str, Any]:
        """One training step: draw z, make fakes, score real and fake, two losses, two updates."""
        generator, discriminator = self.generator, self.discriminator
        batch_size = real.shape[0]
        with step_scope(self.seed, ops.convert_to_tensor(self.step)):
            z = keras.random.normal((batch_size, self.latent_dim), seed=next_seed())
            noisy = self.labels == "intended"
            targets = noisy_targets(batch_size, self.label_noise) if noisy else hard_targets(batch_size)

            def forward() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
                fake = generator(z, training=True)
                on_real = discriminator(real, training=True)
                on_fake = discriminator(fake, training=True)
                return self.gan_loss(on_real, on_fake, targets), (on_real, on_fake)

            (g_loss, d_loss), (g_gradients, d_gradients), (on_real, on_fake) = self.losses_and_gradients(
                forward, [generator.trainable_variables, discriminator.trainable_variables]
            )
            self.apply(self.g_optimizer, g_gradients, generator.trainable_variables)
            self.apply(self.d_optimizer, d_gradients, discriminator.trainable_variables)
        self.step.assign(self.step + 1)

        d_real, d_fake = ops.mean(ops.sigmoid(on_real)), ops.mean(ops.sigmoid(on_fake))
        logs: dict[str, Any] = {}
        for stat, value in zip(self.stats, (g_loss, d_loss, d_real, d_fake), strict=True):
            stat.update_state(value)
            logs |= {stat.name: value, f"{stat.name}_mean": stat.result(), f"{stat.name}_std": stat.std()}
        return logs

    def saved_variables(self) -> dict[str, Any]:
        """Every variable that training moves, by a key that is stable between processes."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        saved = {
            f"{owner}.{i:03d}.{variable.name}": variable
            for owner, network in networks.items()
            for i, variable in enumerate(network.variables)
        }
        # An optimizer's variables are named after those it moves, whose numbering depends on what was built before.
        saved |= {
            f"{owner}.{i:03d}": variable
            for owner, optimizer in optimizers.items()
            for i, variable in enumerate(optimizer.variables)
        }
        saved |= {f"moments.{stat.name}.{v.name}": v for stat in self.stats for v in stat.variables}
        return saved | {"step": self.step}


def has_accelerator() -> bool:
    """Whether the backend sees a GPU or TPU."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import tensorflow as tf

    return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_physical_devices())


def to_numpy(variable: Any) -> np.ndarray:
    """A copy of a variable's value on the host."""
    return np.array(ops.convert_to_numpy(variable.value))
