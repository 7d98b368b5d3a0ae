"""How JAX runs the step: the same assigning code inside `StatelessScope`s, and `lax.scan` as the loop over steps.

JAX transforms pure functions only. So `train_step` opens one scope that holds the value of every variable. Whatever is
differentiated or is a branch runs in an inner scope of its own, seeded with the outer one's values (scopes do not look
each other up); what it assigned (batch norm's statistics, spectral norm's u) is carried out as a result, and put into
the outer scope. One `jax.vjp` serves both losses.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import keras
import numpy as np
from keras.src.backend.common.stateless_scope import get_stateless_scope
from keras.src.distribution import distribution_lib

from doggan.randomness import alternatives

_Values = dict[int, Any]  # by id(variable), as a StatelessScope keeps them


def _pure(function: Callable[..., Any]) -> Callable[..., tuple[Any, _Values]]:
    """`function` without side effects: (given, *arguments) → (its result, what it assigned).

    `given` are values of variables that take the place of those of the scope that is open now.
    """
    outer = dict(get_stateless_scope().state_mapping)

    def pure(given: Mapping[int, Any], *arguments: Any) -> tuple[Any, _Values]:
        with keras.StatelessScope() as inner:
            inner.state_mapping = outer | dict(given)
            result = function(*arguments)
        moved = {
            key: value for key, value in inner.state_mapping.items() if key not in given and value is not outer.get(key)
        }
        return result, moved

    return pure


class Engine:
    """Mixed into `GAN`, which provides `step_on(batch, draws)`, `pictures` and Keras' lists of variables."""

    step_on: Callable[..., dict[str, Any]]
    pictures: Any
    trainable_variables: list[Any]
    non_trainable_variables: list[Any]
    metrics_variables: list[Any]
    optimizer: Any
    steps_per_execution: int
    run_eagerly: bool
    jit_compile: bool
    train_function: Any
    _get_state_sharding_spec: Callable[[], Any]

    def train_step(self, state: Any, data: tuple[Any, ...], images: Any = None) -> tuple[dict[str, Any], Any]:
        """One step as Keras' JAX trainer calls it: (state, (batch,) or (batch, draws)) → (logs, new state).

        `images` is the value of the data set, where it lies on the device.
        """
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        variables = list(itertools.chain(*groups))
        mapping = list(zip(variables, itertools.chain(*state), strict=True))
        if images is not None:
            mapping.append((self.pictures.images, images))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = self.step_on(*data)
            new = {id(variable): scope.get_current_value(variable) for variable in variables}
        return logs, tuple([new[id(variable)] for variable in group] for group in groups)

    def make_train_function(self, force: bool = False) -> None:
        """What `fit` calls, `steps_per_execution` steps at once, with the data set as an argument.

        Keras' own calls a step at a time, and what a jitted function closes over is compiled into it.
        """
        if self.train_function is not None and not force:
            return
        k = self.steps_per_execution
        distributed = distribution_lib.distribution() is not None
        # By NumPy on the host: one transfer for each part of the data, and not one for each step. On several devices
        # Keras has transferred the parts, and no process has all of them.
        stack = jax.numpy.stack if distributed else np.stack

        def one(state: Any, images: Any, data: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
            return self.train_step(state, data, images)

        def many(state: Any, images: Any, batches: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
            def step(state: Any, data: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
                logs, state = self.train_step(state, data, images)
                return state, logs

            state, logs = jax.lax.scan(step, state, batches)
            return {name: values[-1] for name, values in logs.items()}, state

        steps = one if k == 1 else many
        if self.jit_compile and not self.run_eagerly:
            shardings = None
            if distributed:
                shardings = (None, self._get_state_sharding_spec())
            steps = jax.jit(steps, donate_argnums=0, out_shardings=shardings)

        def run(state: Any, iterator: Iterator[tuple[Any, ...]]) -> tuple[dict[str, Any], Any]:
            batches = list(itertools.islice(iterator, k))
            if not batches:
                raise StopIteration
            images = None if self.pictures is None else self.pictures.images.value
            data = batches[0] if k == 1 else jax.tree.map(lambda *parts: stack(parts), *batches)
            return steps(state, images, data)

        self.train_function = run

    def losses_and_gradients(
        self, forward: Callable[[], tuple[tuple[Any, ...], Any]], variables: Sequence[Sequence[Any]]
    ) -> tuple[list[list[Any]], Any]:
        """Run `forward() -> (losses, extra)` once; the i-th loss is differentiated by the i-th variables.

        Returns:
            The gradients and `extra`.
        """
        scope = get_stateless_scope()
        pure = _pure(forward)

        def of_values(groups: list[list[Any]]) -> tuple[tuple[Any, ...], Any]:
            given = {
                id(variable): value
                for group, values in zip(variables, groups, strict=True)
                for variable, value in zip(group, values, strict=True)
            }
            (losses, extra), moved = pure(given)
            return losses, (extra, moved)

        values = [[variable.value for variable in group] for group in variables]
        losses, pull, (extra, moved) = jax.vjp(of_values, values, has_aux=True)
        scope.state_mapping.update(moved)
        gradients = []
        for i in range(len(losses)):
            # XLA removes the parts of each pull-back whose result is not used.
            unit = tuple(jax.numpy.asarray(float(i == j), loss.dtype) for j, loss in enumerate(losses))
            gradients.append(pull(unit)[0][i])
        return gradients, extra

    def value_and_input_gradient(self, function: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
        """y = function(x) and d sum(y) / dx, both differentiable, from one forward pass: state moves once."""
        scope = get_stateless_scope()
        pure = _pure(function)
        y, pull, moved = jax.vjp(lambda x: pure({}, x), x, has_aux=True)
        scope.state_mapping.update(moved)
        return y, pull(jax.numpy.ones_like(y))[0]

    def cond(self, predicate: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """`yes()` where the scalar `predicate` is true, else `no()`; both may assign, and return the same structure."""
        scope = get_stateless_scope()
        branches = [_pure(branch) for branch in alternatives(yes, no)]
        # The branches may assign to different variables, and must both say what becomes of each.
        moved = [jax.eval_shape(branch, {})[1] for branch in branches]
        keys = [key for key in scope.state_mapping if key in moved[0] or key in moved[1]]

        def whole(branch: Callable[..., tuple[Any, _Values]]) -> Callable[[], tuple[Any, list[Any]]]:
            def run() -> tuple[Any, list[Any]]:
                result, moved = branch({})
                return result, [moved.get(key, scope.state_mapping[key]) for key in keys]

            return run

        result, values = jax.lax.cond(predicate, *(whole(branch) for branch in branches))
        scope.state_mapping.update(zip(keys, values, strict=True))
        return result

    def prepare(self, optimizer: Any) -> None:
        """Nothing: `apply` takes an optimizer as it is."""

    def apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """One optimizer update, its results assigned within the step's scope."""
        new_variables, new_slots = optimizer.stateless_apply(
            [variable.value for variable in optimizer.variables], gradients, [variable.value for variable in variables]
        )
        for variable, value in zip(
            itertools.chain(variables, optimizer.variables), itertools.chain(new_variables, new_slots), strict=True
        ):
            variable.assign(value)
