"""The discriminator's targets: noisy and smoothed (as the reference solution meant them), or hard."""

from typing import Any

import keras
from keras import ops

from doggan.config import LabelNoise
from doggan.losses import Targets
from doggan.randomness import next_seed


def hard_targets(batch_size: int) -> Targets:
    """1 for real, 0 for fake: what the published code does, since its loss never reads the smoothed labels."""
    return Targets(ops.ones((batch_size, 1)), ops.zeros((batch_size, 1)))


def noisy_targets(batch_size: int, noise: LabelNoise) -> Targets:
    """Labels of which exactly round(flip · B) are exchanged, then each smoothed by its new class.

    A label of class "real" becomes uniform in `noise.real`, one of class "fake" uniform in `noise.fake`
    (one-sided smoothing: Salimans et al. 2016, arXiv:1606.03498; label flips: Chintala's GAN hacks). Real and fake
    labels are flipped independently. Draws come from the current `step_scope`.
    """
    n_flips = round(noise.flip * batch_size)
    return Targets(
        _smooth(batch_size, flipped(batch_size, n_flips), noise.real, noise.fake),
        _smooth(batch_size, flipped(batch_size, n_flips), noise.fake, noise.real),
    )


def flipped(batch_size: int, n_flips: int) -> Any:
    """bool [B, 1] with exactly `n_flips` true entries: the places of the smallest of B uniform draws."""
    draws = keras.random.uniform((batch_size,), seed=next_seed())
    rank = ops.argsort(ops.argsort(draws))
    return ops.reshape(rank < n_flips, (batch_size, 1))


def _smooth(batch_size: int, flip: Any, own: tuple[float, float], other: tuple[float, float]) -> Any:
    uniform = keras.random.uniform((batch_size, 1), seed=next_seed())
    return ops.where(flip, other[0] + (other[1] - other[0]) * uniform, own[0] + (own[1] - own[0]) * uniform)
