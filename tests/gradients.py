"""Gradients of a compiled step on the backend at hand, for the tests of layers, networks and losses."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def losses_and_gradients(
    losses: Callable[[], list[Any]], variables: list[list[Any]], state: list[Any]
) -> tuple[list[float], list[list[np.ndarray]]]:
    """The values of `losses()` and the gradient of the i-th with respect to `variables[i]`.

    `losses` runs once, compiled: in a `tf.function` under one persistent tape, or in a `jax.jit` inside a
    `StatelessScope`. `state` lists what it may move (u, moving statistics, seeds); those variables are moved.
    """
    run = _on_jax if keras.backend.backend() == "jax" else _on_tensorflow
    values, gradients = run(losses, variables, state)
    return [float(v) for v in values], [[keras.ops.convert_to_numpy(g) for g in gs] for gs in gradients]


def _on_tensorflow(losses: Any, variables: Any, state: Any) -> Any:
    import tensorflow as tf

    @tf.function
    def step() -> Any:
        with tf.GradientTape(persistent=True) as tape:
            values = losses()
        return values, [
            tape.gradient(value, [v.value for v in vs]) for value, vs in zip(values, variables, strict=True)
        ]

    return step()


def _on_jax(losses: Any, variables: Any, state: Any) -> Any:
    import jax

    every = list({id(v): v for vs in variables for v in vs}.values())

    def pure(trainable: Any, moving: Any) -> Any:
        mapping = [*zip(every, trainable, strict=True), *zip(state, moving, strict=True)]
        with keras.StatelessScope(mapping) as scope:
            values = losses()
        return values, [scope.get_current_value(v) for v in state]

    @jax.jit
    def step(trainable: Any, moving: Any) -> Any:
        values, pull, moved = jax.vjp(lambda t: pure(t, moving), trainable, has_aux=True)
        unit = jax.numpy.eye(len(values))
        rows = [[u.astype(v.dtype) for u, v in zip(row, values, strict=True)] for row in unit]
        return values, [pull(row)[0] for row in rows], moved

    values, gradients, moved = step([v.value for v in every], [v.value for v in state])
    for v, x in zip(state, moved, strict=True):
        v.assign(x)
    found = [{id(v): g for v, g in zip(every, gs, strict=True)} for gs in gradients]
    return values, [[g[id(v)] for v in vs] for g, vs in zip(found, variables, strict=True)]
