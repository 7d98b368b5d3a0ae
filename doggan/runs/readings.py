"""What is read from a `GAN` between two calls of its steps: rates, spectral norms, how D judges."""

from typing import Any, NamedTuple

from keras import ops
from numpy.typing import NDArray

from doggan.layers.spectral import SpectralNorm
from doggan.runs.history import Row, bin_columns
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN


class Readings(NamedTuple):
    """Of one moment.

    Attributes:
        g_lr, d_lr: learning rates of the next step.
        sigmas: σ(W) of D's spectral-norm layers, from its input on; empty where it has none.
        on_real, on_fake: float32 [BINS], counts of D's probabilities over the epoch so far, as `Histogram` has them.
    """

    g_lr: float
    d_lr: float
    sigmas: tuple[float, ...]
    on_real: NDArray
    on_fake: NDArray

    def row(self) -> Row:
        """Rates and σ under their names in metrics.csv."""
        return {"g_lr": self.g_lr, "d_lr": self.d_lr} | {f"sigma_{i}": s for i, s in enumerate(self.sigmas, 1)}

    def verdicts(self) -> Row:
        """The counts under their names in histograms.csv."""
        return {
            column: float(count)
            for name, counts in (("d_real", self.on_real), ("d_fake", self.on_fake))
            for column, count in zip(bin_columns(name), counts, strict=True)
        }


def read(gan: GAN) -> Readings:
    """Read a GAN; on JAX it must be in step with `fit`, as a callback's `model` is and its `_model` is not."""
    rates = [float(ops.convert_to_numpy(optimizer.learning_rate)) for optimizer in (gan.g_optimizer, gan.d_optimizer)]
    sigmas = tuple(float(ops.convert_to_numpy(layer.sigma())) for layer in normed(gan.discriminator))
    return Readings(rates[0], rates[1], sigmas, *(to_numpy(histogram.counts) for histogram in gan.verdicts))


def normed(layer: Any) -> list[SpectralNorm]:
    """The layers with spectral norm in a model or layer, from its input on."""
    found = []
    # Keras' recursive walk takes the inner layers of a layer from the last to the first.
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        found += [inner] if isinstance(inner, SpectralNorm) else normed(inner)
    return found
