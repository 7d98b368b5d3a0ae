"""Gradients with respect to what a network is given, on both backends."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Array = NDArray[np.float32]


def input_gradient(function: Callable[..., Any]) -> Callable[..., tuple[Array, Array]]:
    """Turn a function of tensors into one that also gives its slope.

    Args:
        function: (x [B, ...], others) → y [B], where row i of y depends on row i of x only, and nothing is assigned. It
            is compiled for each shape.

    Returns:
        A function of arrays, (x, others) → y float32 [B] and d y / d x, float32 of the shape of x.
    """
    if keras.backend.backend() == "jax":
        import jax

        def of_sum(x: Any, *others: Any) -> tuple[Any, Any]:
            y = function(x, *others)
            return ops.sum(y), y

        compiled = jax.jit(jax.value_and_grad(of_sum, has_aux=True))

        def by_jax(*given: Any) -> tuple[Array, Array]:
            (_, y), gradient = compiled(*given)
            return np.asarray(y), np.asarray(gradient)

        return by_jax
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def traced(x: Any, *others: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x, *others)
        return y, tape.gradient(y, x)

    def by_tensorflow(*given: Any) -> tuple[Array, Array]:
        y, gradient = traced(*map(tf.convert_to_tensor, given))
        return y.numpy(), gradient.numpy()

    return by_tensorflow
