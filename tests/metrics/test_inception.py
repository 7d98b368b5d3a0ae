import importlib.util
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from doggan.errors import DogganError
from doggan.metrics import inception as module
from doggan.metrics.inception import (
    DIMENSIONS,
    Inception,
    find_inception,
    load_inception,
    resize_tf1,
)
from doggan.metrics.inception_layers import LAYERS
from doggan.metrics.inception_network import inception_network
from doggan.metrics.inception_weights import WEIGHT_FILES, InceptionWeights
from doggan.metrics.pace import Pace, TimeUp


def pictures(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def random_weights() -> InceptionWeights:
    """He-normal kernels, so that a signal reaches the end; the feature part only."""
    rng = np.random.default_rng(0)
    convolutions = {}
    for scope, shape in LAYERS.items():
        kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:3])))
        convolutions[scope] = kernel, rng.normal(0, 0.1, shape[3]).astype(np.float32)
    return InceptionWeights(convolutions, None, published=False, digest="0123456789abcdef" * 4)


@pytest.fixture(scope="module")
def random_network(random_weights: InceptionWeights) -> Inception:
    return Inception(random_weights, Path("random"))


@pytest.fixture(scope="module")
def zeros() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {scope: (np.zeros(shape, np.float32), np.zeros(shape[3], np.float32)) for scope, shape in LAYERS.items()}


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Inception:
    path = find_inception(shared_data)
    assert path is not None
    return load_inception(path)


@pytest.mark.both_backends
def test_resize_by_hand() -> None:
    """2 → 4: source coordinates 0, ½, 1, 1½, the last one clamped."""
    x = np.array([1.0, 5.0], np.float32).reshape(1, 1, 2, 1)
    wide = np.asarray(keras.ops.convert_to_numpy(resize_tf1(x, axis=2, size=4)))
    np.testing.assert_array_equal(wide.ravel(), [1, 3, 5, 5])
    tall = np.asarray(keras.ops.convert_to_numpy(resize_tf1(x.reshape(1, 2, 1, 1), axis=1, size=3)))
    np.testing.assert_allclose(tall.ravel(), [1, 1 + 4 * 2 / 3, 5], rtol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (33, 128), (299, 299), (500, 375)])
def test_resize_is_tensorflows(size: tuple[int, int]) -> None:
    tf = pytest.importorskip("tensorflow")
    x = pictures(1, *size, 3).astype(np.float32)
    expected = tf.raw_ops.ResizeBilinear(images=x, size=(299, 299), align_corners=False, half_pixel_centers=False)
    ours = resize_tf1(resize_tf1(x, axis=2, size=299), axis=1, size=299)
    np.testing.assert_allclose(np.asarray(ours), expected.numpy(), atol=5e-5)


def test_features_do_not_depend_on_the_batch(random_network: Inception) -> None:
    images = pictures(5, 40, 48, 3)
    by_two = random_network.features(images, batch_size=2)
    assert by_two.shape == (5, DIMENSIONS)
    assert by_two.dtype == np.float32
    assert by_two.std(axis=0).max() > 0.01
    at_once = random_network.features(images)
    np.testing.assert_allclose(by_two, at_once, rtol=1e-5, atol=1e-5 * at_once.mean())
    assert random_network.features(images[:0]).shape == (0, DIMENSIONS)


@pytest.mark.slow
def test_unrounded_pictures_have_the_features_of_rounded_ones(random_network: Inception) -> None:
    images = pictures(2, 40, 48, 3)
    features = random_network.features(images)
    unrounded = random_network.features(images.astype(np.float32))
    np.testing.assert_allclose(unrounded, features, rtol=1e-5, atol=1e-5 * features.mean())


def test_pictures_as_networks_have_them_are_refused(random_network: Inception) -> None:
    with pytest.raises(ValueError, match="from 0 to 255, not from -1 to"):
        random_network.features(np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 4, 4, 3))


def test_a_batch_of_nothing_is_refused(random_network: Inception) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        random_network.features(pictures(2, 40, 40, 3), batch_size=0)


