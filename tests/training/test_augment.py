"""DiffAugment against its published formulas and against slices by hand; instance noise by its closed form."""

import keras
import numpy as np
import pytest
from keras import ops

from doggan.config import Augment, InstanceNoise
from doggan.errors import DogganError
from doggan.randomness import step_scope, uniform
from doggan.training.augment import (
    POLICY,
    augment,
    color,
    cutout,
    instance_noise,
    noise_std,
    translation,
    views,
)

ALL = ("color", "translation", "cutout")
LAST = np.nextafter(np.float32(1), np.float32(0))  # the largest float32 below 1


def pictures(shape=(6, 16, 24, 3), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def jitted(function):
    """The function as it is, but on JAX compiled once instead of operation by operation."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def apply(function, images, *draws):
    """What `function` makes of the images with these draws, as NumPy."""

    def run(x):
        with step_scope(0, 0, [np.asarray(d, np.float32) for d in draws]) as asked:
            result = function(x)
        assert len(asked) == len(draws)
        return result

    result = jitted(run)(ops.convert_to_tensor(images))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    return ops.convert_to_numpy(result)


def asked_by(function, images):
    """The draws that `function` asks for."""
    with step_scope(0, 0) as asked:
        if keras.backend.backend() == "jax":
            import jax

            jax.eval_shape(function, images)
        else:
            function(ops.convert_to_tensor(images))
    return asked


def gradient_of(function, images):
    """The gradient of the scalar `function(images)`, compiled, as NumPy."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(images))
    import tensorflow as tf

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    return gradient(tf.constant(images)).numpy()


# DiffAugment_pytorch.py of the paper's authors, in NumPy: its layout [B, C, H, W], its index arithmetic; a `rand` is
# handed in, and an integer below n is the floor of n times one.


def published_color(x, rand):
    brightness, saturation, contrast = rand.T.reshape(3, -1, 1, 1, 1)
    x = x + (brightness - 0.5)
    mean = x.mean(axis=1, keepdims=True)
    x = (x - mean) * (saturation * 2) + mean
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return (x - mean) * (contrast + 0.5) + mean


def published_translation(x, rand, ratio=0.125):
    shift_x, shift_y = int(x.shape[2] * ratio + 0.5), int(x.shape[3] * ratio + 0.5)
    translation_x = (np.floor(rand[:, 0] * (2 * shift_x + 1)).astype(int) - shift_x).reshape(-1, 1, 1)
    translation_y = (np.floor(rand[:, 1] * (2 * shift_y + 1)).astype(int) - shift_y).reshape(-1, 1, 1)
    batch, rows, columns = np.meshgrid(*map(np.arange, (x.shape[0], *x.shape[2:])), indexing="ij")
    rows = np.clip(rows + translation_x + 1, 0, x.shape[2] + 1)
    columns = np.clip(columns + translation_y + 1, 0, x.shape[3] + 1)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    return padded.transpose(0, 2, 3, 1)[batch, rows, columns].transpose(0, 3, 1, 2)


def published_cutout(x, rand, ratio=0.5):
    size = int(x.shape[2] * ratio + 0.5), int(x.shape[3] * ratio + 0.5)
    offset_x = np.floor(rand[:, 0] * (x.shape[2] + (1 - size[0] % 2))).astype(int).reshape(-1, 1, 1)
    offset_y = np.floor(rand[:, 1] * (x.shape[3] + (1 - size[1] % 2))).astype(int).reshape(-1, 1, 1)
    batch, rows, columns = np.meshgrid(*map(np.arange, (x.shape[0], *size)), indexing="ij")
    rows = np.clip(rows + offset_x - size[0] // 2, 0, x.shape[2] - 1)
    columns = np.clip(columns + offset_y - size[1] // 2, 0, x.shape[3] - 1)
    mask = np.ones((x.shape[0], *x.shape[2:]), x.dtype)
    mask[batch, rows, columns] = 0
    return x * mask[:, None]


@pytest.mark.parametrize("shape", [(6, 16, 24, 3), (5, 9, 7, 3), (4, 28, 28, 1), (3, 3, 2, 2)])
def test_operations_are_the_published_ones(shape):
    images, rng = pictures(shape), np.random.default_rng(1)
    nchw = images.transpose(0, 3, 1, 2)
    for published, ours, n in (
        (published_color, color, 3),
        (published_translation, translation, 2),
        (published_cutout, cutout, 2),
    ):
        rand = rng.random((shape[0], n), dtype=np.float32)
        expected = published(nchw, rand).transpose(0, 2, 3, 1)
        np.testing.assert_allclose(apply(ours, images, rand), expected, rtol=0, atol=2e-6, err_msg=published.__name__)


@pytest.mark.both_backends
def test_policy_is_applied_in_its_order():
    images, rng = pictures(), np.random.default_rng(2)
    rand = [rng.random((6, n), dtype=np.float32) for n in (3, 2, 2)]
    x = images.transpose(0, 3, 1, 2)
    expected = published_cutout(published_translation(published_color(x, rand[0]), rand[1]), rand[2])
    result = apply(lambda x: augment(x, ALL, 1.0), images, *rand)
    np.testing.assert_allclose(result, expected.transpose(0, 2, 3, 1), atol=2e-6)
    expected = published_translation(published_cutout(x, rand[2]), rand[1])
    result = apply(lambda x: augment(x, ("cutout", "translation"), 1.0), images, rand[2], rand[1])
    np.testing.assert_array_equal(result, expected.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(apply(lambda x: augment(x, (), 0.5), images), images)


@pytest.mark.both_backends
def test_translation_by_hand():
    """An eighth of 16×24 is 2×3: a draw in the middle shifts nothing, the first and the last as far as it goes."""
    images = pictures((5, 16, 24, 3))
    result = apply(translation, images, [[0, 0], [0.5, 0.5], [LAST, LAST], [0, LAST], [0.5, 0.2]])
    expected = np.zeros_like(images)
    expected[0, 2:, 3:] = images[0, :-2, :-3]
    expected[1] = images[1]
    expected[2, :-2, :-3] = images[2, 2:, 3:]
    expected[3, 2:, :-3] = images[3, :-2, 3:]
    expected[4, :, 2:] = images[4, :, :-2]  # 0.2 · 7 is 1 and a bit: one column less than furthest right
    np.testing.assert_array_equal(result, expected)


@pytest.mark.both_backends
def test_cutout_by_hand():
    """Half of 16×24 is 8×12, around a centre from corner to corner: there a quarter of it lies inside."""
    images = pictures((4, 16, 24, 3))
    result = apply(cutout, images, [[0, 0], [0.5, 0.5], [LAST, LAST], [0.25, LAST]])
    expected = images.copy()
    expected[0, :4, :6] = 0
    expected[1, 4:12, 6:18] = 0
    expected[2, -4:, -6:] = 0
    expected[3, :8, -6:] = 0  # 0.25 · 17 is 4 and a bit
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("side", [2, 3, 8, 12, 28, 33, 64, 97, 128])
def test_largest_draw_stays_inside(side):
    """Would (1 − 2⁻²⁴) · n be rounded up to n, an index were out of range and a cut too small."""
    images, last = np.ones((1, side, side, 1), np.float32), [[LAST, LAST]]
    shift, size = int(side / 8 + 0.5), int(side / 2 + 0.5)
    expected = np.zeros_like(images)
    expected[:, : side - shift, : side - shift] = 1
    np.testing.assert_array_equal(apply(translation, images, last), expected)
    kept = side - size // 2 - size % 2  # around the last corner, or the last pixel where the size is odd
    expected = np.ones_like(images)
    expected[:, kept:, kept:] = 0
    np.testing.assert_array_equal(apply(cutout, images, last), expected)


def test_color_of_grey_pictures_keeps_its_ranges():
    """At the extremes: all of a grey picture's saturation is none, and contrast is about the picture's own mean."""
    grey = np.repeat(pictures((2, 8, 8, 1)), 3, axis=3)
    result = apply(color, grey, [[0.5, 0, 0.5], [0, LAST, LAST]])
    np.testing.assert_allclose(result[0], grey[0], atol=1e-6)
    mean = grey[1].mean()
    np.testing.assert_allclose(result[1], mean + (grey[1] - mean) * 1.5 - 0.5, atol=1e-6)
    coloured = apply(color, pictures((1, 8, 8, 3)), [[0.5, 0, 0.5]])
    np.testing.assert_allclose(coloured, coloured.mean(axis=3, keepdims=True) * np.ones(3), atol=1e-6)


def test_every_shift_and_every_cut_occurs_equally_often():
    n, side = 4000, 8
    coded = np.broadcast_to(np.arange(1, 65, dtype=np.float32).reshape(1, side, side, 1), (n, side, side, 1))
    with step_scope(3, 1):
        moved = ops.convert_to_numpy(translation(ops.convert_to_tensor(coded)))
        cut = ops.convert_to_numpy(cutout(ops.convert_to_tensor(coded)))
    found, counts = np.unique(moved[:, 4, 4, 0], return_counts=True)
    np.testing.assert_array_equal(found, [28, 29, 30, 36, 37, 38, 44, 45, 46])  # the nine around 4·8 + 4 + 1
    assert np.abs(counts / n - 1 / 9).max() < 5 * np.sqrt(1 / 9 * 8 / 9 / n)
    area, counts = np.unique((cut == 0).sum(axis=(1, 2, 3)), return_counts=True)
    # Along each side nine centres: 2, 3, 4, 4, 4, 4, 4, 3, 2 pixels of the stretch inside.
    shares = {}
    for a in (2, 3, 4, 4, 4, 4, 4, 3, 2):
        for b in (2, 3, 4, 4, 4, 4, 4, 3, 2):
            shares[a * b] = shares.get(a * b, 0) + 1 / 81
    assert sorted(shares) == list(area)
    assert np.abs(counts / n - [shares[a] for a in area]).max() < 5 * np.sqrt(0.25 / n)


@pytest.mark.parametrize("name", POLICY)
def test_share_of_the_pictures_that_is_augmented(name):
    n, p = 2000, 0.3
    images = pictures((n, 8, 8, 2))
    with step_scope(0, 0) as asked:
        result = ops.convert_to_numpy(augment(ops.convert_to_tensor(images), (name,), ops.convert_to_tensor(p)))
    same = (result == images).all(axis=(1, 2, 3))
    unmoved = 1 / 9 if name == "translation" else 0.0
    assert same.mean() == pytest.approx(1 - p + p * unmoved, abs=4 * np.sqrt(0.25 / n))
    assert len(asked) == 2


def test_operations_choose_their_pictures_independently():
    images = pictures((2000, 8, 8, 3)) + 2  # nothing is zero of itself
    with step_scope(0, 7):
        result = ops.convert_to_numpy(augment(ops.convert_to_tensor(images), ("color", "cutout"), 0.5))
    cut = (result == 0).any(axis=(1, 2, 3))
    colored = ((result != images) & (result != 0)).any(axis=(1, 2, 3))
    together = [(cut & colored).mean(), (cut & ~colored).mean(), (~cut & colored).mean(), (~cut & ~colored).mean()]
    np.testing.assert_allclose(together, 0.25, atol=0.05)


def test_probability_zero_and_one():
    images = pictures()
    rand = [np.full((6, n), 0.1) for n in (3, 2, 2)]
    kept = np.full((6, 1), 0.0)
    with_draws = [d for r in rand for d in (r, kept)]
    always = apply(lambda x: augment(x, ALL, 1.0), images, *rand)
    one = ops.convert_to_tensor(1.0, "float32")
    np.testing.assert_array_equal(apply(lambda x: augment(x, ALL, one), images, *with_draws), always)
    np.testing.assert_array_equal(apply(lambda x: augment(x, ALL, 0.0), images, *with_draws), images)


@pytest.mark.both_backends
def test_skipped_pictures_are_untouched_and_the_others_are_not():
    images = pictures()
    rand, kept = np.full((6, 2), 0.1), [[0.29], [0.3], [0.0], [0.31], [0.9], [0.2]]
    result = apply(lambda x: augment(x, ("cutout",), 0.3), images, rand, kept)
    expected = np.where((np.float32(kept) < np.float32(0.3))[:, :, None, None], apply(cutout, images, rand), images)
    np.testing.assert_array_equal(result, expected)
    assert [(a == b).all() for a, b in zip(result, images, strict=True)] == [False, True, False, True, True, False]


@pytest.mark.both_backends
def test_draws_asked_for_depend_on_shapes_alone():
    shapes = [(5, 3), (5, 1), (5, 2), (5, 1), (5, 2), (5, 1)]
    for probability in (0.0, 0.4, ops.convert_to_tensor(1.0)):
        for images in (pictures((5, 8, 8, 3)), np.zeros((5, 12, 8, 1), np.float32)):
            asked = asked_by(lambda x, p=probability: augment(x, ALL, p), images)
            assert asked == [("uniform", shape) for shape in shapes]
    asked = asked_by(lambda x: augment(x, ALL, 1.0), pictures((5, 8, 8, 3)))
    assert asked == [("uniform", shape) for shape in shapes[::2]]


@pytest.mark.both_backends
def test_gradient_against_finite_differences():
    images = pictures((4, 8, 8, 3))
    weights = pictures((4, 8, 8, 3), seed=1)
    rng = np.random.default_rng(2)
    draws = [rng.random(shape, dtype=np.float32) for shape in [(4, 3), (4, 1), (4, 2), (4, 1), (4, 2), (4, 1)]]

    def value(x):
        with step_scope(0, 0, draws):
            return ops.sum(ops.tanh(augment(x, ALL, 0.6)) * weights)

    gradient, value = gradient_of(value, images), jitted(value)
    for seed in range(3):
        direction = pictures(images.shape, seed=10 + seed)
        step = 1e-2  # the third derivative is what is left: about 1e-4 of the value
        up, down = (float(value(ops.convert_to_tensor(images + s * direction))) for s in (step, -step))
        assert (up - down) / (2 * step) == pytest.approx((gradient * direction).sum(), rel=2e-3, abs=2e-3)


@pytest.mark.both_backends
def test_gradient_is_zero_where_cut_out_and_moves_back_what_was_moved():
    images, weights = pictures((2, 16, 24, 3)), pictures((2, 16, 24, 3), seed=1)

    def value(x):
        with step_scope(0, 0, [np.zeros((2, 2), np.float32), np.full((2, 2), 0.5, np.float32)]):
            return ops.sum(augment(x, ("translation", "cutout"), 1.0) * weights)

    kept = weights.copy()
    kept[:, 4:12, 6:18] = 0
    expected = np.zeros_like(images)
    expected[:, :-2, :-3] = kept[:, 2:, 3:]  # the last two rows and three columns were pushed out
    np.testing.assert_array_equal(gradient_of(value, images), expected)


@pytest.mark.both_backends
def test_gradients_of_gradients():
    """A gradient penalty on real pictures differentiates through the augmentation twice."""
    images = pictures((2, 8, 8, 1))
    rng = np.random.default_rng(3)
    draws = [rng.random(shape, dtype=np.float32) for shape in [(2, 3), (2, 2), (2, 2)]]

    def score(x, w):
        with step_scope(0, 0, draws):
            return ops.sum(w * augment(x, ALL, 1.0) ** 2)

    if keras.backend.backend() == "jax":
        import jax

        result = jax.jit(jax.grad(lambda w: (jax.grad(score)(images, w) ** 2).sum()))(1.5)
    else:
        import tensorflow as tf

        w = tf.constant(1.5)
        with tf.GradientTape() as outer:
            outer.watch(w)
            with tf.GradientTape() as inner:
                x = tf.constant(images)
                inner.watch(x)
                value = score(x, w)
            penalty = tf.reduce_sum(inner.gradient(value, x) ** 2)
        result = outer.gradient(penalty, w)
    # score = w · s(x), so the penalty is w² · ‖∇s‖², and its derivative 2 w ‖∇s‖².
    slope = gradient_of(lambda x: score(x, 1.0), images)
    assert float(result) == pytest.approx(2 * 1.5 * (slope**2).sum(), rel=1e-4)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="all of these tests go through XLA on JAX")
def test_compiled_by_xla_as_eager():
    """With draws handed in: TensorFlow's own generator is another one under XLA."""
    import tensorflow as tf

    images, rng = pictures(), np.random.default_rng(4)
    shapes = [(6, 3), (6, 1), (6, 2), (6, 1), (6, 2), (6, 1)]
    draws = [rng.random(shape, dtype=np.float32) for shape in shapes] + [pictures(seed=5)]

    def step(x, probability):
        with step_scope(0, 0, draws):
            return instance_noise(augment(x, ALL, probability), 0.1)

    eager = ops.convert_to_numpy(step(ops.convert_to_tensor(images), 0.7))
    compiled = tf.function(step, jit_compile=True)(tf.constant(images), tf.constant(0.7))
    np.testing.assert_allclose(ops.convert_to_numpy(compiled), eager, atol=2e-6)


def test_unknown_operations_are_refused():
    message = r"augment\.policy: 'colour' is not one of color, translation, cutout\."
    with step_scope(0, 0), pytest.raises(DogganError, match=message):
        augment(ops.convert_to_tensor(pictures()), ("cutout", "colour"), 1.0)


@pytest.mark.both_backends
def test_instance_noise_by_closed_form():
    images = pictures((2, 4, 6, 3))
    noise = np.random.default_rng(1).standard_normal(images.shape).astype(np.float32)
    result = apply(lambda x: instance_noise(x, ops.convert_to_tensor(0.2)), images, noise)
    np.testing.assert_allclose(result, images + 0.2 * noise, atol=1e-6)
    assert asked_by(lambda x: instance_noise(x, 0.0), images) == [("normal", (2, 4, 6, 3))]


@pytest.mark.parametrize(
    ("until", "step", "expected"),
    [(1.0, 0, 0.4), (1.0, 25, 0.3), (1.0, 100, 0.0), (0.5, 25, 0.2), (0.5, 50, 0.0), (0.5, 80, 0.0), (0.0, 0, 0.0)],
)
def test_noise_fades_linearly(until, step, expected):
    for number in (step, ops.convert_to_tensor(step, "int32")):
        std = noise_std(InstanceNoise(std=0.4, until=until), number, total_steps=100)
        assert keras.backend.standardize_dtype(std.dtype) == "float32"
        assert float(std) == pytest.approx(expected, abs=1e-7)


def test_views_are_what_the_discriminator_sees():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    config, noise = Augment(policy=("cutout",), probability=0.5), InstanceNoise(std=0.1)
    seen = views(images, config, noise, n=4, seed=9)
    assert seen.shape == (3, 4, 8, 8, 3)
    assert seen.dtype == np.float32
    with step_scope(9, 0):
        real = ops.convert_to_tensor(np.repeat(images, 4, axis=0) / np.float32(127.5) - np.float32(1))
        expected = instance_noise(augment(real, ("cutout",), 0.5), 0.1)
    np.testing.assert_allclose(seen.reshape(12, 8, 8, 3), ops.convert_to_numpy(expected), atol=1e-6)
    np.testing.assert_array_equal(seen, views(images, config, noise, n=4, seed=9))
    assert (seen != views(images, config, noise, n=4, seed=10)).any()
    adaptive = Augment(policy=("cutout",), probability=0.5, target=0.6)  # starts at 0, and is shown at 1
    always = views(images, Augment(policy=("cutout",), probability=1.0), noise, n=4, seed=9)
    np.testing.assert_array_equal(views(images, adaptive, noise, n=4, seed=9), always)


def test_draws_are_the_scope_own():
    """Nothing random but `doggan.randomness`: the same seed and step, the same result, whatever was drawn outside."""
    images = ops.convert_to_tensor(pictures())
    results = []
    for _ in range(2):
        with step_scope(1, 1):
            uniform((3,))
            results.append(ops.convert_to_numpy(augment(images, ALL, 0.5)))
        keras.random.uniform((1,))
    np.testing.assert_array_equal(*results)
