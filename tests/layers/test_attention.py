"""Self-attention against NumPy, an example by hand, and what it may not depend on."""

import math

import keras
import numpy as np
import pytest
from gradients import losses_and_gradients
from keras import ops
from layer_checks import run_layer_test, second_gradient

from doggan.layers import SelfAttention

RNG = np.random.default_rng(0)
MAPS = RNG.standard_normal((2, 4, 6, 16)).astype("float32")
KINDS = ("source", "released")
BOTH = pytest.mark.parametrize("kind", KINDS)


def make(kind, *, gamma=0.7, shape=MAPS.shape, **arguments):
    """A built layer with logits of some size, and biases and γ that are not zero."""
    normal = keras.initializers.RandomNormal(0.0, 0.4, seed=5)
    layer = SelfAttention(kind, **{"kernel_initializer": normal, **arguments})
    layer.build(shape)
    layer.gamma.assign(gamma)
    if kind == "source":
        for conv in (layer.f, layer.g, layer.h):
            conv.bias.assign(RNG.standard_normal(conv.bias.shape))
    return layer


def run(layer, x, **arguments):
    return ops.convert_to_numpy(layer(x, **arguments))


def maps(layer, x):
    return ops.convert_to_numpy(layer.attention_map(x))


def by_numpy(layer, x):
    """The output and the attention maps in float64, one position after the other."""
    released = layer.kind == "released"

    def convolved(name, x):
        kernel = ops.convert_to_numpy(getattr(layer, name).kernel).astype("float64")[0, 0]  # [in, out]
        if layer.spectral_norm:
            kernel = kernel / np.linalg.svd(kernel, compute_uv=False)[0]
        return x @ kernel + (0 if released else ops.convert_to_numpy(getattr(layer, name).bias))

    def pooled(x):
        if not released:
            return x
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return np.max(corners, axis=0)

    x = x.astype("float64")
    f, g, h = convolved("f", x), pooled(convolved("g", x)), pooled(convolved("h", x))
    attended = np.zeros((*x.shape[:3], h.shape[-1]))
    weights = np.zeros((*x.shape[:3], *g.shape[1:3]))
    for b, i, j in np.ndindex(*x.shape[:3]):
        raised = np.exp(np.sum(f[b, i, j] * g[b], axis=-1))
        weights[b, i, j] = raised / raised.sum()
        attended[b, i, j] = sum(weights[b, i, j, k, m] * h[b, k, m] for k, m in np.ndindex(*g.shape[1:3]))
    added = convolved("o", attended) if released else attended
    return x + float(layer.gamma) * added, weights


# (trainable, other) weights: γ, a kernel and in "source" a bias for each convolution; u for each if normed.
@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("kind", "spectral_norm", "weights"),
    [("source", False, (7, 0)), ("source", True, (7, 3)), ("released", False, (5, 0)), ("released", True, (5, 4))],
)
def test_layer(kind, spectral_norm, weights, tmp_path):
    run_layer_test(
        SelfAttention,
        {
            "kind": kind,
            "spectral_norm": spectral_norm,
            "kernel_initializer": keras.initializers.RandomNormal(0.0, 0.3, seed=1),
        },
        MAPS,
        MAPS.shape,
        tmp_path,
        weights,
        prepare=lambda layer: layer.gamma.assign(0.5),
        idle=("g/bias",),
    )


@BOTH
@pytest.mark.both_backends
def test_it_begins_as_the_identity(kind):
    layer = SelfAttention(kind)
    np.testing.assert_array_equal(run(layer, MAPS), MAPS)
    np.testing.assert_array_equal(run(layer, MAPS, training=True), MAPS)


