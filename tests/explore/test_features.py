import keras
import numpy as np
import pytest
from keras import layers

from doggan.cache import Cache
from doggan.data.imageset import ImageSet
from doggan.explore import features as module
from doggan.explore.activations import conv_activations, discriminator_features
from doggan.explore.features import Quality, colour_histogram, compare_features, linear_quality, raw_pixels


def small_network():
    """Two convolutions, of sides 6 and 3: by 1×1 kernels, so that they can be followed by hand."""
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 6, 2))
    y = layers.LeakyReLU(0.5)(layers.BatchNormalization(epsilon=0.0)(layers.Conv2D(3, 1, name="a")(x)))
    y = layers.Conv2D(2, 1, strides=2, activation="relu", name="b")(y)
    return keras.Model(x, layers.Dense(1)(layers.Flatten()(y)))


@pytest.mark.both_backends
def test_features_are_pooled_activations_of_length_one():
    network, images = small_network(), np.random.default_rng(0).integers(0, 256, (5, 6, 6, 2)).astype(np.uint8)
    (ka, _), (kb, _) = network.layers[1].get_weights(), network.get_layer("b").get_weights()
    a = (images / 127.5 - 1) @ ka[0, 0]
    a = np.where(a > 0, a, a / 2)
    b = np.maximum(a[:, ::2, ::2] @ kb[0, 0], 0)  # [5, 3, 3, 2]
    edges = [(0, 2), (1, 3), (3, 5), (4, 6)]  # four windows over six pixels
    pooled = np.stack([np.stack([a[:, y:Y, x:X].max((1, 2)) for x, X in edges], 1) for y, Y in edges], 1)
    expected = np.concatenate([pooled.reshape(5, -1), b.reshape(5, -1)], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert list(conv_activations(network)) == ["a", "b"]
    for size in (2, 9):
        found = discriminator_features(network, images, batch_size=size)
        assert (found.dtype, found.shape) == (np.float32, (5, 4 * 4 * 3 + 3 * 3 * 2))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_histogram_and_pixels_by_hand():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1, :2] = (255, 0, 31)  # eight of sixteen
    rows = colour_histogram(images)
    assert rows.shape == (2, 512)
    assert rows[0, 0] == 1
    np.testing.assert_allclose(rows[1, [0, 7 * 64]], np.sqrt(0.5), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(raw_pixels(images), axis=1), 1, rtol=1e-6)
    assert (raw_pixels(images)[0] < 0).all()


def test_the_interval_is_wilson_s():
    z, n, p = 1.959964, 40, 0.75
    middle, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    np.testing.assert_allclose(Quality("", 1, 1.0, 30, n).interval, (middle - half, middle + half), rtol=1e-5)


def test_a_classifier_learns_what_can_be_learned_and_nothing_else():
    rng = np.random.default_rng(0)
    labels = (np.arange(300) % 3).astype(np.int32)
    rows = (np.eye(3)[labels] + rng.normal(0, 0.1, (300, 3))).astype(np.float32)
    good = linear_quality("told", rows[:200], labels[:200], rows[200:], labels[200:])
    assert (good.accuracy, good.n, good.dimensions) == (1, 100, 3)
    shuffled = rng.permutation(labels)
    low, high = linear_quality("shuffled", rows[:200], shuffled[:200], rows[200:], shuffled[200:]).interval
    assert low < 1 / 3 < high


@pytest.fixture(scope="module")
def run(start_untrained):
    """Of pictures of two classes of other brightness: 120, and 110 held out."""
    brighter = 100 * (np.arange(230) % 2)[:, None, None, None]
    return start_untrained(np.random.default_rng(1).integers(0, 120, (230, 32, 32, 3)) + brighter, 120)


def test_what_was_learned_is_not_learned_again(run, tmp_path, monkeypatch):
    data, asked = ImageSet.load(run.data_path), []
    learn = module.linear_quality
    monkeypatch.setattr(module, "linear_quality", lambda *args: asked.append(args[0]) or learn(*args))
    found = compare_features(run, data, cache=Cache(tmp_path))
    assert compare_features(run, data, cache=Cache(tmp_path)) == found
    assert asked == ["discriminator", "the same, untrained", "raw pixels", "colour histogram"]
    assert (found.classes, found.n_train, found.n_test, found.seen, found.chance) == (2, 120, 110, False, 0.5)
    assert found.qualities[2].accuracy == 1  # brightness tells the classes apart
    unlabelled = data.select(slice(0, 120))
    assert compare_features(run, unlabelled).seen


def test_the_command(doggan, run, tmp_path):
    status, out, err = doggan("explore", "features", run.folder, "-o", tmp_path / "f.png", "-q", "--no-cache")
    assert (status, err) == (0, "")
    assert out.startswith("discriminator: ")
    assert "raw pixels: 100.0% (" in out
    assert "chance: 50.0%" in out
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_a_mistake_is_one_sentence(doggan, run, tmp_path):
    import dataclasses

    images = ImageSet.load(run.data_path)
    dataclasses.replace(images, labels=None, class_names=()).save(tmp_path / "without.npz")
    dataclasses.replace(images, images=images.images[..., :1]).save(tmp_path / "grey.npz")
    for name, message in (("without", "no labels"), ("grey", "prepare such ones"), ("absent", "does not exist")):
        options = ("--real", tmp_path / f"{name}.npz", "-o", tmp_path / "f.png", "-q")
        status, out, err = doggan("explore", "features", run.folder, *options)
        assert (status, out) == (2, "")
        assert message in err
        assert len(err.splitlines()) == 1
