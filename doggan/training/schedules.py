"""Optimizers with their learning-rate schedules."""

from collections.abc import Callable

import keras

from doggan.config import Optimizer, Schedule


def _cosine(base: float, total_steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """lr(step) = base · ½ (1 + cos(π · step / total)): Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts."""
    return keras.optimizers.schedules.CosineDecay(base, decay_steps=total_steps, alpha=0.0)


def _constant(base: float, total_steps: int) -> float:
    return base


SCHEDULES: dict[str, Callable[[float, int], float | keras.optimizers.schedules.LearningRateSchedule]] = {
    "cosine": _cosine,
    "constant": _constant,
}


def make_optimizer(config: Optimizer, schedule: Schedule, total_steps: int, name: str) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba 2015) whose rate follows its own `iterations`, so a restored optimizer does not restart it."""
    rate = SCHEDULES[schedule.schedule](config.lr, total_steps)
    return keras.optimizers.Adam(rate, config.beta_1, config.beta_2, config.epsilon, name=name)