@BOTH
@pytest.mark.both_backends
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_output_and_maps_are_those_of_numpy(kind, spectral_norm):
    layer = make(kind, spectral_norm=spectral_norm)
    expected, weights = by_numpy(layer, MAPS)
    assert np.abs(expected - MAPS).max() > 0.1
    assert weights.max() > 3 * weights.mean()
    for training in (False, True):
        np.testing.assert_allclose(run(layer, MAPS, training=training), expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(maps(layer, MAPS), weights, atol=1e-5)


# Eight channels, of which the first four hold what the examples are about.
QUERY, KEY, VALUE, OTHER = range(4)


def example(kind):
    """A layer whose query, key and values are the first four channels, and 2×2 positions.

    position  query  key     value  other
    (0, 0)    0      0       1      10
    (0, 1)    1      ln 2    2      20
    (1, 0)    2      ln 3    3      40
    (1, 1)    −1     ln 6    4      30
    """
    x = np.zeros((1, 2, 2, 8), "float32")
    x[0, :, :, QUERY] = [[0, 1], [2, -1]]
    x[0, :, :, KEY] = np.log([[1, 2], [3, 6]])
    x[0, :, :, VALUE] = [[1, 2], [3, 4]]
    x[0, :, :, OTHER] = [[10, 20], [40, 30]]
    layer = SelfAttention(kind, kernel_initializer="zeros")
    layer.build(x.shape)

    def connect(conv, *pairs):
        kernel = np.zeros(conv.kernel.shape, "float32")
        for source, target in pairs:
            kernel[0, 0, source, target] = 1
        conv.kernel.assign(kernel)

    connect(layer.f, (QUERY, 0))
    connect(layer.g, (KEY, 0))
    connect(layer.h, (VALUE, 0), (OTHER, 1))
    if kind == "released":
        connect(layer.o, (0, 6), (1, 7))
    layer.gamma.assign(0.5)
    return layer, x


@pytest.mark.both_backends
def test_source_by_hand():
    """A query q meets keys that are logarithms: e^(q · ln k) = k^q, so that the weights are fractions.

    q = 0 at (0, 0): 1, 1, 1, 1 of 4. The mean value is (1 + 2 + 3 + 4) / 4 = 5/2.
    q = 1 at (0, 1): 1, 2, 3, 6 of 12. The value is (1 + 4 + 9 + 24) / 12 = 38/12.
    q = 2 at (1, 0): 1, 4, 9, 36 of 50. The value is (1 + 8 + 27 + 144) / 50 = 180/50.
    q = −1 at (1, 1): 1, 1/2, 1/3, 1/6, which are 6, 3, 2, 1 of 12. The value is (6 + 6 + 6 + 4) / 12 = 22/12.
    Half of it, by γ, is added to channel 0, where h puts the value: 5/4, 19/12, 9/5, 11/12 on top of the queries.
    """
    layer, x = example("source")
    np.testing.assert_allclose(
        maps(layer, x)[0],
        [
            [[[1 / 4, 1 / 4], [1 / 4, 1 / 4]], [[1 / 12, 2 / 12], [3 / 12, 6 / 12]]],
            [[[1 / 50, 4 / 50], [9 / 50, 36 / 50]], [[6 / 12, 3 / 12], [2 / 12, 1 / 12]]],
        ],
        atol=1e-6,
    )
    y = run(layer, x)[0]
    expected = [[0 + 5 / 4, 1 + 19 / 12], [2 + 9 / 5, -1 + 11 / 12]]
    np.testing.assert_allclose(y[:, :, 0], expected, atol=1e-5)
    # The other value likewise, at (0, 1): ½ (10 + 40 + 120 + 180) / 12 = 175/12.
    assert y[0, 1, 1] == pytest.approx(math.log(2) + 175 / 12, rel=1e-5)
    np.testing.assert_array_equal(y[:, :, 2:], x[0, :, :, 2:])


@pytest.mark.both_backends
def test_released_by_hand():
    """2×2 positions pool to a single one, whose weight is one for whoever asks.

    Its values are the largest of each channel: 4 and 40, though they come from two positions. By o they reach channels
    6 and 7, and halved by γ they are 2 and 20.
    """
    layer, x = example("released")
    np.testing.assert_array_equal(maps(layer, x), np.ones((1, 2, 2, 1, 1)))
    expected = x.copy()
    expected[..., 6] = 2
    expected[..., 7] = 20
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-6)


@pytest.mark.both_backends
def test_released_by_hand_attends_to_blocks():
    """Beside the example's block another of zeros, whose pooled key is 0: weights 6^q and 1, of 6^q + 1.

    At (1, 0), q = 2: 36 and 1 of 37; the value is 4 · 36/37, and half of it comes to channel 6.
    """
    layer, x = example("released")
    wide = np.concatenate([x, np.zeros_like(x)], axis=2)
    assert maps(layer, wide).shape == (1, 2, 4, 1, 2)
    np.testing.assert_allclose(maps(layer, wide)[0, 1, 0], [[36 / 37, 1 / 37]], rtol=1e-5)
    assert run(layer, wide)[0, 1, 0, 6] == pytest.approx(2 * 36 / 37, rel=1e-5)


