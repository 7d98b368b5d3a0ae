import hashlib
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications import nasnet as keras_nasnet

from doggan.errors import DogganError
from doggan.metrics import nasnet as module
from doggan.metrics.nasnet import WEIGHTS_FILE, NASNet, fetch_nasnet, load_nasnet


@pytest.fixture(scope="module")
def narrow() -> keras.Model:
    """NASNet-A (1 @ 96) for 64×64 with random weights: every kind of cell of the real one."""
    keras.utils.set_random_seed(0)
    return keras_nasnet.NASNet(
        input_shape=(64, 64, 3),
        penultimate_filters=96,
        num_blocks=1,
        stem_block_filters=8,
        include_top=False,
        weights=None,
        pooling="avg",
    )


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 40, 3)).astype(np.uint8)


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any caches."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("DOGGAN_CACHE", "XDG_CACHE_HOME", "KAGGLEHUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def test_is_an_extractor(narrow: keras.Model, images: np.ndarray) -> None:
    extractor = NASNet(narrow, "random")
    assert (extractor.name, extractor.prefix, extractor.epsilon) == ("nasnet-a-large", "nasnet-", 0.25)
    assert (extractor.identity, extractor.dimensions) == ("nasnet-a-large random float32", 96)
    features = extractor.features(images)
    assert features.shape == (5, 96)
    assert features.dtype == np.float32
    assert features.std() > 0
    np.testing.assert_allclose(extractor.features(images, batch_size=2), features, rtol=1e-5, atol=1e-5)
    assert extractor.features(images[:0]).shape == (0, 96)


@pytest.mark.both_backends
def test_pictures_are_prepared_as_the_scorer_does_it(images: np.ndarray) -> None:
    """A network that returns its input: `tf.compat.v1.image.resize_bilinear`, / 255, − 0.5, × 2."""
    tf = pytest.importorskip("tensorflow")
    x = keras.Input((331, 331, 3))
    identity = NASNet(keras.Model(x, keras.layers.Flatten()(x)), "none")
    resized = tf.compat.v1.image.resize_bilinear(images.astype(np.float32), [331, 331], align_corners=False)
    expected = (resized.numpy() / 255 - 0.5) * 2
    got = identity.features(images).reshape(-1, 331, 331, 3)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_refuses_other_images(narrow: keras.Model) -> None:
    for bad in (np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8, 1), np.uint8), np.zeros((8, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            NASNet(narrow, "random").features(bad)


def test_weights_that_are_nowhere(empty_home: Path) -> None:
    with pytest.raises(DogganError, match="doggan download nasnet"):
        load_nasnet()
    with pytest.raises(DogganError, match="There is no file"):
        load_nasnet(empty_home / "no.h5")


def test_weights_are_known_by_their_hash(empty_home: Path) -> None:
    file = empty_home / ".keras" / "models" / WEIGHTS_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not those")
    with pytest.raises(DogganError, match=r"models/nasnet_large_no_top\.h5 is not the"):
        load_nasnet()


def test_loads_what_keras_saved(empty_home: Path, narrow: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the package's cache, with the narrow network in place of the large one."""
    file = empty_home / ".cache" / "doggan" / "nasnet" / WEIGHTS_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"published")
    monkeypatch.setattr(module, "WEIGHTS_MD5", hashlib.md5(b"published").hexdigest())
    asked = []
    monkeypatch.setattr(module, "_network", lambda weights: asked.append(weights) or narrow)
    assert load_nasnet().identity == f"nasnet-a-large keras {module.WEIGHTS_MD5} float32"
    assert load_nasnet(file).dimensions == 96
    assert asked == [file, file]


def test_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file:// address in place of Keras' own."""
    published = tmp_path / "NASNet-large-no-top.h5"
    published.write_bytes(b"published")
    monkeypatch.setattr(module, "WEIGHTS_URL", published.as_uri())
    with pytest.raises(DogganError, match="cannot be fetched"):  # the hash is another
        fetch_nasnet(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    monkeypatch.setattr(module, "WEIGHTS_MD5", hashlib.md5(b"published").hexdigest())
    file = fetch_nasnet(tmp_path / "cache")
    assert file == tmp_path / "cache" / WEIGHTS_FILE
    assert file.read_bytes() == b"published"
    published.unlink()
    assert fetch_nasnet(tmp_path / "cache") == file  # there already
    file.write_bytes(b"damaged")
    with pytest.raises(DogganError, match="cannot be fetched"):
        fetch_nasnet(tmp_path / "cache")
    assert file.read_bytes() == b"damaged"


def test_nothing_is_fetched_unasked(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(urllib.request, "urlretrieve", refuse)
    with pytest.raises(DogganError, match="nowhere to be found"):
        load_nasnet()


@pytest.mark.slow
def test_the_large_network(tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights at full size, through the layout of the file that Keras publishes."""
    h5py = pytest.importorskip("h5py")
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    keras.utils.set_random_seed(0)
    original = module._network(None)
    file = tmp_path / WEIGHTS_FILE
    with h5py.File(file, "w") as group:
        save_weights_to_hdf5_group(group, original)
    with file.open("rb") as stream:
        monkeypatch.setattr(module, "WEIGHTS_MD5", hashlib.file_digest(stream, "md5").hexdigest())
    expected = NASNet(original, "random").features(images[:2], batch_size=2)
    loaded = load_nasnet(file)
    assert loaded.dimensions == 4032
    np.testing.assert_allclose(loaded.features(images[:2], batch_size=2), expected, rtol=1e-5, atol=1e-6)
