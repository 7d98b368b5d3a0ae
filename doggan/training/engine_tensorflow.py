"""How TensorFlow runs the step: gradients by tapes, variables assigned in place, Keras' own loop over steps."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from doggan.randomness import alternatives


class Engine:
    """Mixed into `GAN`, which provides `step_on(batch, draws)`."""

    step_on: Callable[..., dict[str, Any]]

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step as Keras' TensorFlow trainer calls it, on a batch, (batch,) or (batch, draws)."""
        return self.step_on(*data) if isinstance(data, tuple) else self.step_on(data)

    def losses_and_gradients(
        self, forward: Callable[[], tuple[tuple[Any, ...], Any]], variables: Sequence[Sequence[Any]]
    ) -> tuple[list[list[Any]], Any]:
        """Run `forward() -> (losses, extra)` once; the i-th loss is differentiated by the i-th variables.

        Returns:
            The gradients and `extra`.
        """
        with tf.GradientTape(persistent=True) as tape:
            losses, extra = forward()
        gradients = [
            tape.gradient(loss, [variable.value for variable in group])
            for loss, group in zip(losses, variables, strict=True)
        ]
        return gradients, extra

    def value_and_input_gradient(self, function: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
        """y = function(x) and d sum(y) / dx, both differentiable, from one forward pass: state moves once."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x)

    def cond(self, predicate: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """`yes()` where the scalar `predicate` is true, else `no()`; both may assign, and return the same structure."""
        return tf.cond(predicate, *alternatives(yes, no))

    def apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """One optimizer update."""
        optimizer.apply(gradients, variables)
