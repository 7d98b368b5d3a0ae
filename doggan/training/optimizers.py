"""Optimizers by name, with the course of their learning rate."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from doggan.config import Optimizer, Schedule
from doggan.errors import DogganError


def cosine(progress: Any) -> Any:
    """½ (1 + cos(π p)): Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts."""
    return 0.5 * (1 + ops.cos(math.pi * progress))


def linear(progress: Any) -> Any:
    """1 − p: to zero at the end of the run."""
    return 1 - progress


def constant(progress: Any) -> Any:
    """1 throughout."""
    return ops.ones_like(progress)


# Courses of the rate by the share p of the run that is done, float32 in [0, 1].
SCHEDULES: dict[str, Callable[[Any], Any]] = {"cosine": cosine, "linear": linear, "constant": constant}


@keras.saving.register_keras_serializable(package="doggan")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """lr(step) = base · (final + (1 − final) · schedule(min(1, step / total_steps))) · min(1, (step + 1) / warm_up).

    Steps are the updates of the optimizer it belongs to, from 0. The warm-up (Goyal et al. 2017, arXiv:1706.02677)
    multiplies the schedule and does not delay it: its first step is at 1 / warm_up of the rate, so that none is
    wasted at zero, and step warm_up − 1 is the first at the full one.

    Args:
        base: the rate that the factors multiply.
        schedule: a name in `SCHEDULES`.
        total_steps: the length of the run; later steps stay at the last value.
        warm_up: length of the warm-up in steps; 0 for none.
        final: share of the base rate that a falling schedule ends at.
    """

    def __init__(self, base: float, schedule: str, total_steps: float, warm_up: float = 0, final: float = 0.0) -> None:
        self.base, self.schedule, self.total_steps = base, schedule, total_steps
        self.warm_up, self.final = warm_up, final

    def __call__(self, step: Any) -> Any:
        """The rate of this step, a float32 scalar."""
        step = ops.cast(step, "float32")
        course = SCHEDULES[self.schedule](ops.minimum(step / self.total_steps, 1.0))
        rate = self.base * (self.final + (1.0 - self.final) * course)
        return rate * ops.minimum((step + 1) / self.warm_up, 1.0) if self.warm_up else rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "base": self.base,
            "schedule": self.schedule,
            "total_steps": self.total_steps,
            "warm_up": self.warm_up,
            "final": self.final,
        }


def adam(config: Optimizer, **common: Any) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), in the form at the end of the paper's section 2.

    m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  w ← w − lr √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)
    """
    return keras.optimizers.Adam(beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon, **common)


def rmsprop(config: Optimizer, **common: Any) -> keras.optimizers.Optimizer:
    """RMSprop (Tieleman & Hinton 2012, Coursera lecture 6e), with momentum μ; note that ε is inside the root.

    v ← ρ v + (1 − ρ) g²;  m ← μ m + lr · g / √(v + ε);  w ← w − m
    """
    return keras.optimizers.RMSprop(rho=config.rho, momentum=config.momentum, epsilon=config.epsilon, **common)


def sgd(config: Optimizer, **common: Any) -> keras.optimizers.Optimizer:
    """Gradient descent with momentum μ (Polyak 1964): m ← μ m − lr · g;  w ← w + m."""
    return keras.optimizers.SGD(momentum=config.momentum, **common)


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}
# The averages each of them keeps: a share of 1 would never take in a gradient, and Adam's would divide by zero.
_SHARES = {"adam": ("beta_1", "beta_2"), "rmsprop": ("rho", "momentum"), "sgd": ("momentum",)}


def make_optimizer(
    config: Optimizer,
    schedule: Schedule,
    total_steps: int,
    name: str,
    *,
    loss_scaling: bool = False,
    updates_per_step: float = 1.0,
) -> keras.optimizers.Optimizer:
    """The optimizer of one network.

    Its rate follows its own `iterations`, so a restored optimizer does not restart it. Gradients whose norm over all
    weights exceeds `config.clip_norm` are scaled down to it (Pascanu et al. 2013, arXiv:1211.5063).

    Args:
        config: which optimizer, and its constants.
        schedule: the course of its rate.
        total_steps: training steps in the whole run.
        name: of the configuration's section, "g_optimizer" or "d_optimizer".
        loss_scaling: for float16. The result takes gradients of the loss multiplied by its `dynamic_scale` (see its
            `scale_loss`) and divides them by it before anything else, clipping included. If one is not finite it
            halves the scale and skips the update, `iterations` and so the rate included; after 2000 finite ones it
            doubles it (Micikevicius et al. 2018, arXiv:1710.03740).
        updates_per_step: how often it is applied in a training step, on average: the discriminator's may be more than
            once, and its rate must not be at the end of its course before the run is.

    Raises:
        DogganError: as `check_optimizer`.
    """
    check_optimizer(config, schedule, total_steps, name)
    rate = Rate(
        config.lr,
        schedule.schedule,
        total_steps * updates_per_step,
        schedule.warm_up * updates_per_step,
        schedule.final,
    )
    optimizer = OPTIMIZERS[config.optimizer](
        config,
        learning_rate=rate,
        global_clipnorm=config.clip_norm or None,
        name=name,
    )
    # 2^15, Keras' own start: too high costs a few skipped steps, too low thousands until it has doubled.
    return keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_scaled") if loss_scaling else optimizer


def check_optimizer(config: Optimizer, schedule: Schedule, total_steps: int, name: str) -> None:
    """Refuse constants that make no optimizer, and a schedule that does not fit the run; arguments as `make_optimizer`.

    Raises:
        DogganError: a share of an average outside [0, 1), an `epsilon` of zero, a warm-up longer than the run, or an
            end of a rate that does not fall.
    """
    for key in _SHARES[config.optimizer]:
        if not 0 <= getattr(config, key) < 1:
            raise DogganError(f"{name}.{key} = {getattr(config, key)} must be at least 0 and less than 1.")
    if config.optimizer != "sgd" and not config.epsilon > 0:
        raise DogganError(
            f"{name}.epsilon = {config.epsilon} must be more than 0: a weight at rest would divide by it."
        )
    if schedule.final > 0 and schedule.schedule == "constant":
        raise DogganError(
            f"lr.final = {schedule.final} is where a falling rate ends, and lr.schedule is constant; leave it out."
        )
    if schedule.warm_up > total_steps:
        raise DogganError(
            f"lr.warm_up = {schedule.warm_up} steps is longer than the run, which has {total_steps}; lower it, or "
            "raise train.epochs."
        )


class BothOptimizers:
    """What `fit` needs of `model.optimizer`, for two: JAX carries their variables through the step."""

    def __init__(self, *optimizers: keras.optimizers.Optimizer) -> None:
        self.optimizers = optimizers
        self.built = True

    @property
    def variables(self) -> list[Any]:
        """Of one after the other."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]
