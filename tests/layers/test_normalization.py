"""Batch normalisation, differentiated twice."""

import keras
import numpy as np
import pytest
from keras import ops
from layer_checks import run_layer_test

from doggan.layers import BatchNormalization

RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((4, 3, 2, 5)).astype("float32")


@pytest.mark.both_backends
def test_layer(tmp_path):
    run_layer_test(BatchNormalization, {"momentum": 0.5}, INPUTS, INPUTS.shape, tmp_path, weights=(2, 2))


@pytest.mark.both_backends
def test_it_is_keras_own():
    """Outputs in training, moving statistics and outputs by them; of images and of vectors, in half precision too."""
    for inputs, policy, tolerance in (
        (INPUTS, "float32", 1e-6),
        (INPUTS[:, 0, 0], "float32", 1e-6),
        (INPUTS, "mixed_float16", 2e-3),
        (INPUTS, "mixed_bfloat16", 2e-2),
    ):
        ours, theirs = BatchNormalization(dtype=policy), keras.layers.BatchNormalization(dtype=policy)
        for training in (True, False):
            a, b = (ops.convert_to_numpy(layer(inputs, training=training)) for layer in (ours, theirs))
            assert a.dtype == b.dtype
            a, b = a.astype("float32"), b.astype("float32")
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's fused kernel")
def test_the_fused_kernel_is_the_same_under_xla():
    import tensorflow as tf

    found = []
    for jit_compile in (False, True):
        layer = BatchNormalization(momentum=0.5)
        layer.build(INPUTS.shape)
        outputs = tf.function(lambda x, layer=layer: layer(x, training=True), jit_compile=jit_compile)(INPUTS)
        found.append([outputs.numpy(), *layer.get_weights()])
    for plain, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=1e-5, atol=1e-6)


def slope_penalty(x, scale, weights, epsilon):
    """‖∂/∂x Σ weights · x̂‖² in float64, x̂ the normalised scale · x, the inner gradient by hand.

    With x̂ = (y − μ) / s that with respect to y is (w − mean(w) − x̂ · mean(w · x̂)) / s (Ioffe & Szegedy 2015,
    arXiv:1502.03167).
    """
    y = scale * x
    s = np.sqrt(y.var(0) + epsilon)
    normed = (y - y.mean(0)) / s
    slope = scale * (weights - weights.mean(0) - normed * (weights * normed).mean(0)) / s
    return np.sum(slope**2)


@pytest.mark.both_backends
def test_the_gradient_of_a_gradient_penalty():
    """Against central differences of the penalty; Keras' own layer misses them under TensorFlow.

    Each input has a scale of its own, since the slopes at the layer's own inputs sum to zero, and so does the error.
    """
    check_second_gradient(lambda inputs: inputs)


@pytest.mark.both_backends
def test_the_gradient_of_a_gradient_penalty_on_images():
    check_second_gradient(lambda inputs: ops.reshape(inputs, (1, 2, 3, 3)))


def check_second_gradient(as_input):
    x, scale, weights = RNG.standard_normal((3, 6, 3))
    layer = BatchNormalization(epsilon=1e-3)
    layer.build(as_input(x).shape)

    expected, h = np.zeros_like(x), 1e-5
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = h
        above, below = (slope_penalty(x + way * step, scale, weights, 1e-3) for way in (1, -1))
        expected[i] = (above - below) / (2 * h)

    def score(inputs):
        outputs = layer(as_input(inputs * scale.astype("float32")), training=True)
        return ops.sum(ops.reshape(outputs, x.shape) * weights.astype("float32"))

    ours = second_gradient(score, layer, x.astype("float32"))
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


def second_gradient(score, layer, x):
    """∂/∂x ‖∂score/∂x‖²."""
    if keras.backend.backend() == "jax":
        import jax

        def pure(inputs):
            with keras.StatelessScope([(v, v.value) for v in layer.variables]):
                return score(inputs)

        return np.array(jax.grad(lambda inputs: ops.sum(ops.square(jax.grad(pure)(inputs))))(x))
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = score(x)
        penalty = tf.reduce_sum(tf.square(inner.gradient(y, x)))
    return outer.gradient(penalty, x).numpy()
