from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from doggan.metrics import random_features as module
from doggan.metrics.random_features import DIMENSIONS, random_features

LITERALS = [
    [-0.017801549, 0.033806946, -0.13119514],
    [0.15564422, 0.19138086, 0.077155292],
    [0.040318899, 0.0073516695, 0.063475661],
    [-0.085332945, 0.0076722144, -0.016912738],
]


def pictures(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def in_numpy(image: np.ndarray) -> np.ndarray:
    """The same network by plain loops over output pixels, in float64."""
    x = image.astype(np.float64) / 127.5 - 1
    maps = [x]
    for kernel in module._weights():
        k = len(kernel)
        height, width = -(-x.shape[0] // 2), -(-x.shape[1] // 2)
        # "same" with stride 2: padding so that the windows cover the input, the odd one behind
        pad = [max((n - 1) * 2 + k - length, 0) for n, length in ((height, x.shape[0]), (width, x.shape[1]))]
        padded = np.pad(x, [(p // 2, p - p // 2) for p in pad] + [(0, 0)])
        y = np.empty((height, width, kernel.shape[3]))
        for i in range(height):
            for j in range(width):
                window = padded[2 * i : 2 * i + k, 2 * j : 2 * j + k]
                y[i, j] = np.maximum(np.tensordot(window, kernel.astype(np.float64), 3), 0)
        x = y
        maps.append(x)
    parts = [part for y in maps for part in (y.mean((0, 1)), np.sqrt(y.var((0, 1)) + 1e-8))]
    third = maps[3]
    h, w = third.shape[0] // 2, third.shape[1] // 2
    parts += [q.mean((0, 1)) for q in (third[:h, :w], third[:h, w:], third[h:, :w], third[h:, w:])]
    return 6 * np.concatenate([part * np.sqrt(DIMENSIONS / 14 / len(part)) for part in parts])


@pytest.mark.both_backends
@pytest.mark.parametrize("shape", [(32, 32, 3), (50, 37, 3)])
def test_against_numpy(shape: tuple[int, ...]) -> None:
    images = pictures(2, *shape)
    features = random_features(images)
    assert features.shape == (2, DIMENSIONS)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [in_numpy(image) for image in images], rtol=1e-4, atol=1e-5)


def test_products_are_in_full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """On GPUs they are rounded unless told otherwise; nothing here shows it on a CPU but the setting itself."""
    inside = []

    @contextmanager
    def watched() -> Iterator[None]:
        inside.append("in")
        yield
        inside.append("out")

    class Model:
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            inside.append("predict")
            return np.zeros((len(images), DIMENSIONS), np.float32)

    monkeypatch.setattr(module, "full_float32", watched)
    monkeypatch.setattr(module, "_model", lambda *shape: Model())
    random_features(pictures(2, 32, 32, 3))
    assert inside == ["in", "predict", "out"]


@pytest.mark.both_backends
def test_grey_is_three_equal_channels() -> None:
    grey = pictures(3, 32, 32, 1)
    np.testing.assert_allclose(random_features(grey), random_features(np.repeat(grey, 3, -1)), atol=1e-5)


def test_batches_make_no_difference() -> None:
    images = pictures(9, 32, 32, 3)
    whole = random_features(images)
    np.testing.assert_allclose(random_features(images, batch_size=4), whole, atol=1e-5)
    assert random_features(images[:0]).shape == (0, DIMENSIONS)


def test_the_weights_are_fixed_for_good() -> None:
    weights = module._weights()
    shapes = [(5, 5, 3, 32), (3, 3, 32, 64), (3, 3, 64, 96), (3, 3, 96, 128)]
    assert [kernel.shape for kernel in weights] == shapes
    np.testing.assert_allclose([kernel.ravel()[[0, 1, -1]] for kernel in weights], LITERALS, rtol=1e-6)
    for kernel in weights:
        np.testing.assert_allclose(kernel.sum((0, 1, 2)), 0, atol=1e-5)
        fan_in = np.prod(kernel.shape[:3])
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.05)


def test_training_policy_and_seed_are_left_alone() -> None:
    import keras

    images = pictures(2, 36, 36, 3)
    before = random_features(images)
    module._model.cache_clear()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(5)
        after = random_features(images)
        drawn = float(np.asarray(keras.initializers.RandomNormal()((1,)))[0])
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_array_equal(before, after)
    keras.utils.set_random_seed(5)
    assert float(np.asarray(keras.initializers.RandomNormal()((1,)))[0]) == drawn


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 64, 64, 3)),
        np.full((1, 64, 64, 3), -0.5, np.float32),
        np.full((1, 64, 64, 3), np.nan, np.float32),
        pictures(1, 64, 64, 4),
        pictures(1, 16, 64, 3),
        pictures(1, 64, 129, 1),
    ],
)
def test_refuses(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images"):
        random_features(images)
