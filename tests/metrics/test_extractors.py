import numpy as np
import pytest

from doggan.errors import DogganError
from doggan.metrics import random_features as random_features_module
from doggan.metrics.extractors import EXTRACTORS, RandomExtractor, load_extractor, load_unrounded
from doggan.metrics.pace import Pace
from doggan.metrics.random_features import DIMENSIONS, random_features


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


def test_random_is_random_features(images: np.ndarray) -> None:
    extractor = load_extractor("random")
    features = extractor.features(images)
    np.testing.assert_array_equal(features, random_features(images))
    assert features.shape == (7, extractor.dimensions) == (7, DIMENSIONS)
    assert (extractor.prefix, extractor.epsilon, extractor.has_weights) == ("random-", 0.1, False)


@pytest.mark.parametrize(("name", "value"), [("_SEED", 1), ("_GAIN", 7.0), ("_STRIDE", 1), ("_OFFSET", 1e-7)])
def test_randoms_identity_follows_its_weights_and_constants(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    before = RandomExtractor().identity
    assert RandomExtractor().identity == before
    monkeypatch.setattr(random_features_module, name, value)
    assert RandomExtractor().identity != before


def test_random_counts_its_images(images: np.ndarray) -> None:
    with Pace(7, "test") as pace:
        features = RandomExtractor().features(images, batch_size=3, pace=pace)
    assert pace.done == 7
    np.testing.assert_allclose(features, random_features(images), atol=1e-5)


def test_pictures_that_are_not_rounded_suit_some() -> None:
    assert load_unrounded("random").name == "random-conv"
    with pytest.raises(DogganError, match="suit the extractors inception and random, not nasnet"):
        load_unrounded("nasnet")


def test_no_images(images: np.ndarray) -> None:
    assert RandomExtractor().features(images[:0]).shape == (0, DIMENSIONS)


@pytest.mark.parametrize("side", [28, 160])
def test_random_refuses_other_sizes_in_a_sentence(side: int) -> None:
    with pytest.raises(DogganError, match=f"32 to 128 pixels and these are {side}×40"):
        RandomExtractor().features(np.zeros((2, 40, side, 3), np.uint8))


def test_the_registry_answers_mistakes() -> None:
    assert list(EXTRACTORS) == ["inception", "random", "nasnet", "vgg19"]
    with pytest.raises(DogganError, match="no extractor 'vgg'; choose one of inception, random, nasnet"):
        load_extractor("vgg")
    with pytest.raises(DogganError, match="no precision 'float16'"):
        load_extractor("random", precision="float16")
    with pytest.raises(DogganError, match="for the extractor inception, not for random"):
        load_extractor("random", precision="bfloat16")
    with pytest.raises(DogganError, match="for the extractor inception, not for nasnet"):
        load_extractor("nasnet", xla=True)
    with pytest.raises(DogganError, match=r"leave w\.npz out"):
        load_extractor("random", "w.npz")
    with pytest.raises(DogganError, match=r"absent\.npz does not exist"):
        load_extractor("inception", "absent.npz")
