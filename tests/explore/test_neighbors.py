import csv

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from PIL import Image

from doggan.cache import Cache
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.explore import neighbors as module
from doggan.explore.neighbors import find_neighbors, shown
from doggan.metrics import extractors


@pytest.fixture(autouse=True)
def fake_random(monkeypatch):
    monkeypatch.setitem(extractors.EXTRACTORS, "random", lambda *args: FakeExtractor())


@pytest.fixture(scope="module")
def pictures():
    """Pictures [150, 16, 16, 3], each of four colours, which are all unlike: 100 to learn from and 50 held out."""
    colours = np.random.default_rng(0).integers(0, 256, (150, 2, 2, 3))
    return colours.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def test_figures_by_hand(pictures):
    training, heldout = pictures[:100], pictures[100:]
    samples = training[[5, 5, 9, 40]].copy()
    samples[1, 0, 0] = samples[1, 0, 0] ^ 1  # one level in each of three channels of one pixel
    samples[3] = 128
    found = {each.measure: each for each in find_neighbors(samples, training, heldout, measures=("l1", "l2", "random"))}
    assert list(found) == ["l1", "l2", "random"]
    for each in found.values():
        np.testing.assert_array_equal(each.index[:3], [5, 5, 9])
        assert each.heldout.shape == (50,)
        assert each.threshold == np.quantile(each.heldout, 0.01)
        assert each.share == 0.75
        assert "75.0% of samples are nearer" in str(each)
    np.testing.assert_allclose(found["l1"].distance[:3], [0, 3 / 768, 0], atol=1e-12)
    np.testing.assert_allclose(found["l2"].distance[:3], [0, np.sqrt(3 / 768), 0], atol=1e-12)
    differences = heldout[:, None].astype(float) - training[None]
    np.testing.assert_allclose(found["l1"].heldout, np.abs(differences).mean((2, 3, 4)).min(1))
    rows = [FakeExtractor().features(images).astype(float) for images in (samples, training)]
    fake, true = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in rows)
    np.testing.assert_allclose(found["random"].distance, (1 - fake @ true.T).min(1), atol=1e-7)


def test_without_held_out_pictures_nothing_is_suspicious(pictures):
    (found,) = find_neighbors(pictures[:3], pictures[:100], pictures[:0], measures=("l1",))
    assert found.heldout is None
    assert np.isnan(found.threshold)
    assert "suspicious" not in str(found)


def test_what_was_computed_is_not_computed_again(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 20)
    asked = []
    compute = module.nearest_pixels
    monkeypatch.setattr(module, "nearest_pixels", lambda a, b, norm: asked.append(len(a)) or compute(a, b, norm))
    training, samples, cache = pictures[:100], pictures[100:], Cache(tmp_path)
    first = find_neighbors(samples, training, measures=("l1",), cache=cache)
    changed = samples.copy()
    changed[25] = 3
    find_neighbors(changed, training, measures=("l1",), cache=cache)
    again = find_neighbors(samples, training, measures=("l1",), cache=cache)
    assert asked == [20, 20, 10, 20]
    np.testing.assert_array_equal(first[0].distance, again[0].distance)
    find_neighbors(samples, training[1:], measures=("l1",), cache=cache)
    assert asked[4:] == [20, 20, 10]


def test_half_of_what_is_shown_is_nearest_and_half_spread(pictures):
    (found,) = find_neighbors(pictures[100:], pictures[:100], measures=("l2",))
    order = np.argsort(found.distance, kind="stable")
    np.testing.assert_array_equal(shown(found, 7), [*order[:4], order[4], order[26], order[49]])
    assert len(shown(found, 400)) == 50


@pytest.mark.parametrize("measures", [("l1", "l1"), ("l3",)])
def test_measures_that_are_not_there(pictures, measures):
    with pytest.raises(DogganError, match="Give each measure once, of l1, l2, inception"):
        find_neighbors(pictures[:2], pictures[2:4], measures=measures)


@pytest.fixture
def sets(pictures, tmp_path):
    ImageSet(
        images=pictures,
        labels=None,
        class_names=(),
        source_ids=np.array([f"photo-{i}" for i in range(150)]),
        boxes=np.zeros((150, 4), np.int32),
        split=(np.arange(150) >= 100).astype(np.uint8),
    ).save(tmp_path / "real.npz")
    np.savez(tmp_path / "copies.npz", images=pictures[[3, 99, 42]])
    return tmp_path


def test_the_command_shows_copies_and_names_their_sources(doggan, sets):
    status, out, err = doggan(
        "explore", "neighbors", sets / "copies.npz", "--real", sets / "real.npz", "--measures", "random,l1",
        "-o", sets / "n.png", "--csv", sets / "n.csv", "-q",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert out.count("100.0% of samples are nearer") == 2
    assert out.endswith(f"3 samples, 100 training pictures: {sets / 'n.png'}\n")
    rows = list(csv.DictReader((sets / "n.csv").open()))
    assert [row["source_id"] for row in rows] == ["photo-3", "photo-99", "photo-42"] * 2
    assert {row["suspicious"] for row in rows} == {"1"}
    with Image.open(sets / "n.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert all((margin == 255).all() for margin in (pixels[:8], pixels[-4:], pixels[:, :8], pixels[:, -4:]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name the .npz of real pictures by --real"),
        (("--real", "absent.npz"), "absent.npz does not exist"),
        (("--measures", "l1,l4"), "Give each measure once"),
        (("--measures", "random,l1", "--weights", "w.npz"), "w.npz is of one network, and the measures name none"),
    ],
)
def test_a_mistake_is_one_sentence(doggan, sets, options, message):
    real = () if "--real" in options or not options else ("--real", sets / "real.npz")
    status, out, err = doggan("explore", "neighbors", sets / "copies.npz", "-o", sets / "n.png", "-q", *real, *options)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (sets / "n.png").exists()
