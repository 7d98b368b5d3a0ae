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
from doggan.metrics.inception_weights import LAYERS
from doggan.metrics.pace import Pace, TimeUp


def pictures(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def random_network() -> Inception:
    """The whole network with He-normal kernels, so that a signal reaches the end."""
    rng = np.random.default_rng(0)
    weights = {}
    for scope, shape in LAYERS.items():
        kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:3])))
        weights[scope] = kernel, rng.normal(0, 0.1, shape[3]).astype(np.float32)
    return Inception(weights, Path("random"))


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
    random_network._by_size.clear()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")  # nor on what the training computes in
    try:
        by_three = random_network.features(images, batch_size=3)
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_allclose(by_two, by_three, rtol=1e-4, atol=1e-5)
    assert random_network.features(images[:0]).shape == (0, DIMENSIONS)


@pytest.mark.parametrize("images", [np.zeros((1, 64, 64, 3)), np.zeros((1, 64, 64, 1), np.uint8)])
def test_features_refuse(random_network: Inception, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        random_network.features(images)


def test_features_stop_at_a_deadline(random_network: Inception) -> None:
    pace = Pace(5, "features", deadline=time.monotonic() - 1)
    with pytest.raises(TimeUp, match="4 of 5"):
        random_network.features(pictures(5, 40, 48, 3), batch_size=1, pace=pace)


def test_built_in_float32_whatever_the_policy() -> None:
    weights = {scope: (np.zeros(shape, np.float32), np.zeros(shape[3], np.float32)) for scope, shape in LAYERS.items()}
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = module._network(weights)
    finally:
        keras.config.set_dtype_policy(policy)
    assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}  # the first is the input
    assert network.count_params() == sum(np.prod(shape) + shape[3] for shape in LAYERS.values())
    assert network.output_shape == (None, DIMENSIONS)


def test_reference_features(shared_data: Path, published: Inception) -> None:
    """Against the TorchScript network, over the whole range of tiles; see the reference's own README."""
    spec = importlib.util.spec_from_file_location("unpack", shared_data / "unpack.py")
    assert spec is not None
    assert spec.loader is not None
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    images = unpack.crops("a")[0]
    with np.load(shared_data / "reference/features-500.npz") as file:
        chosen, expected = file["tile"][::21], file["features"][::21]
    features = published.features(images[chosen], batch_size=24)
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
    names = ["inception-2015-12-05.tgz", "classify_image_graph_def.pb", "inception-2015-12-05_features.npz"]
    for i, name in enumerate(names):  # from the least wanted on
        path = tmp_path / f"input {i}/deeper" / name
        path.parent.mkdir(parents=True)
        path.touch()
        assert find_inception(tmp_path) == path
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / names[2]).touch()
    assert find_inception(tmp_path) == tmp_path / "a" / names[2]
    assert find_inception(tmp_path / "input 1", tmp_path) == tmp_path / "input 1/deeper" / names[1]


def test_nothing_found_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "default_folders", lambda: (tmp_path,))
    with pytest.raises(DogganError, match="doggan download inception"):
        load_inception()


def test_default_folders_follow_the_cache_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert module.default_folders()[0] == Path("/elsewhere/doggan")
