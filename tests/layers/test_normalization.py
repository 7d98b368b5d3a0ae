"""Batch normalisation, differentiated twice, and its conditional form."""

import keras
import numpy as np
import pytest
from gradients import losses_and_gradients
from keras import ops
from layer_checks import run_layer_test, second_gradient

from doggan.layers import BatchNormalization, ConditionalBatchNormalization, ModulatedBatchNormalization

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


CLASSES = np.array([2, 0, 2, 3], "int32")
TABLES = RNG.standard_normal((2, 4, 5)).astype("float32")  # γ and β of four classes


def conditional(shape=INPUTS.shape, **arguments):
    layer = ConditionalBatchNormalization(4, **arguments)
    layer.build((shape, shape[:1]))
    layer.gamma.assign(TABLES[0])
    layer.beta.assign(TABLES[1])
    return layer


@pytest.mark.both_backends
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:, 0, 0]], ids=["images", "vectors"])
def test_conditional_layer(inputs, tmp_path):
    run_layer_test(
        ConditionalBatchNormalization,
        {"n_classes": 3, "momentum": 0.5, "epsilon": 1e-2},
        (inputs, np.array([2, 0, 1, 2], "int32")),
        inputs.shape,
        tmp_path,
        weights=(2, 2),
    )


@pytest.mark.both_backends
def test_conditional_begins_as_plain_and_keeps_its_statistics():
    for inputs in (INPUTS, INPUTS[:, 0, 0]):
        layer, plain = ConditionalBatchNormalization(4, momentum=0.5), BatchNormalization(momentum=0.5)
        for training in (True, False):
            a = ops.convert_to_numpy(layer((inputs, CLASSES), training=training))
            np.testing.assert_allclose(a, ops.convert_to_numpy(plain(inputs, training=training)), atol=1e-6)
        for name in ("moving_mean", "moving_variance"):
            ours, theirs = (ops.convert_to_numpy(getattr(which, name)) for which in (layer, plain))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-5), ("mixed_float16", 4e-3), ("mixed_bfloat16", 4e-2)]
)
def test_conditional_against_numpy(policy, tolerance):
    for inputs in (INPUTS, INPUTS[:, 0, 0]):
        layer = conditional(inputs.shape, momentum=0.75, epsilon=1e-2, dtype=policy)
        axes = tuple(range(inputs.ndim - 1))
        mean, variance = inputs.mean(axes), inputs.var(axes)
        gamma, beta = (table[CLASSES].reshape(4, *(1,) * (inputs.ndim - 2), 5) for table in TABLES)

        y = layer((inputs, CLASSES), training=True)
        assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
        expected = gamma * (inputs - mean) / np.sqrt(variance + 1e-2) + beta
        np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), expected, atol=tolerance * 3)

        moving_mean, moving_variance = 0.25 * mean, 0.75 + 0.25 * variance
        np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_mean), moving_mean, atol=tolerance)
        np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_variance), moving_variance, atol=tolerance)
        y = layer((inputs, CLASSES))
        expected = gamma * (inputs - moving_mean) / np.sqrt(moving_variance + 1e-2) + beta
        np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), expected, atol=tolerance * 3)


@pytest.mark.both_backends
def test_classes_select_rows():
    """Of one picture four times, each class makes its own, wherever in the batch it is."""
    layer = conditional()
    same = np.repeat(INPUTS[:1], 4, axis=0)
    y = ops.convert_to_numpy(layer((same, np.arange(4, dtype="int32"))))
    again = ops.convert_to_numpy(layer((same, CLASSES)))
    np.testing.assert_array_equal(again, y[CLASSES])
    assert all(np.abs(y[i] - y[j]).max() > 0.1 for i in range(4) for j in range(i))


