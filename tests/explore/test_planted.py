"""Generators with a known fault, sampled as any other, and one without: what catches which."""

import keras
import numpy as np
import pytest
from keras import ops

from doggan.data.imageset import ImageSet
from doggan.evaluation.generated import Generated
from doggan.explore.autoencoder import Settings
from doggan.explore.collision import find_collisions
from doggan.explore.modes import analyse_modes
from doggan.explore.neighbors import SUSPICIOUS, find_neighbors
from doggan.explore.subject import Subject
from doggan.metrics.extractors import RandomExtractor
from doggan.metrics.memorization import nearest
from doggan.metrics.scores import compute
from doggan.sampling import sample_pictures

LATENT = 4


class Chosen(keras.layers.Layer):
    """z [B, 4] → one of the pictures it was given, in [-1, 1], each as often."""

    def __init__(self, pictures):
        super().__init__()
        self.pictures = ops.convert_to_tensor(pictures.astype("float32") / 127.5 - 1)

    def call(self, z):
        uniform = (1 + ops.erf(z[:, 0] / np.sqrt(2))) / 2
        index = ops.cast(ops.floor(uniform * len(self.pictures)), "int32")
        return ops.take(self.pictures, ops.minimum(index, len(self.pictures) - 1), axis=0)


def generator_of(pictures):
    z = keras.Input((LATENT,), name="z")
    return keras.Model(z, Chosen(pictures)(z))


def smooth(n, seed):
    """Pictures uint8 [n, 32, 32, 3] of soft blotches, no two alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 70, (n, 6, 6, 3))
    weights = np.maximum(0, 1 - np.abs(np.linspace(0, 5, 32)[:, None] - np.arange(6)))  # bilinear
    return np.clip(np.einsum("yi,xj,nijc->nyxc", weights, weights, coarse), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def training():
    return smooth(400, seed=0)


@pytest.fixture(scope="module")
def heldout():
    return smooth(200, seed=1)


@pytest.fixture(scope="module")
def samples(training):
    """200 samples each: of training pictures, of one picture, and of pictures that nobody has."""
    sets = {"copies": training, "one": smooth(1, seed=2), "healthy": smooth(4000, seed=3)}
    return {name: sample_pictures(generator_of(pictures), 200, seed=5) for name, pictures in sets.items()}


def test_the_planted_generators_do_what_they_are_meant_to(samples, training):
    assert (samples["copies"][:, None] == training[None]).all((2, 3, 4)).any(1).all()
    assert len(np.unique(samples["copies"], axis=0)) > 100
    assert len(np.unique(samples["one"], axis=0)) == 1
    assert len(np.unique(samples["healthy"], axis=0)) > 190


@pytest.mark.parametrize(("name", "caught"), [("copies", True), ("healthy", False)])
def test_neighbors_catch_copies(samples, training, heldout, name, caught):
    for found in find_neighbors(samples[name], training, heldout, measures=("l1", "l2", "random")):
        assert found.share == 1 if caught else found.share < 4 * SUSPICIOUS
        assert (np.median(found.distance) < 1e-3) == caught


@pytest.mark.parametrize(("name", "caught"), [("copies", True), ("healthy", False)])
def test_mifid_catches_copies(samples, training, name, caught):
    extractor = RandomExtractor()
    fake, true = extractor.features(samples[name]), extractor.features(training)
    scores = compute(fake, true, extractor, ("mifid",), distances=nearest(fake, true)[0])
    fid = compute(fake, true, extractor, ("fid",))["random-fid"]
    if caught:  # the distance of copies is rounding, and FID is divided by it
        assert scores["random-memorization_distance"] < 1e-6
        assert scores["random-mifid"] > 1e5 * fid
    else:
        assert scores["random-memorization_distance"] > 1e-3
        assert scores["random-mifid"] < 1e3 * fid


@pytest.mark.parametrize(("name", "caught"), [("copies", True), ("healthy", False)])
def test_collision_catches_copies(samples, training, heldout, name, caught):
    sets = (
        ImageSet(each, None, (), np.arange(len(each)).astype(str), np.zeros((len(each), 4), np.int32),
                 np.zeros(len(each), np.uint8))
        for each in (training, heldout)
    )  # fmt: skip
    found = find_collisions(Subject(name, Generated(samples[name]), *sets), Settings(epochs=6, batch_size=64))
    assert len(found.sample) == (200 if caught else 0)
    assert found.heldout == 0
    if caught:
        assert (found.rms == 0).all()


@pytest.mark.parametrize(("name", "caught"), [("one", True), ("healthy", False)])
def test_modes_catch_a_single_picture(samples, training, heldout, name, caught):
    fake, true, unseen = (RandomExtractor().features(images) for images in (samples[name], training, heldout))
    found = analyse_modes(fake, true, unseen, n_clusters=20)
    assert found.collapsed == caught
    if caught:
        assert found.verdict == "1 group holds 200 of 200 samples: collapsed"
    else:
        assert "no sign of collapse" in found.verdict
