import keras
import numpy as np
import pytest

from doggan.errors import DogganError
from doggan.metrics.keras_weights import find_published
from doggan.metrics.vgg import VGG19, WEIGHTS_FILE, load_vgg19


def narrow():
    """Five times a half of the side, as VGG-19 has it, by one channel each of B, G and R."""
    x = keras.Input((None, None, 3))
    return keras.Model(x, keras.layers.AveragePooling2D(32)(x))


@pytest.mark.both_backends
def test_quarters_of_bgr_without_the_mean():
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 128, 3)).astype(np.uint8)
    extractor = VGG19(narrow(), "none")
    features = extractor.features(images, batch_size=2)
    assert (features.shape, features.dtype, extractor.dimensions) == ((5, 12), np.float32, 12)
    bgr = images[..., ::-1].astype(float) - np.array([103.939, 116.779, 123.68])
    expected = bgr.reshape(5, 2, 32, 2, 64, 3).mean(axis=(2, 4)).reshape(5, 12)
    np.testing.assert_allclose(features, expected, atol=1e-3)


def test_small_pictures_are_enlarged():
    images = np.repeat(np.arange(0, 200, 50, dtype=np.uint8), 32 * 32 * 3).reshape(4, 32, 32, 3)
    features = VGG19(narrow(), "none").features(images)
    np.testing.assert_allclose(features[:, 0] + 103.939, [0, 50, 100, 150], atol=1e-3)


def test_weights_are_known_by_their_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DogganError, match="nowhere to be found"):
        load_vgg19()
    file = tmp_path / ".keras" / "models" / WEIGHTS_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not those")
    with pytest.raises(DogganError, match="is not the vgg19"):
        load_vgg19()


def test_the_published_weights_give_what_the_published_network_does():
    try:
        file = find_published(WEIGHTS_FILE, "fetch it")
    except DogganError:
        pytest.skip(f"no {WEIGHTS_FILE} in Keras' cache: keras.applications.VGG19(include_top=False) fetches it")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    extractor, network = load_vgg19(file), keras.applications.VGG19(include_top=False, weights=str(file))
    maps = network.predict(keras.applications.vgg19.preprocess_input(images.astype("float32")))
    np.testing.assert_allclose(extractor.features(images).reshape(maps.shape), maps, rtol=1e-4, atol=1e-3)
