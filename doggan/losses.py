"""The losses, one contract: `loss(real, fake, targets) -> (g_loss, d_loss)`.

`real` and `fake` are the discriminator's logits on real pictures and on fakes, D(x) and D(G(z)) below, [B, 1] of any
float type: a sigmoid σ, where there is one, belongs to the loss and not to the network. `targets` is what the
discriminator is told. The two results are float32 scalars, E being the mean over the batch; all arithmetic is
float32 and does not overflow for logits up to 1e4 in size. The formulas are those of hard targets, 1 for real and 0
for fake.

Soft targets mean one thing in all losses. A target t is the probability with which a picture is called real, and
d_loss is the expectation over that call: in each term, t · (cost of a real picture) + (1 − t) · (cost of a fake).
For bce this is the usual cross-entropy with soft labels; for least squares it is (D − t)² up to a constant, since
t (D − 1)² + (1 − t) D² = (D − t)² + t (1 − t). g_loss never reads the targets: the generator always wants its fakes
called real.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from doggan import replicas


class Targets(NamedTuple):
    """What the discriminator is told: float32 [B, 1] in [0, 1] for the real pictures and for the fakes."""

    real: Any
    fake: Any


Loss = Callable[[Any, Any, Targets], tuple[Any, Any]]


def _in_float32(loss: Loss) -> Loss:
    """Cast what a loss is given, and refuse targets of another shape, which broadcasting would take for B × B pairs."""

    @functools.wraps(loss)
    def cast_first(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
        for logits, target in zip((real, fake), targets, strict=True):
            if tuple(logits.shape) != tuple(target.shape):
                raise ValueError(f"targets of shape {tuple(target.shape)} for logits of shape {tuple(logits.shape)}")
        real, fake, *cast = (ops.cast(values, "float32") for values in (real, fake, *targets))
        return loss(real, fake, Targets(*cast))

    return cast_first


# The cost of logits x of pictures that are called real with probability t, for each family of losses.


def _log_cost(x: Any, t: Any) -> Any:
    """E of t · (−log σ(x)) + (1 − t) · (−log(1 − σ(x))); −log σ(x) = softplus(−x), which cannot overflow."""
    return ops.mean(t * ops.softplus(-x) + (1 - t) * ops.softplus(x))


def _square_cost(x: Any, t: Any, real: float, fake: float) -> Any:
    """E of t · (x − real)² + (1 − t) · (x − fake)²."""
    return ops.mean(t * ops.square(x - real) + (1 - t) * ops.square(x - fake))


def _hinge_cost(x: Any, t: Any) -> Any:
    """E of t · max(0, 1 − x) + (1 − t) · max(0, 1 + x)."""
    return ops.mean(t * ops.relu(1 - x) + (1 - t) * ops.relu(1 + x))


def _critic_cost(x: Any, t: Any) -> Any:
    """E of t · (−x) + (1 − t) · x."""
    return ops.mean((1 - 2 * t) * x)


@_in_float32
def bce(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Binary cross-entropy with the non-saturating generator loss (Goodfellow et al. 2014, arXiv:1406.2661).

    d_loss = −E log σ(D(x)) − E log(1 − σ(D(G(z))))
    g_loss = −E log σ(D(G(z)))
    """
    d_loss = _log_cost(real, targets.real) + _log_cost(fake, targets.fake)
    g_loss = _log_cost(fake, 1.0)
    return g_loss, d_loss


@_in_float32
def bce_saturating(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Binary cross-entropy as the minimax game it was stated as (Goodfellow et al. 2014, arXiv:1406.2661, eq. 1).

    The generator's gradient vanishes (saturates) while D recognises its fakes, which is why `bce` exists.

    d_loss = −E log σ(D(x)) − E log(1 − σ(D(G(z))))
    g_loss = E log(1 − σ(D(G(z))))
    """
    d_loss = _log_cost(real, targets.real) + _log_cost(fake, targets.fake)
    g_loss = -_log_cost(fake, 0.0)
    return g_loss, d_loss


@_in_float32
def lsgan(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Least squares, LSGAN (Mao et al. 2017, arXiv:1611.04076), in the paper's 0-1 coding: a = 0, b = c = 1.

    d_loss = ½ E (D(x) − 1)² + ½ E D(G(z))²
    g_loss = ½ E (D(G(z)) − 1)²
    """
    d_loss = (_square_cost(real, targets.real, 1, 0) + _square_cost(fake, targets.fake, 1, 0)) / 2
    g_loss = _square_cost(fake, 1.0, 1, 0) / 2
    return g_loss, d_loss


@_in_float32
def hinge(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Hinge (Lim & Ye 2017, Geometric GAN, arXiv:1705.02894; Miyato et al. 2018, SN-GAN, arXiv:1802.05957).

    d_loss = E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))
    g_loss = −E D(G(z))
    """
    d_loss = _hinge_cost(real, targets.real) + _hinge_cost(fake, targets.fake)
    g_loss = -ops.mean(fake)
    return g_loss, d_loss


@_in_float32
def wasserstein(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Wasserstein, WGAN (Arjovsky et al. 2017, arXiv:1701.07875).

    −d_loss estimates the earth mover's distance, up to a factor, only where D is kept Lipschitz: use spectral norm or
    a gradient penalty.

    d_loss = E D(G(z)) − E D(x)
    g_loss = −E D(G(z))
    """
    d_loss = _critic_cost(real, targets.real) + _critic_cost(fake, targets.fake)
    g_loss = -ops.mean(fake)
    return g_loss, d_loss


