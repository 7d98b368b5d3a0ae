"""Spectral norm against the singular value decomposition, finite differences and PyTorch."""

import keras
import numpy as np
import pytest
from gradients import losses_and_gradients
from keras import ops
from layer_checks import run_layer_test

from doggan.layers import ConvSN2D, ConvSN2DTranspose, DenseSN, EmbeddingSN

RNG = np.random.default_rng(0)

# layer class, its arguments, a batch, the shape that comes out, (trainable, other) weights
CASES = {
    "dense": (DenseSN, {"units": 4}, RNG.normal(size=(5, 3)), (5, 4), (2, 1)),
    "conv": (ConvSN2D, {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"},
             RNG.normal(size=(2, 6, 6, 3)), (2, 3, 3, 5), (2, 1)),
    "transposed": (ConvSN2DTranspose, {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"},
                   RNG.normal(size=(2, 3, 3, 2)), (2, 6, 6, 5), (2, 1)),
    "embedding": (EmbeddingSN, {"input_dim": 6, "output_dim": 3},
                  np.array([[0, 5], [2, 2]]), (2, 2, 3), (1, 1)),
}  # fmt: skip


def make(name, **arguments):
    """A built layer with a random weight of singular values near one, and a batch for it."""
    layer_class, defaults, batch, _, _ = CASES[name]
    batch = batch.astype("int32" if name == "embedding" else "float32")
    initializer = "embeddings_initializer" if name == "embedding" else "kernel_initializer"
    normal = keras.initializers.RandomNormal(0.0, 0.7, seed=3)
    layer = layer_class(**{**defaults, initializer: normal, **arguments})
    layer.build(batch.shape)
    return layer, batch


def raw(layer):
    return layer.embeddings if isinstance(layer, EmbeddingSN) else layer.kernel


def matrix(layer, array=None):
    """W, or an array of its shape, as float64 [everything else, output channels]."""
    w = ops.convert_to_numpy(raw(layer)) if array is None else np.asarray(array)
    if isinstance(layer, ConvSN2DTranspose):
        w = np.swapaxes(w, 2, 3)
    return w.reshape(-1, w.shape[-1]).astype("float64")


def unit(x):
    return x / np.linalg.norm(x)


def power_iteration(w, u):
    return unit(w.T @ unit(w @ u))


@pytest.mark.both_backends
@pytest.mark.parametrize("name", CASES)
def test_layer(name, tmp_path):
    layer_class, arguments, batch, shape, weights = CASES[name]
    batch = batch.astype("int32" if name == "embedding" else "float32")
    options = {"power_iterations": 2, "epsilon": 1e-6}
    run_layer_test(layer_class, {**arguments, **options}, batch, shape, tmp_path, weights)


@pytest.mark.both_backends
@pytest.mark.parametrize("name", CASES)
def test_sigma_is_right_before_the_first_step(name):
    layer, _ = make(name)
    exact = np.linalg.svd(matrix(layer), compute_uv=False)[0]
    assert float(layer.sigma()) == pytest.approx(exact, rel=1e-5)
    for training in (False, True):
        normalized = matrix(layer, ops.convert_to_numpy(layer.normalized_weight(training)))
        assert np.linalg.svd(normalized, compute_uv=False)[0] == pytest.approx(1, rel=1e-5)


@pytest.mark.both_backends
@pytest.mark.parametrize("name", CASES)
def test_output_is_that_of_the_keras_layer_with_the_normalized_weight(name):
    layer, batch = make(name, **({} if name == "embedding" else {"activation": "tanh"}))
    config = layer.get_config()
    del config["power_iterations"], config["epsilon"]
    plain = type(layer).__mro__[2].from_config(config)
    plain.build(batch.shape)
    sigma = np.linalg.svd(matrix(layer), compute_uv=False)[0]
    weights = [ops.convert_to_numpy(raw(layer)) / sigma]
    if name != "embedding":
        layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
        weights.append(ops.convert_to_numpy(layer.bias))
    plain.set_weights(weights)
    expected = ops.convert_to_numpy(plain(batch))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(batch)), expected, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(batch, training=True)), expected, atol=1e-5)


