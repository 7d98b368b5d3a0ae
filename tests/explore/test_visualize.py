import keras
import numpy as np
import pytest
from keras import layers, ops

from doggan.data.imageset import ImageSet
from doggan.explore import visualize
from doggan.explore.gradients import input_gradient
from doggan.explore.guided import GuidedReLU, guided
from doggan.explore.visualize import guided_gradients, maximise, responses, selective_features
from doggan.sampling import draw_z

SLOPE = 0.5


def network():
    """Two convolutions 1×1, so that they can be followed by hand."""
    keras.utils.set_random_seed(3)
    x = keras.Input((4, 4, 3))
    y = layers.LeakyReLU(SLOPE)(layers.Conv2D(5, 1, name="a", bias_initializer="normal")(x))
    y = layers.ReLU()(layers.Conv2D(2, 1, name="b")(y))
    return keras.Model(x, layers.Dense(1)(layers.Flatten()(y)))


def pictures(n=7):
    return np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3)).astype(np.uint8)


def by_hand(images):
    """Input of the first activation, of the second, and its result, in float64."""
    model = network()
    (ka, ba), (kb, _) = model.get_layer("a").get_weights(), model.get_layer("b").get_weights()
    a = (images / 127.5 - 1) @ ka[0, 0] + ba
    b = np.where(a > 0, a, SLOPE * a) @ kb[0, 0]
    return a, b, np.maximum(b, 0), ka[0, 0], kb[0, 0]


@pytest.mark.both_backends
def test_guided_gradients_are_what_speaks_for_a_feature():
    images = pictures()
    a, _, y, ka, kb = by_hand(images)
    features = np.array([0, 1, 0, 1, 0, 1, 0])
    expected = np.zeros(images.shape)
    for i, feature in enumerate(features):
        place = np.unravel_index(y[i, :, :, feature].argmax(), (4, 4))
        if y[i][place][feature] > 0:
            back = np.maximum(kb[:, feature], 0) * (a[i][place] > 0)
            expected[i][place] = ka @ back
    found = guided_gradients(network(), "b", images, features)
    assert (np.abs(expected).reshape(7, -1).max(1) > 0).sum() > 3
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.both_backends
def test_a_guided_copy_is_the_same_forwards():
    model, images = network(), pictures() / np.float32(127.5) - 1
    copy = guided(model)
    assert [type(layer) for layer in copy.layers].count(GuidedReLU) == 2
    np.testing.assert_allclose(copy.predict_on_batch(images), model.predict_on_batch(images), rtol=1e-5, atol=1e-6)


@pytest.mark.both_backends
def test_gradients_are_those_of_finite_differences():
    weights = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)

    def function(x, power):
        return ops.sum(ops.sin(ops.matmul(x, weights)) ** 2, axis=-1) * power

    x, power = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32), np.float32(1.5)
    y, gradient = input_gradient(function)(x, power)
    exact = x.astype(np.float64) @ weights
    np.testing.assert_allclose(y, 1.5 * (np.sin(exact) ** 2).sum(-1), rtol=1e-5)
    for i in range(6):
        step = np.eye(6)[i] * 1e-5
        ends = [1.5 * (np.sin((x + sign * step) @ weights.astype(np.float64)) ** 2).sum(-1) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, i], (ends[0] - ends[1]) / 2e-5, rtol=1e-3, atol=1e-4)


@pytest.mark.both_backends
def test_responses_are_the_largest_of_each_map_whatever_the_batch():
    images = pictures()
    expected = by_hand(images)[2].max((1, 2))
    for size in (2, 7, 100):
        np.testing.assert_allclose(responses(network(), "b", images, batch_size=size), expected, atol=1e-5)


def test_selective_features_stand_out():
    found = np.zeros((100, 4), np.float32)
    found[:, 0] = np.random.default_rng(0).random(100)
    found[:3, 1] = 9  # never but for three
    found[:50, 3] = 5
    np.testing.assert_array_equal(selective_features(found, 3, 3), [1, 0, 3])
    np.testing.assert_array_equal(selective_features(found, 9, 500)[-1:], [2])