@pytest.mark.both_backends
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:, 0, 0]], ids=["images", "vectors"])
def test_gradients_reach_only_the_rows_of_classes_present(inputs):
    """∂/∂β[k] is the sum of the output's gradients over the pictures of class k, ∂/∂γ[k] that times x̂."""
    layer = conditional(inputs.shape)
    cost = np.random.default_rng(1).standard_normal(inputs.shape).astype("float32")
    _, (gradients,) = losses_and_gradients(
        lambda: [ops.sum(cost * layer((inputs, CLASSES), training=True))],
        [[layer.gamma, layer.beta]],
        layer.non_trainable_variables,
    )
    places = tuple(range(1, inputs.ndim - 1))
    axes = (0, *places)
    normed = (inputs - inputs.mean(axes)) / np.sqrt(inputs.var(axes) + 1e-3)
    for gradient, slope in zip(gradients, (cost * normed, cost), strict=True):
        assert gradient.shape == (4, 5)
        expected = np.zeros((4, 5))
        np.add.at(expected, CLASSES, slope.sum(places))
        np.testing.assert_allclose(gradient, expected, atol=1e-5)
        np.testing.assert_array_equal(gradient[1], 0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has no sparse gradients")
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:, 0, 0]], ids=["images", "vectors"])
def test_gradients_of_the_tables_are_dense(inputs):
    import tensorflow as tf

    layer = conditional(inputs.shape)
    with tf.GradientTape() as tape:
        y = layer((inputs, CLASSES), training=True)
    gradients = tape.gradient(y, [layer.gamma.value, layer.beta.value])
    assert all(isinstance(gradient, tf.Tensor) for gradient in gradients)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's fused kernel")
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 2e-6), ("mixed_bfloat16", 2e-2)])
def test_the_fused_kernel_serves_layers_without_scale_or_offset(policy, tolerance, monkeypatch):
    """It gives what the way of one operation after the other gives."""
    calls = []
    fused = BatchNormalization._fused
    monkeypatch.setattr(BatchNormalization, "_fused", lambda *args: calls.append(1) or fused(*args))
    arguments = {"momentum": 0.5, "dtype": policy}
    cases = [
        (lambda: conditional(**arguments), (INPUTS, CLASSES)),
        (lambda: BatchNormalization(center=False, **arguments), INPUTS),
        (lambda: BatchNormalization(scale=False, beta_initializer="ones", **arguments), INPUTS),
        (lambda: BatchNormalization(center=False, scale=False, **arguments), INPUTS),
    ]
    for make, inputs in cases:
        found = []
        for n in (len(INPUTS), None):  # a batch of unknown size is not fused
            layer = make()
            outputs = in_training(layer, n)(inputs)
            found.append([ops.convert_to_numpy(ops.cast(outputs, "float32")), *layer.get_weights()])
        assert len(calls) == 1
        calls.clear()
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def in_training(layer, n):
    """The layer in training, compiled for n pictures such as those of `INPUTS`."""
    import tensorflow as tf

    images, classes = tf.TensorSpec((n, *INPUTS.shape[1:])), tf.TensorSpec((n,), "int32")
    spec = (images, classes) if isinstance(layer, ConditionalBatchNormalization) else images
    if not layer.built:
        layer.build(INPUTS.shape)
    return tf.function(lambda inputs: layer(inputs, training=True), input_signature=[spec])


@pytest.mark.both_backends
def test_the_gradient_of_a_gradient_penalty_through_the_conditional_layer():
    check_conditional_second_gradient(lambda x: x)


@pytest.mark.both_backends
def test_the_gradient_of_a_gradient_penalty_through_the_conditional_layer_on_images():
    check_conditional_second_gradient(lambda x: ops.reshape(x, (6, 1, 1, 3)))