def permuted(x, order):
    """The positions of feature maps in another order."""
    return x.reshape(len(x), -1, x.shape[-1])[:, order].reshape(x.shape)


@pytest.mark.both_backends
def test_source_does_not_know_where_positions_are():
    layer, order = make("source"), RNG.permutation(24)
    np.testing.assert_allclose(run(layer, permuted(MAPS, order)), permuted(run(layer, MAPS), order), atol=2e-5)


@pytest.mark.both_backends
def test_released_knows_only_which_block_a_position_is_in():
    layer = make("released")
    places = np.arange(24).reshape(2, 2, 3, 2).transpose(0, 2, 1, 3).reshape(6, 4)  # [blocks, their positions]
    moved = places[RNG.permutation(6)]
    moved = np.stack([block[RNG.permutation(4)] for block in moved])
    order = np.empty(24, int)
    order[places] = moved
    np.testing.assert_allclose(run(layer, permuted(MAPS, order)), permuted(run(layer, MAPS), order), atol=2e-5)

    order = np.arange(24)
    order[[0, 2]] = order[[2, 0]]  # two positions of different blocks
    difference = np.abs(run(layer, permuted(MAPS, order)) - permuted(run(layer, MAPS), order))
    assert difference.max() > 0.01


@BOTH
@pytest.mark.both_backends
def test_attention_maps_sum_to_one_and_move_nothing(kind):
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        layer = make(kind, spectral_norm=True, dtype=policy)
        layer.f.u.assign(np.ones(2) / math.sqrt(2))
        before = layer.get_weights()
        found = layer.attention_map(MAPS)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        assert found.shape == ((2, 4, 6, 4, 6) if kind == "source" else (2, 4, 6, 2, 3))
        np.testing.assert_allclose(ops.convert_to_numpy(found).sum((-1, -2)), 1, atol=1e-5)
        for old, new in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


@BOTH
@pytest.mark.both_backends
def test_maps_from_within_a_functional_model(kind):
    layer, entry = make(kind, spectral_norm=True), keras.Input(MAPS.shape[1:])
    doubled = keras.layers.Rescaling(2.0)(entry)
    model = keras.Model(entry, layer(doubled))
    found = keras.Model(model.inputs, layer.attention_map(layer.input)).predict(MAPS, verbose=0)
    np.testing.assert_allclose(found, maps(layer, 2 * MAPS), atol=1e-6)


@BOTH
@pytest.mark.both_backends
def test_spectral_norm_reaches_every_kernel(kind):
    layer = make(kind, spectral_norm=True)
    convolutions = [layer.f, layer.g, layer.h, *([layer.o] if kind == "released" else [])]
    start = [np.ones(conv.u.shape) / math.sqrt(conv.u.shape[0]) for conv in convolutions]
    for conv, u in zip(convolutions, start, strict=True):
        used = ops.convert_to_numpy(conv.normalized_weight())[0, 0]
        assert np.linalg.svd(used, compute_uv=False)[0] == pytest.approx(1, rel=1e-5)
        conv.u.assign(u)
    layer(MAPS)
    for conv, u in zip(convolutions, start, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(conv.u), u, rtol=1e-6)
    layer(MAPS, training=True)
    for conv, u in zip(convolutions, start, strict=True):
        assert np.abs(ops.convert_to_numpy(conv.u) - u).max() > 1e-3


@pytest.mark.both_backends
def test_number_of_parameters():
    """C = 16. source: f and g 16·2 + 2 each, h 16·16 + 16, γ. released: f and g 16·2 each, h 16·8, o 8·16, γ."""
    assert make("source").count_params() == 34 + 34 + 272 + 1 == 341
    assert make("released").count_params() == 32 + 32 + 128 + 128 + 1 == 321
    # u adds one for each output channel.
    assert make("source", spectral_norm=True).count_params() == 341 + 2 + 2 + 16
    assert make("released", spectral_norm=True).count_params() == 321 + 2 + 2 + 8 + 16