@pytest.mark.both_backends
def test_what_is_maximised_goes_where_it_must_and_stays_a_likely_z():
    """The best z on the sphere is √d · w / ‖w‖."""
    generator, discriminator = linear_networks()
    made = maximise(generator, discriminator, "only", np.zeros(3, np.int64), seed=1, starts=1)
    start = draw_z(3, 4, 1)
    start *= 2 / np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(made.before, 3 * start @ W / 40, rtol=1e-4)
    np.testing.assert_allclose(made.after, 3 * 2 * 5 / 40, rtol=2e-2)
    assert (made.end > made.start).all()


@pytest.mark.both_backends
def test_of_several_starts_the_one_that_leads_highest_is_taken():
    networks = linear_networks()
    alone = maximise(*networks, "only", np.array([0, 1] * 3), seed=1, starts=1, steps=2)
    made = maximise(*networks, "only", np.array([0, 1]), seed=1, starts=3, steps=2)
    best = alone.after.reshape(3, 2).argmax(axis=0) * 2 + [0, 1]
    assert len(np.unique(alone.after.round(3))) == 6
    assert (best > 1).any()
    for name in ("before", "after"):
        np.testing.assert_allclose(getattr(made, name), getattr(alone, name)[best], rtol=1e-5)
    for name in ("start", "end"):
        np.testing.assert_array_equal(getattr(made, name), getattr(alone, name)[best])


W = np.array([3.0, 0.0, -4.0, 0.0], np.float32)


def linear_networks():
    """A generator that writes z·W / 40 into every pixel, and D with their sum and the negative of it as features."""
    z = keras.Input((4,))
    tall = layers.Dense(1, use_bias=False, name="w")
    flat = ops.tile(ops.reshape(tall(z), (-1, 1, 1, 1)), (1, 4, 4, 3)) / 40.0
    generator = keras.Model(z, flat)
    tall.set_weights([W[:, None]])
    x = keras.Input((4, 4, 3))
    conv = layers.Conv2D(2, 1, use_bias=False, name="only")
    discriminator = keras.Model(x, layers.Dense(1)(layers.Flatten()(conv(x))))
    conv.set_weights([np.tile(np.float32([1, -1]), (1, 1, 3, 1))])
    return generator, discriminator


@pytest.fixture(scope="module")
def run(start_untrained):
    return start_untrained(np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3)), 32)


def test_the_command_draws_and_says_the_same_twice(doggan, run, tmp_path):
    options = ("--features", 3, "--top", 2, "--layer", 1, "-q")
    said = []
    for name in ("a", "b"):
        status, out, err = doggan("explore", "visualize", run.folder, "-o", tmp_path / f"{name}.png", *options)
        assert (status, err) == (0, "")
        said.append(out.replace(str(tmp_path / f"{name}.png"), ""))
    assert said[0] == said[1]
    assert "3 features of conv_1: " in said[0]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_generator_is_told_the_class_of_the_picture_above_all_others(run, tmp_path, monkeypatch):
    told = []

    def recorded(*arguments, classes, **settings):
        told.append(classes)
        return maximise(*arguments, classes=classes, starts=1, steps=1, **settings)

    monkeypatch.setattr(visualize, "maximise", recorded)
    found = visualize.draw_visualized(run, tmp_path / "v.png", k=6, top=1)
    data = ImageSet.load(run.data_path)
    places = [(data.images == picture).all(axis=(1, 2, 3)).argmax() for picture in found.pictures[:, 0]]
    np.testing.assert_array_equal(told, [data.labels[places]])
    assert (told[0] != run.classes.spread(6)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layer", 3), "has 2 convolutions, so none is 3; choose --layer from 1 to 2."),
        (("--checkpoint", 7), "has no checkpoint '7'"),
        (("--real", "absent.npz"), "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(doggan, run, tmp_path, options, message):
    status, out, err = doggan("explore", "visualize", run.folder, "-o", tmp_path / "v.png", "-q", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