@pytest.mark.parametrize("images", [np.zeros((1, 64, 64, 3)), np.zeros((1, 64, 64, 1), np.uint8)])
def test_features_refuse(random_network: Inception, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        random_network.features(images)


def test_features_stop_at_a_deadline(random_network: Inception) -> None:
    pace = Pace(5, "features", deadline=time.monotonic() - 1)
    with pytest.raises(TimeUp, match="4 of 5"):
        random_network.features(pictures(5, 40, 48, 3), batch_size=1, pace=pace)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_built_in_its_precision_whatever_the_policy(zeros: dict, dtype: str) -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = inception_network(zeros, dtype)
    finally:
        keras.config.set_dtype_policy(policy)
    assert {layer.compute_dtype for layer in network.layers[1:-1]} == {dtype}  # the first is the input
    assert network.layers[-1].compute_dtype == "float32"  # the mean of pool_3
    assert network.output.dtype == "float32"
    assert network.count_params() == sum(np.prod(shape) + shape[3] for shape in LAYERS.values())
    assert network.output_shape == (None, DIMENSIONS)


def test_what_the_features_are_called(zeros: dict) -> None:
    """The published name belongs to the published numbers; a cache tells weights and precisions apart."""
    digest = "0123456789abcdef" * 4
    ours = Inception(InceptionWeights(zeros, None, published=True, digest=digest), "file.npz")
    assert (ours.name, ours.prefix, ours.epsilon, ours.dimensions) == ("inception-2015-12-05 pool_3", "", 0.1, 2048)
    other = Inception(InceptionWeights(zeros, None, published=False, digest=digest), "file.npz", precision="bfloat16")
    assert other.name == "inception with other weights (01234567) pool_3 bfloat16"
    assert ours.identity != other.identity
    assert digest in ours.identity
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, not 'float16'"):
        Inception(InceptionWeights(zeros, None, published=True, digest=digest), "file.npz", precision="float16")


def test_no_logits_say_so(random_network: Inception) -> None:
    assert random_network.classifier is None
    with pytest.raises(DogganError, match="random holds the feature part of Inception and no logits"):
        random_network.logits(np.zeros((1, DIMENSIONS), np.float32))


def test_bfloat16_is_near(random_weights: InceptionWeights, random_network: Inception) -> None:
    """Eight bits of mantissa through 20 layers: a few parts in a thousand in the norm, and never the same."""
    images = pictures(2, 64, 64, 3)
    rounded = Inception(random_weights, "random", precision="bfloat16").features(images)
    exact = random_network.features(images)
    assert rounded.dtype == np.float32
    error = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 1e-5 < error.max() < 0.05


def test_reference_features(shared_data: Path, real_crops: np.ndarray, published: Inception) -> None:
    """Against the TorchScript network, over the whole range of tiles; see the reference's own README."""
    with np.load(shared_data / "reference/features-500.npz") as file:
        chosen, expected = file["tile"][::21], file["features"][::21]
    features = published.features(real_crops[chosen], batch_size=24)
    error = np.linalg.norm(features - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-5  # 2e-6 measured


@pytest.mark.both_backends
def test_one_reference_image_on_each_backend(shared_data: Path, published: Inception) -> None:
    """One image is enough: XLA takes most of the time to compile."""
    import cv2

    sheet = cv2.imread(str(shared_data / "stanford-dogs/crops64-a.jpg"))[..., ::-1]
    with np.load(shared_data / "reference/features-500.npz") as file:
        tile, expected = int(file["tile"][7]), file["features"][7]
    row, column = divmod(tile, 105)
    image = sheet[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
    features = published.features(image[None], batch_size=1)
    assert np.linalg.norm(features[0] - expected) < 1e-5 * np.linalg.norm(expected)


def test_find_inception(tmp_path: Path) -> None:
    assert find_inception(tmp_path, tmp_path / "missing") is None
    assert WEIGHT_FILES[0] == "classify_image_graph_def.pb"
    for i, name in enumerate(reversed(WEIGHT_FILES)):  # from the least wanted on
        path = tmp_path / f"input {i}/deeper" / name
        path.parent.mkdir(parents=True)
        path.touch()
        assert find_inception(tmp_path) == path
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / WEIGHT_FILES[0]).touch()
    assert find_inception(tmp_path) == tmp_path / "a" / WEIGHT_FILES[0]
    assert find_inception(tmp_path / "input 1", tmp_path) == tmp_path / "input 1/deeper" / WEIGHT_FILES[-2]


def test_what_a_download_has_not_finished_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "inception.download" / "tree-1" / WEIGHT_FILES[0]
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_inception(tmp_path) is None
    path.rename(tmp_path / path.name)
    assert find_inception(tmp_path) == tmp_path / path.name


def test_without_tensorflow_the_files_that_need_none_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in WEIGHT_FILES:
        (tmp_path / name).touch()
    assert find_inception(tmp_path) == tmp_path / "classify_image_graph_def.pb"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert find_inception(tmp_path) == tmp_path / "inception-2015-12-05_features.npz"


def test_nothing_found_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "default_folders", lambda: (tmp_path,))
    with pytest.raises(DogganError, match="doggan download inception"):
        load_inception()


def test_default_folders_follow_the_cache_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOGGAN_CACHE", "/elsewhere")
    assert module.default_folders()[0] == Path("/elsewhere")
    monkeypatch.delenv("DOGGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/third")
    assert module.default_folders()[0] == Path("/third/doggan")