@pytest.mark.both_backends
def test_a_seeded_initializer_makes_different_kernels_again_and_again():
    """Also one that is seeded by a generator, and one that is not seeded but would repeat itself."""
    for seed in (7, None, keras.random.SeedGenerator(7)):
        layer = SelfAttention(kernel_initializer=keras.initializers.TruncatedNormal(0.0, 0.02, seed=seed))
        layer.build(MAPS.shape)
        f, g = (ops.convert_to_numpy(conv.kernel) for conv in (layer.f, layer.g))
        assert not np.isin(f, g).any()
        assert 0.01 < f.std() < 0.03
    layers = [
        SelfAttention("released", kernel_initializer=keras.initializers.GlorotNormal(seed=seed)) for seed in (7, 7, 8)
    ]
    for layer in layers:
        layer.build(MAPS.shape)
    one, same, other = (layer.get_weights() for layer in layers)
    for a, b, c in zip(one[1:], same[1:], other[1:], strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.isin(a, c).any()


@BOTH
@pytest.mark.both_backends
def test_a_clone_and_its_weights(kind):
    layer, entry = make(kind, spectral_norm=True), keras.Input(MAPS.shape[1:])
    model = keras.Model(entry, layer(entry))
    layer.f.u.assign([0.6, 0.8])
    clone = keras.models.clone_model(model)
    assert not np.allclose(run(clone, MAPS), run(model, MAPS))  # its γ is zero
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(run(clone, MAPS), run(model, MAPS))


@BOTH
@pytest.mark.both_backends
def test_gradient_against_finite_differences_of_numpy(kind):
    layer = make(kind)
    cost = RNG.standard_normal(MAPS.shape)
    kernels = [getattr(layer, name).kernel for name in ("f", "g", "h")]
    _, (found,) = losses_and_gradients(
        lambda: [ops.sum(cost.astype("float32") * layer(MAPS, training=True))], [[layer.gamma, *kernels]], []
    )
    assert found[0] == pytest.approx(np.sum(cost * (by_numpy(layer, MAPS)[0] - MAPS)) / 0.7, rel=1e-4)
    for kernel, gradient in zip(kernels, found[1:], strict=True):
        start, h = ops.convert_to_numpy(kernel).copy(), 1e-3
        index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * h
            kernel.assign(moved)
            values.append(np.sum(cost * by_numpy(layer, MAPS)[0]))
        kernel.assign(start)
        assert gradient[index] == pytest.approx((values[0] - values[1]) / (2 * h), rel=5e-3)


@BOTH
@pytest.mark.both_backends
def test_second_derivative_against_finite_differences(kind):
    """∂/∂x ‖∂/∂x Σ cost · y‖² along a direction, as a gradient penalty takes it."""
    layer = make(kind, shape=(1, 2, 4, 8))
    x, cost, way = RNG.standard_normal((3, 1, 2, 4, 8))

    def difference(function, x, h):
        return (function(x + h) - function(x - h)) / 2

    def penalty(x):
        """The inner gradient from NumPy's float64, entry by entry."""
        slopes = []
        for i in np.ndindex(*x.shape):
            step = np.zeros_like(x)
            step[i] = 1e-5
            slopes.append(difference(lambda at: np.sum(cost * by_numpy(layer, at)[0]), x, step) / 1e-5)
        return np.sum(np.square(slopes))

    expected = difference(penalty, x, 1e-4 * way) / 1e-4
    found = second_gradient(lambda x: ops.sum(cost.astype("float32") * layer(x)), layer, x.astype("float32"))
    assert np.sum(found * way) == pytest.approx(expected, rel=1e-3)


@BOTH
@pytest.mark.both_backends
def test_logits_too_large_for_float16(kind):
    layer = make(kind, dtype="mixed_float16")
    for conv in (layer.f, layer.g):
        conv.kernel.assign(100 * ops.convert_to_numpy(conv.kernel))
    found = run(layer, 10 * MAPS)
    assert np.abs(maps(layer, 10 * MAPS)).max() == pytest.approx(1)
    assert np.isfinite(found).all()


def test_refuses_what_it_cannot_attend_to():
    with pytest.raises(ValueError, match="kind must be one of source, released, not 'biggan'"):
        SelfAttention("biggan")
    for kind in KINDS:
        with pytest.raises(ValueError, match="needs a multiple of 8 channels, not 12"):
            SelfAttention(kind).build((None, 4, 4, 12))
        with pytest.raises(ValueError, match="needs a multiple of 8 channels, not 4"):
            SelfAttention(kind)(keras.Input((4, 4, 4)))
        for shape in ((None, 4, None, 8), (None, 4, 8)):
            with pytest.raises(ValueError, match="needs feature maps"):
                SelfAttention(kind).compute_output_shape(shape)
    SelfAttention("source").build((None, 3, 5, 8))
    with pytest.raises(ValueError, match="needs an even height and width, not 4×5"):
        SelfAttention("released").build((None, 4, 5, 8))
