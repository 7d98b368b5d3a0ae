"""An epoch that is trained in parts."""

from typing import Any

import keras
from numpy.typing import NDArray

from doggan.training.backend import to_numpy
from doggan.training.gan import GAN


class EpochInParts(keras.callbacks.Callback):
    """Carries what the step sums up over an epoch from one `fit` to the next, which begins by setting it to zero.

    An epoch ends inside where training is stopped, or a last call has fewer steps. Every process of a run has this
    callback: on JAX variables that lie on all devices are assigned by all processes together.

    Args:
        gan: as restored, at the step where training begins.
        steps_per_epoch: of the data.
    """

    def __init__(self, gan: GAN, steps_per_epoch: int) -> None:
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.kept = self._within(gan)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.kept:
            for variable, value in zip(self.model.metrics_variables, self.kept, strict=True):
                variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.kept = self._within(self.model)

    def _within(self, gan: GAN) -> list[NDArray[Any]]:
        """The sums, where the step is inside an epoch."""
        if int(to_numpy(gan.step)) % self.steps_per_epoch == 0:
            return []
        return [to_numpy(variable) for variable in gan.metrics_variables]
