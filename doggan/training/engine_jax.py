"""How JAX takes the gradients of the step: the same assigning code inside `StatelessScope`s.

JAX differentiates pure functions only. So `train_step` opens one scope that holds the value of every variable, and
each forward pass runs in an inner scope of its own, seeded with the outer one's values; what it assigned (batch norm's
statistics, spectral norm's u) is carried out as an auxiliary result. One `jax.vjp` serves both losses.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras


class Engine:
    """Mixed into `GAN`, which provides `step_on(real)` and Keras' lists of variables."""

    step_on: Callable[[Any], dict[str, Any]]
    trainable_variables: list[Any]
    non_trainable_variables: list[Any]
    metrics_variables: list[Any]
    optimizer: Any
    _scope: Any = None

    def train_step(self, state: Any, data: tuple[Any]) -> tuple[dict[str, Any], Any]:
        """One step as Keras' JAX trainer calls it: (state, (real,)) → (logs, new state)."""
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        variables = list(itertools.chain(*groups))
        mapping = list(zip(variables, itertools.chain(*state), strict=True))
        with keras.StatelessScope(state_mapping=mapping) as self._scope:
            logs = self.step_on(data[0])
            new = {id(variable): self._scope.get_current_value(variable) for variable in variables}
        self._scope = None
        return logs, tuple([new[id(variable)] for variable in group] for group in groups)

    def losses_and_gradients(
        self, forward: Callable[[], tuple[tuple[Any, ...], Any]], variables: Sequence[Sequence[Any]]
    ) -> tuple[tuple[Any, ...], list[list[Any]], Any]:
        """Run `forward() -> (losses, extra)` once; the i-th loss is differentiated by the i-th variables."""
        outer = dict(self._scope.state_mapping)

        def pure(groups: list[list[Any]]) -> tuple[tuple[Any, ...], Any]:
            given = {
                id(variable): value
                for group, values in zip(variables, groups, strict=True)
                for variable, value in zip(group, values, strict=True)
            }
            with keras.StatelessScope() as inner:
                inner.state_mapping = outer | given
                losses, extra = forward()
            moved = {
                key: value
                for key, value in inner.state_mapping.items()
                if key not in given and value is not outer.get(key)
            }
            return losses, (extra, moved)

        values = [[variable.value for variable in group] for group in variables]
        losses, pull, (extra, moved) = jax.vjp(pure, values, has_aux=True)
        self._scope.state_mapping.update(moved)
        gradients = []
        for i in range(len(losses)):
            # XLA removes the parts of each pull-back whose result is not used.
            unit = tuple(jax.numpy.asarray(float(i == j), loss.dtype) for j, loss in enumerate(losses))
            gradients.append(pull(unit)[0][i])
        return losses, gradients, extra

    def apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """One optimizer update, its results assigned within the step's scope."""
        new_variables, new_slots = optimizer.stateless_apply(
            [variable.value for variable in optimizer.variables], gradients, [variable.value for variable in variables]
        )
        for variable, value in zip(
            itertools.chain(variables, optimizer.variables), itertools.chain(new_variables, new_slots), strict=True
        ):
            variable.assign(value)
