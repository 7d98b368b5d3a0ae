"""The discriminator's targets: noisy and smoothed (as the reference solution meant them), or hard."""

from typing import Any

from keras import ops

from doggan import replicas
from doggan.config import LabelNoise
from doggan.losses import Targets
from doggan.randomness import uniform


def hard_targets(n_real: int, n_fake: int) -> Targets:
    """1 for real, 0 for fake, float32 [n, 1]: what the published code does, whose loss never reads its soft labels."""
    return Targets(ops.ones((n_real, 1), "float32"), ops.zeros((n_fake, 1), "float32"))


def noisy_targets(n_real: int, n_fake: int, noise: LabelNoise) -> Targets:
    """Labels of which exactly round(flip · n) are exchanged on either side, then each smoothed by its new class.

    On several replicas n counts the labels of all of them, and each has its rows.

    A label of class "real" becomes uniform in `noise.real`, one of class "fake" uniform in `noise.fake`
    (one-sided smoothing: Salimans et al. 2016, arXiv:1606.03498; label flips: Chintala's GAN hacks). Real and fake
    labels are flipped independently. Both float32 [n, 1]; draws come from the current `step_scope`.
    """
    return Targets(
        _smoothed(flipped(n_real, round(noise.flip * n_real * replicas.count())), noise.real, noise.fake),
        _smoothed(flipped(n_fake, round(noise.flip * n_fake * replicas.count())), noise.fake, noise.real),
    )


def flipped(n: int, n_flips: int) -> Any:
    """bool [n, 1] with `n_flips` true entries on all replicas together: the places of the smallest of uniform draws."""
    rank = ops.argsort(ops.argsort(replicas.gather(uniform((n,)))))
    return ops.reshape(replicas.own_rows(rank < n_flips), (n, 1))


def _smoothed(flip: Any, own: tuple[float, float], other: tuple[float, float]) -> Any:
    share = uniform(tuple(flip.shape))
    return ops.where(flip, other[0] + (other[1] - other[0]) * share, own[0] + (own[1] - own[0]) * share)
