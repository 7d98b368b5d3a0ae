"""How TensorFlow takes the gradients of the step: a persistent tape; variables are assigned in place."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


class Engine:
    """Mixed into `GAN`, which provides `step_on(real)`."""

    step_on: Callable[[Any], dict[str, Any]]

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step as Keras' TensorFlow trainer calls it."""
        return self.step_on(data)

    def losses_and_gradients(
        self, forward: Callable[[], tuple[tuple[Any, ...], Any]], variables: Sequence[Sequence[Any]]
    ) -> tuple[tuple[Any, ...], list[list[Any]], Any]:
        """Run `forward() -> (losses, extra)` once; the i-th loss is differentiated by the i-th variables."""
        with tf.GradientTape(persistent=True) as tape:
            losses, extra = forward()
        gradients = [
            tape.gradient(loss, [variable.value for variable in group])
            for loss, group in zip(losses, variables, strict=True)
        ]
        return losses, gradients, extra

    def apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """One optimizer update."""
        optimizer.apply(gradients, variables)
