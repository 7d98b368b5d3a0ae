"""Gradient penalties: terms of d_loss that keep the discriminator's slope at its inputs in bounds."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops
from keras.src.backend.common.stateless_scope import get_stateless_scope, in_stateless_scope

from doggan.randomness import uniform


def zero_centred(gradient: Any) -> Any:
    """E‖∇D(x)‖²: R1 on real pictures, R2 on fakes, each to be weighted by γ/2.

    Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406.

    Args:
        gradient: of the sum of D's logits with respect to the pictures, [B, H, W, C].
    """
    return ops.mean(_squared_norm(gradient))


def one_centred(gradient: Any) -> Any:
    """E(‖∇D(x̂)‖ − 1)²: the penalty of WGAN-GP, to be weighted by λ.

    Gulrajani et al.: Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028.

    Args:
        gradient: of the sum of D's logits with respect to `between(real, fake)`, [B, H, W, C].
    """
    # The square root has no slope at zero.
    norm = ops.sqrt(ops.maximum(_squared_norm(gradient), 1e-12))
    return ops.mean(ops.square(norm - 1.0))


def annealed(final: float, step: Any, total_steps: int) -> Any:
    """What is left of the penalties' factors: from 1 by half a cosine to `final` at the end of the run.

    R3GAN anneals γ so (Huang, Gokaslan, Kuleshov, Tompkin: The GAN is dead; long live the GAN!, NeurIPS 2024,
    arXiv:2501.05441).

    Args:
        final: at least 0.
        step: from 0, an integer scalar (tensor).
        total_steps: of the run.
    """
    progress = ops.minimum(ops.cast(step, "float32") / total_steps, 1.0)
    return final + (1.0 - final) * 0.5 * (1.0 + ops.cos(math.pi * progress))


def between(real: Any, fake: Any) -> Any:
    """x̂ = ε·real + (1 − ε)·fake, ε uniform in [0, 1) for each pair; [B, H, W, C]. No gradient flows to the fakes."""
    epsilon = uniform((real.shape[0], 1, 1, 1))
    return ops.stop_gradient(fake + epsilon * (real - fake))


@contextmanager
def state_kept() -> Iterator[None]:
    """Whatever is assigned to variables within is forgotten at the end: spectral norm's u, batch norm's statistics."""
    outer = dict(get_stateless_scope().state_mapping) if in_stateless_scope() else {}
    with keras.StatelessScope() as inner:
        inner.state_mapping = outer
        yield


def _squared_norm(gradient: Any) -> Any:
    return ops.sum(ops.square(ops.cast(gradient, "float32")), axis=(1, 2, 3))