@pytest.mark.both_backends
@pytest.mark.parametrize("name", CASES)
def test_u_moves_once_per_training_call_and_only_then(name):
    layer, batch = make(name)
    before = ops.convert_to_numpy(raw(layer)).copy()
    start = unit(np.arange(1.0, layer.u.shape[0] + 1))
    layer.u.assign(start)
    for training in (False, None):
        layer(batch, training=training)
        np.testing.assert_array_equal(ops.convert_to_numpy(layer.u), start.astype("float32"))

    trained = ops.convert_to_numpy(layer(batch, training=True))
    once = power_iteration(matrix(layer), start)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.u), once, atol=1e-5)
    # On the u that training has left, inference is training.
    np.testing.assert_allclose(ops.convert_to_numpy(layer(batch)), trained, atol=1e-5)
    assert float(layer.sigma()) == pytest.approx(np.linalg.norm(matrix(layer) @ once), rel=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(raw(layer)), before)


@pytest.mark.both_backends
def test_power_iterations_per_call():
    layer, batch = make("dense", power_iterations=3)
    start = unit(np.arange(1.0, 5.0))
    layer.u.assign(start)
    layer(batch, training=True)
    expected = start
    for _ in range(3):
        expected = power_iteration(matrix(layer), expected)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.u), expected, atol=1e-5)


@pytest.mark.both_backends
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradient_against_finite_differences(name, training):
    """At the exact singular vectors σ is stationary in u and v, so the constants cost no gradient."""
    layer, batch = make(name)
    u = ops.convert_to_numpy(layer.u).copy()
    weight = raw(layer)
    w = ops.convert_to_numpy(weight).copy()
    cost = np.random.default_rng(1).normal(size=layer(batch).shape).astype("float32")

    def loss():
        return [ops.sum(cost * layer(batch, training=training))]

    _, ((gradient,),) = losses_and_gradients(loss, [[weight]], layer.non_trainable_variables)
    difference = np.zeros_like(w)
    h = 5e-3
    for index in np.ndindex(*w.shape):
        values = []
        for sign in (1, -1):
            moved = w.copy()
            moved[index] += sign * h
            weight.assign(moved)
            layer.u.assign(u)
            values.append(float(loss()[0]))
        difference[index] = (values[0] - values[1]) / (2 * h)
    np.testing.assert_allclose(gradient, difference, atol=2e-3 * np.abs(difference).max())


@pytest.mark.both_backends
def test_two_calls_in_one_step_move_u_twice_and_each_has_its_own_gradient():
    """As a discriminator is called, on real pictures and on fakes, within one compiled step."""
    layer, batch = make("dense", use_bias=False)
    start = unit(np.arange(1.0, 5.0))
    layer.u.assign(start)
    cost = np.random.default_rng(1).normal(size=(2, 5, 4)).astype("float32")

    def losses():
        first, second = layer(batch, training=True), layer(2 * batch, training=True)
        return [ops.sum(cost[0] * first), ops.sum(cost[1] * second)]

    _, gradients = losses_and_gradients(losses, [[layer.kernel]] * 2, [layer.u])

    w, u = matrix(layer), start
    for (gradient,), c, x in zip(gradients, cost, (batch, 2 * batch), strict=True):
        u = power_iteration(w, u)
        sigma, v = np.linalg.norm(w @ u), unit(w @ u)
        direct = x.T.astype("float64") @ c  # the gradient with respect to W/σ
        expected = direct / sigma - np.sum(direct * w) / sigma**2 * np.outer(v, u)
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(ops.convert_to_numpy(layer.u), u, atol=1e-5)