# The relativistic losses judge a picture against the other kind: how much more real x looks than G(z), and the
# reverse. Pushing fakes up then pushes real pictures down, so the generator's loss reads D(x) too. They follow
# appendix D of the paper, without the ½ by which its published code multiplies the three averaging d_losses.


@_in_float32
def rsgan(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Relativistic standard GAN, RSGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734).

    Each real picture is judged against one fake: row i of `real` against row i of `fake`. The pair's target is the
    real picture's.

    d_loss = −E log σ(D(x) − D(G(z)))
    g_loss = −E log σ(D(G(z)) − D(x))
    """
    if real.shape[0] != fake.shape[0]:
        raise ValueError(f"rsgan pairs real with fake, and there are {real.shape[0]} and {fake.shape[0]}")
    d_loss = _log_cost(real - fake, targets.real)
    g_loss = _log_cost(fake - real, 1.0)
    return g_loss, d_loss


def _against_average(real: Any, fake: Any) -> tuple[Any, Any]:
    """r = D(x) − E D(G(z)) and f = D(G(z)) − E D(x), with the means of the whole batch."""
    return real - replicas.mean(ops.mean(fake)), fake - replicas.mean(ops.mean(real))


@_in_float32
def rasgan(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Relativistic average standard GAN, RaSGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734).

    With r = D(x) − E D(G(z)) and f = D(G(z)) − E D(x):

    d_loss = −E log σ(r) − E log(1 − σ(f))
    g_loss = −E log σ(f) − E log(1 − σ(r))
    """
    r, f = _against_average(real, fake)
    d_loss = _log_cost(r, targets.real) + _log_cost(f, targets.fake)
    g_loss = _log_cost(f, 1.0) + _log_cost(r, 0.0)
    return g_loss, d_loss


@_in_float32
def ralsgan(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Relativistic average least squares, RaLSGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734).

    With r = D(x) − E D(G(z)) and f = D(G(z)) − E D(x):

    d_loss = E (r − 1)² + E (f + 1)²
    g_loss = E (f − 1)² + E (r + 1)²
    """
    r, f = _against_average(real, fake)
    d_loss = _square_cost(r, targets.real, 1, -1) + _square_cost(f, targets.fake, 1, -1)
    g_loss = _square_cost(f, 1.0, 1, -1) + _square_cost(r, 0.0, 1, -1)
    return g_loss, d_loss


@_in_float32
def rahinge(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Relativistic average hinge, RaHingeGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734).

    With r = D(x) − E D(G(z)) and f = D(G(z)) − E D(x):

    d_loss = E max(0, 1 − r) + E max(0, 1 + f)
    g_loss = E max(0, 1 − f) + E max(0, 1 + r)
    """
    r, f = _against_average(real, fake)
    d_loss = _hinge_cost(r, targets.real) + _hinge_cost(f, targets.fake)
    g_loss = _hinge_cost(f, 1.0) + _hinge_cost(r, 0.0)
    return g_loss, d_loss


def squashed(loss: Loss) -> Loss:
    """`loss` of the sigmoids of the logits: what a tutorial's discriminator with a sigmoid at its end gives.

    Meant for `lsgan`, which such tutorials make of `bce` by exchanging one line; its paper has no sigmoid.
    """

    @functools.wraps(loss)
    def of_probabilities(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
        real, fake = (ops.sigmoid(ops.cast(logits, "float32")) for logits in (real, fake))
        return loss(real, fake, targets)

    return of_probabilities


LOSSES: dict[str, Loss] = {
    "bce": bce,
    "bce_saturating": bce_saturating,
    "lsgan": lsgan,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "rsgan": rsgan,
    "rasgan": rasgan,
    "ralsgan": ralsgan,
    "rahinge": rahinge,
}
SQUASHABLE = frozenset({"lsgan"})  # of which `squashed` makes sense: the others take a logit, or a critic's output
RELATIVISTIC = frozenset({"rsgan", "rasgan", "ralsgan", "rahinge"})  # g_loss reads D(x) too
PAIRED = frozenset({"rsgan"})  # real and fake must have as many rows
UNDECIDED_AT_ZERO = frozenset({"bce", "bce_saturating", "hinge"})  # the sign of a logit is D's verdict
