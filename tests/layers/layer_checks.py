"""What every layer of ours must do, checked the same way for all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from gradients import losses_and_gradients


def run_layer_test(
    layer_class: type,
    arguments: dict[str, Any],
    inputs: Any,
    output_shape: tuple[int, ...],
    folder: Path,
    weights: tuple[int, int] = (0, 0),
    prepare: Callable[[Any], None] = lambda layer: None,
    idle: tuple[str, ...] = (),
) -> None:
    """Shape, dtype, number of (trainable, other) weights, serialisation, training and half precision.

    `inputs` is a batch, or a tuple of them; `output_shape` includes it. `prepare(layer)` may move the built layer from
    a start at which it has no gradients. `idle` names the weights, by the end of their paths, that never have one. The
    layer must be registered with Keras' serialisation.
    """
    layer = layer_class(**arguments)
    layer(inputs)
    prepare(layer)
    outputs = keras.ops.convert_to_numpy(layer(inputs))
    assert outputs.shape == output_shape
    assert outputs.dtype == np.float32
    assert np.isfinite(outputs).all()
    assert tuple(layer.compute_output_shape(keras.tree.map_structure(np.shape, inputs))) == output_shape
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == weights

    _check_serialisation(layer_class, layer, inputs, folder)
    _check_training(layer, inputs, idle)
    for policy, tolerance in (("mixed_float16", 1e-2), ("mixed_bfloat16", 6e-2)):
        _check_half_precision(layer_class, layer, inputs, policy, tolerance)


def _check_serialisation(layer_class: type, layer: Any, inputs: Any, folder: Path) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is layer_class
    assert again.get_config() == layer.get_config()

    entry = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=str(x.dtype)), inputs)
    model = keras.Model(entry, layer(entry))
    model(inputs, training=True)  # moves whatever the layer moves
    model.save(folder / "layer.keras")
    loaded = keras.saving.load_model(folder / "layer.keras")
    assert [w.path.split("/")[-1] for w in loaded.weights] == [w.path.split("/")[-1] for w in model.weights]
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(inputs)), keras.ops.convert_to_numpy(loaded(inputs)))


def _check_training(layer: Any, inputs: Any, idle: tuple[str, ...]) -> None:
    """Every trainable weight that is not idle has a finite, non-zero gradient and a step down it lowers the cost."""
    if not layer.trainable_weights:
        return
    cost = lambda: [keras.ops.mean(keras.ops.square(layer(inputs, training=True) - 1.0))]  # noqa: E731
    variables = [layer.trainable_variables]
    (before,), (gradients,) = losses_and_gradients(cost, variables, layer.non_trainable_variables)
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all()
        if variable.path.endswith(idle):
            assert np.abs(gradient).max() < 1e-5
        else:
            assert np.abs(gradient).max() > 0, f"no gradient for {variable.path}"
        variable.assign(variable - 1e-3 * gradient)
    (after,), _ = losses_and_gradients(cost, variables, layer.non_trainable_variables)
    assert after < before


def _check_half_precision(layer_class: type, layer: Any, inputs: Any, policy: str, tolerance: float) -> None:
    half = layer_class.from_config({**layer.get_config(), "dtype": policy})
    half(inputs)
    half.set_weights(layer.get_weights())
    outputs = half(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    exact = keras.ops.convert_to_numpy(layer(inputs))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32")),
        exact,
        atol=tolerance * np.abs(exact).max(),
    )
    assert all(v.dtype == "float32" for v in half.weights)
    outputs = half(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")


def second_gradient(score: Callable[[Any], Any], layer: Any, x: np.ndarray) -> np.ndarray:
    """∂/∂x ‖∂score/∂x‖² for a score that `layer` has a part in."""
    if keras.backend.backend() == "jax":
        import jax

        def pure(inputs: Any) -> Any:
            with keras.StatelessScope([(v, v.value) for v in layer.variables]):
                return score(inputs)

        return np.array(jax.grad(lambda inputs: keras.ops.sum(keras.ops.square(jax.grad(pure)(inputs))))(x))
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = score(x)
        penalty = tf.reduce_sum(tf.square(inner.gradient(y, x)))
    return outer.gradient(penalty, x).numpy()