# σ, u and the gradient after two training calls of torch.nn.utils.parametrizations.spectral_norm, PyTorch
# 2.13.0 on CPU:
#
#     for layer in (nn.Linear(3, 4), nn.Conv2d(2, 3, 2), nn.ConvTranspose2d(2, 3, 2), nn.Embedding(5, 3)):
#         n = layer.weight.numel()
#         with torch.no_grad():
#             layer.weight.copy_(((7 * torch.arange(n) % 11 - 5) / 4).reshape(layer.weight.shape))
#         spectral_norm(layer, dim=1 if isinstance(layer, (nn.ConvTranspose2d, nn.Embedding)) else 0)
#         p = layer.parametrizations.weight
#         w = p[0]._reshape_weight_to_matrix(p.original.detach())
#         p[0]._u.copy_(F.normalize(torch.arange(1.0, len(w) + 1), dim=0))
#         p[0]._v.copy_(F.normalize(w.T @ p[0]._u, dim=0))
#         layer.weight                                    # each access is a training call
#         normalized = layer.weight
#         (normalized * (5 * torch.arange(n) % 13 - 6).reshape(normalized.shape)).sum().backward()
#         print(p[0]._u @ w @ p[0]._v, p[0]._u, p.original.grad.flatten())
#
# name: arguments, input shape, axes from PyTorch's weight to Keras', PyTorch's weight shape, σ, u, gradient
TORCH = {
    "dense": (
        DenseSN(4), (1, 3), (1, 0), (4, 3), 2.526329278945923,
        [-0.24562009, 0.56496114, 0.55964696, 0.55433279],
        [-2.33712101, -0.39811915, 1.55374444, -1.67042363, 0.40109378, 2.44302726, -0.87794179, 1.19270682,
         -1.91175652, -0.08546002, 1.98431981, -1.12073409],
    ),
    "conv": (
        ConvSN2D(3, 2), (1, 4, 4, 2), (2, 3, 1, 0), (3, 2, 2, 2), 2.7241244316101074,
        [0.30803061, 0.73271036, 0.60683817],
        [-1.79510891, -0.70652914, 1.55570722, -1.17365837, 0.13434778, 2.39658403, -0.85472918, 0.97522467,
         -0.86629242, -0.80742055, 2.04322028, -0.40026218, 0.18055743, -1.74097717, -0.65383792, 1.16853547,
         -0.66569388, -0.30162343, 2.37461829, -0.15359807, 0.64275479, -1.45317900, -0.23748721, 1.58713293],
    ),
    "transposed": (
        ConvSN2DTranspose(3, 2), (1, 4, 4, 2), (2, 3, 1, 0), (2, 3, 2, 2), 2.6474499702453613,
        [-0.16872106, -0.38825303, 0.90597618],
        [-2.38877535, -0.24072176, 1.42890429, -1.71853757, 0.09596065, 2.58159041, -0.94410104, 0.65533233,
         -1.23112869, -0.73564583, 2.32883525, -0.01815629, 0.89244425, -2.34831572, -0.58537161, 1.63440156,
         -1.19562948, 0.18906493, 1.78849828, -0.47122025, 0.39752012, -1.44838476, 1.11500967, 1.22538280],
    ),
    "embedding": (
        EmbeddingSN(5, 3), (1,), (0, 1), (5, 3), 2.465745687484741,
        [-0.37119794, -0.13155492, 0.91918737],
        [-2.43941951, -0.40771112, 1.63727951, -1.73971879, 0.36391708, 2.72428203, -0.93891633, 1.17137647,
         -1.71130979, -0.13811384, 1.97883570, -0.87466294, 0.91304427, -2.39721608, -0.65796483],
    ),
}  # fmt: skip