def check_conditional_second_gradient(as_input):
    """As `check_second_gradient`: γ of each row's class multiplies its weight, and β is a constant."""
    x, scale, weights = RNG.standard_normal((3, 6, 3))
    classes = np.array([1, 0, 1, 1, 2, 0], "int32")
    layer = ConditionalBatchNormalization(3)
    layer.build((as_input(x).shape, classes.shape))
    gamma, beta = RNG.standard_normal((2, 3, 3))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)

    expected, h = np.zeros_like(x), 1e-5
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = h
        above, below = (slope_penalty(x + way * step, scale, gamma[classes] * weights, 1e-3) for way in (1, -1))
        expected[i] = (above - below) / (2 * h)

    def score(inputs):
        outputs = layer((as_input(inputs * scale.astype("float32")), classes), training=True)
        return ops.sum(ops.reshape(outputs, x.shape) * weights.astype("float32"))

    ours = second_gradient(score, layer, x.astype("float32"))
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.both_backends
def test_conditional_in_a_functional_model(tmp_path):
    """Its statistics are where `doggan.training.statistics` looks for them; a clone and a saved model are the same."""
    x, classes = keras.Input(INPUTS.shape[1:]), keras.Input((), dtype="int32")
    layer = ConditionalBatchNormalization(4)
    model = keras.Model([x, classes], layer((x, classes)))
    assert layer.input[0] is x
    layer.gamma.assign(TABLES[0])
    model([INPUTS, CLASSES], training=True)
    expected = ops.convert_to_numpy(model([INPUTS, CLASSES]))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    for again in (clone, keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(ops.convert_to_numpy(again([INPUTS, CLASSES])), expected)


@pytest.mark.both_backends
def test_conditional_arguments():
    """Initializers, regularizers and constraints are of the tables; channels may come first."""
    layer = ConditionalBatchNormalization(
        2,
        axis=1,
        gamma_initializer=keras.initializers.Constant(2.0),
        beta_initializer="ones",
        gamma_regularizer=keras.regularizers.L2(0.5),
        beta_constraint="non_neg",
    )
    inputs = INPUTS[:2].transpose(0, 3, 1, 2)
    y = ops.convert_to_numpy(layer((inputs, np.array([1, 0], "int32")), training=True))
    normed = ops.convert_to_numpy(BatchNormalization()(INPUTS[:2], training=True)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(y, 2 * normed + 1, atol=1e-5)
    assert float(layer.losses[0]) == pytest.approx(0.5 * 4 * layer.gamma.shape[0] * layer.gamma.shape[1])
    assert layer.beta.constraint is not None
    again = ConditionalBatchNormalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.n_classes == 2


def test_conditional_refuses_no_classes():
    with pytest.raises(ValueError, match="n_classes must be at least 1, not 0"):
        ConditionalBatchNormalization(0)
    with pytest.raises(ValueError, match="expected ndim=1"):
        conditional()((INPUTS, CLASSES[:, None]))


STYLE = tuple(RNG.standard_normal((2, 4, 5)).astype("float32"))  # scale and offset of four pictures


@pytest.mark.both_backends
def test_modulated_layer(tmp_path):
    run_layer_test(ModulatedBatchNormalization, {"momentum": 0.5}, (INPUTS, *STYLE), INPUTS.shape, tmp_path, (0, 2))


@pytest.mark.both_backends
def test_modulated_against_numpy():
    layer = ModulatedBatchNormalization(momentum=0.5, epsilon=1e-5)
    mean, variance = INPUTS.mean((0, 1, 2)), INPUTS.var((0, 1, 2))
    scale, offset = (part[:, None, None] for part in STYLE)
    outputs = ops.convert_to_numpy(layer((INPUTS, *STYLE), training=True))
    np.testing.assert_allclose(outputs, (1 + scale) * (INPUTS - mean) / np.sqrt(variance + 1e-5) + offset, atol=1e-5)
    moving = mean / 2, (1 + variance) / 2
    for variable, expected in zip(layer.get_weights(), moving, strict=True):
        np.testing.assert_allclose(variable, expected, atol=1e-6)
    outputs = ops.convert_to_numpy(layer((INPUTS, *STYLE)))
    np.testing.assert_allclose(
        outputs, (1 + scale) * (INPUTS - moving[0]) / np.sqrt(moving[1] + 1e-5) + offset, atol=1e-5
    )
