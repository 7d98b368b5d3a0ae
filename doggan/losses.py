"""The losses, one contract: `loss(real, fake, targets) -> (g_loss, d_loss)`.

`real` and `fake` are the discriminator's logits [B, 1] on real pictures and on fakes, `targets` the discriminator's
labels for both. The two returned scalars are means over the batch. The sigmoid belongs to the loss, not the network.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops


class Targets(NamedTuple):
    """What the discriminator is told: float32 [B, 1] in [0, 1] for the real pictures and for the fakes."""

    real: Any
    fake: Any


def cross_entropy(logits: Any, targets: Any) -> Any:
    """Mean of −t·log σ(x) − (1 − t)·log(1 − σ(x)), computed as softplus(x) − t·x, which cannot overflow."""
    return ops.mean(ops.softplus(logits) - targets * logits)


def bce(real: Any, fake: Any, targets: Targets) -> tuple[Any, Any]:
    """Binary cross-entropy with the non-saturating generator loss (Goodfellow et al. 2014, arXiv:1406.2661).

    d_loss = H(t_real, D(x)) + H(t_fake, D(G(z)));  g_loss = H(1, D(G(z))) = mean −log σ(D(G(z))).
    """
    g_loss = cross_entropy(fake, 1.0)
    d_loss = cross_entropy(real, targets.real) + cross_entropy(fake, targets.fake)
    return g_loss, d_loss


Loss = Callable[[Any, Any, Targets], tuple[Any, Any]]

LOSSES: dict[str, Loss] = {"bce": bce}