@pytest.mark.both_backends
@pytest.mark.parametrize("name", TORCH)
def test_against_pytorch(name):
    layer, input_shape, axes, shape, sigma, u, gradient = TORCH[name]
    layer = type(layer).from_config(layer.get_config())
    layer.build(input_shape)
    index = np.arange(np.prod(shape))
    raw(layer).assign(((7 * index % 11 - 5) / 4).reshape(shape).transpose(axes))
    cost = (5 * index % 13 - 6.0).reshape(shape).transpose(axes).astype("float32")
    layer.u.assign(unit(np.arange(1.0, layer.u.shape[0] + 1)))

    layer.normalized_weight(training=True)
    _, ((ours,),) = losses_and_gradients(
        lambda: [ops.sum(cost * layer.normalized_weight(training=True))], [[raw(layer)]], [layer.u]
    )

    assert float(layer.sigma()) == pytest.approx(sigma, rel=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.u), u, atol=1e-5)
    np.testing.assert_allclose(ours, np.reshape(gradient, shape).transpose(axes), atol=2e-5)


@pytest.mark.both_backends
def test_u_of_any_length_gives_the_same_sigma():
    """An exponential moving average of weights averages u too, which shortens it."""
    layer, _ = make("conv")
    expected = float(layer.sigma())
    layer.u.assign(0.5 * ops.convert_to_numpy(layer.u))
    assert float(layer.sigma()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.both_backends
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_power_iteration_uses_the_full_weight_under_a_mixed_policy(policy):
    """Rounded to half precision, the same weight gives another u in the fourth digit."""
    layer, batch = make("dense", dtype=policy)
    model = keras.Sequential([keras.Input((3,)), layer])
    start = unit(np.arange(1.0, 5.0))
    layer.u.assign(start)
    model(batch, training=True)
    expected = power_iteration(matrix(layer), start)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.u), expected, atol=1e-6)
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(layer.kernel, layer.compute_dtype), "float32"))
    assert np.abs(power_iteration(matrix(layer, rounded), start) - expected).max() > 1e-5


@pytest.mark.both_backends
def test_zeros_stay_zeros():
    layer, batch = make("embedding", embeddings_initializer="zeros")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(batch, training=True)), 0)
    assert float(layer.sigma()) == 0


@pytest.mark.both_backends
def test_channels_first_bias():
    layer = ConvSN2D(2, 1, data_format="channels_first")
    layer.build((1, 3, 4, 4))
    layer.bias.assign([1.0, -1.0])
    y = layer._add_bias_and_activate(ops.zeros((1, 2, 4, 4)))
    np.testing.assert_array_equal(ops.convert_to_numpy(y)[0, :, 0, 0], [1, -1])


@pytest.mark.both_backends
def test_embedding_under_explicit_training():
    entry = keras.Input((2,), dtype="int32")
    outputs = make("embedding")[0](entry, training=True)
    assert outputs.shape == (None, 2, 3)


def test_refuses_what_would_bypass_the_norm():
    with pytest.raises(NotImplementedError, match="LoRA"):
        DenseSN(2, lora_rank=1).build((1, 3))
    with pytest.raises(NotImplementedError, match="quantized"):
        DenseSN(2, dtype="int8_from_float32").build((1, 3))
    with pytest.raises(ValueError, match="power_iterations must be at least 1, not 0"):
        DenseSN(2, power_iterations=0)
    with pytest.raises(ValueError, match="epsilon must be positive"):
        DenseSN(2, epsilon=0.0)


@pytest.mark.both_backends
@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (7, 7)])
def test_sigma_is_exact_at_the_start_whichever_side_is_longer(shape):
    layer = DenseSN(shape[1])
    layer.build((None, shape[0]))
    w = keras.ops.convert_to_numpy(layer.kernel)
    _, singular, right = np.linalg.svd(w)
    assert float(layer.sigma()) == pytest.approx(singular[0], rel=1e-5)
    u = keras.ops.convert_to_numpy(layer.u)
    assert np.linalg.norm(u) == pytest.approx(1, rel=1e-5)
    assert abs(u @ right[0]) == pytest.approx(1, abs=1e-4)
