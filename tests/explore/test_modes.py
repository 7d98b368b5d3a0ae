"""Diversity: collapsed samples are called so, real pictures are not, and figures against a plain computation."""

from dataclasses import replace

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from PIL import Image

from doggan.data.classes import Classes
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.evaluation.generated import Generated, Sampled
from doggan.explore.groups import mean_distance, near_identical, nearest_other
from doggan.explore.modes import Clusters, Modes, PredictedClasses, analyse_modes, ndb
from doggan.explore.modes_of import modes_of
from doggan.explore.subject import Subject, open_subject
from doggan.plots.modes import modes_charts, modes_sheet, shown


@pytest.fixture(scope="module")
def real():
    """300 pictures 32×32 of 8×8 patches in two classes of another brightness; the last 100 are held out."""
    rng = np.random.default_rng(0)
    labels = (np.arange(300) % 2).astype(np.int32)
    patches = rng.integers(0, 156, (300, 4, 4, 3)) + 100 * labels[:, None, None, None]
    return ImageSet(
        patches.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8),
        labels,
        ("dark", "light"),
        np.array([f"photo-{i}" for i in range(300)]),
        np.zeros((300, 4), np.int32),
        (np.arange(300) >= 200).astype(np.uint8),
    )


def noisy(picture, n):
    noise = np.random.default_rng(1).integers(-1, 2, (n, *picture.shape))
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


def subject_of(real, samples):
    return Subject("samples", Generated(samples), real.training(), real.heldout())


@pytest.mark.both_backends
def test_one_repeated_picture_is_called_collapsed(real):
    found = modes_of(subject_of(real, noisy(real.images[0], 90)), FakeExtractor(), n_clusters=20)
    assert found.collapsed
    assert found.verdict == "1 group holds 90 of 90 samples: collapsed"
    assert found.distance[0] < 0.05 * found.distance[1]
    assert found.clusters.hit[0] == 1
    assert found.clusters.ndb[0] > found.clusters.ndb[1] + 5
    assert found.heldout_groups.grouped == 0
    assert found.classes is not None
    np.testing.assert_array_equal(found.classes.samples, [1, 0])


def test_ten_repeated_pictures_are_called_collapsed_too(real):
    samples = np.concatenate([noisy(picture, 9) for picture in real.images[:10]])
    found = modes_of(subject_of(real, samples), FakeExtractor(), n_clusters=20)
    assert found.verdict == "10 groups hold 90 of 90 samples: collapsed"
    np.testing.assert_array_equal(found.groups.sizes, 9)
    np.testing.assert_array_equal(np.bincount(found.groups.label), 9)


@pytest.mark.both_backends
def test_held_out_real_pictures_are_not_called_collapsed(real):
    found = modes_of(subject_of(real, real.heldout().images), FakeExtractor(), n_clusters=20)
    assert not found.collapsed
    assert "no sign of collapse" in found.verdict
    assert found.distance[0] == found.distance[1]
    np.testing.assert_array_equal(found.clusters.samples, found.clusters.heldout)
    assert found.clusters.hit[1] >= 12
    assert found.classes is not None
    assert found.classes.accuracy > 0.9
    assert found.classes.believable
    assert found.classes.distance[0] < 0.1


def test_without_held_out_pictures_a_part_of_the_training_ones_takes_their_place(real):
    data = replace(real, split=np.zeros(300, np.uint8))
    found = modes_of(subject_of(data, real.images[:80]), FakeExtractor(), n_clusters=20)
    assert (found.n_samples, found.n_heldout, found.clusters.training.sum()) == (80, 60, 240)


def test_classes_that_a_run_was_told_are_compared(real, tmp_path, monkeypatch):
    labels = real.heldout().labels

    class Told:
        classes = Classes(real.class_names, (100, 100))

        def draw_classes(self, n, seed):
            assert (n, seed) == (100, 3)
            return labels

    monkeypatch.setattr("doggan.runs.Run.open", lambda folder: Told())
    subject = subject_of(real, real.heldout().images)
    subject = replace(subject, generated=replace(subject.generated, sampled=Sampled("best", 1, 3, "averaged weights")))
    found = modes_of(subject, FakeExtractor(), source=tmp_path, n_clusters=20, seed=3)
    assert found.classes is not None
    assert found.classes.as_asked == found.classes.accuracy
    assert "predicted as the class asked for" in str(found)


def test_groups_are_connected_components_in_blocks(monkeypatch):
    rng = np.random.default_rng(2)
    chain = np.stack([np.arange(6) * 0.9, np.zeros(6)], axis=1)  # each is near the next one only
    far = np.stack([100 + 10 * np.arange(5), np.zeros(5)], axis=1)
    rows = np.concatenate([chain, far, far[:1] + 0.5, far[:1] + 0.2]).astype(np.float32)
    order = rng.permutation(len(rows))
    for size in (1, 2, 5, 512):
        monkeypatch.setattr("doggan.explore.groups._ROWS", size)
        groups = near_identical(rows[order], 1.0)
        assert groups.sizes.tolist() == [6, 3]
        assert set(order[groups.label == 0]) == set(range(6))
        assert set(order[groups.label == 1]) == {6, 11, 12}
        assert (groups.grouped, groups.largest, len(groups)) == (9, 6, 2)
    assert near_identical(far.astype(np.float32), 1.0).largest == 0


def test_distances_are_those_of_all_pairs():
    rows = np.random.default_rng(0).standard_normal((60, 7)).astype(np.float32)
    everything = np.linalg.norm(rows[:, None].astype(float) - rows, axis=2)
    np.fill_diagonal(everything, np.nan)
    np.testing.assert_allclose(nearest_other(rows), np.nanmin(everything, axis=1), rtol=1e-6)
    assert mean_distance(rows) == pytest.approx(np.nanmean(everything), rel=0.01)


def test_ndb_counts_bins_that_differ_significantly():
    # Bin 0: 0.5 against 0.6 with pooled variance 0.55 · 0.45 · (1/100 + 1/100): z = 1.42; with ten times as many, 4.5.
    reference, counts = np.array([50, 25, 25]), np.array([60, 20, 20])
    assert ndb(reference, counts) == 0
    assert ndb(10 * reference, 10 * counts) == 3
    assert ndb(np.array([100, 100, 0]), np.array([0, 100, 0])) == 2
    assert ndb(reference, reference) == 0


def verdicts():
    full = np.full(10, 10)
    few = np.array([50, 50, *[0] * 8])
    skewed = np.array([*[23] * 4, 1, 1, 2, 2, 1, 1])
    none, some = near_identical(np.eye(2, dtype=np.float32), 0.1), near_identical(np.zeros((20, 1), np.float32), 0.1)
    return [(few, none, "modes are missing"), (full, some, "some are repeated"), (skewed, none, "unbalanced"),
            (full, none, "no sign of collapse")]  # fmt: skip


@pytest.mark.parametrize(("samples", "groups", "verdict"), verdicts())
def test_the_verdict_says_what_is_worst(samples, groups, verdict):
    none = near_identical(np.eye(2, dtype=np.float32), 0.1)
    clusters = Clusters(np.full(10, 1000), samples, np.full(10, 10))
    found = Modes((1.0, 1.0), 0.1, groups, none, 100, 100, clusters, None, "fake")
    assert not found.collapsed
    assert verdict in found.verdict


def test_an_accuracy_near_guessing_is_not_to_be_believed():
    half = np.array([0.5, 0.5])
    for accuracy, chance, believable in ((0.9, 0.5, True), (0.55, 0.5, False), (0.3, 0.01, False)):
        classes = PredictedClasses(("a", "b"), accuracy, chance, half, half, half)
        assert classes.believable is believable
        assert ("too low to believe" in str(classes)) is not believable


def test_too_few_pictures_are_one_sentence():
    rows = np.zeros((5, 3), np.float32)
    with pytest.raises(DogganError, match="5 samples, 5 training and 5 held-out pictures are too few"):
        analyse_modes(rows, rows, rows)


def test_the_sheet_shows_the_largest_groups_first(tmp_path):
    rows = np.repeat(np.arange(40.0), [30, 10, *[1] * 38])[:, None].astype(np.float32)
    groups = near_identical(rows, 0.1)
    chosen = shown(groups, n=20)
    assert [groups.label[i] for i in chosen[:6]] == [0] * 6
    assert len(set(chosen.tolist())) == len(chosen) == 20
    samples = np.random.default_rng(0).integers(0, 256, (len(rows), 16, 16, 1)).astype(np.uint8)
    for name in "ab":
        modes_sheet(tmp_path / name, samples, groups, chosen, "a$b$", "said")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_charts_with_and_without_classes(tmp_path, real):
    found = modes_of(subject_of(real, real.heldout().images), FakeExtractor(), n_clusters=20)
    many = np.full(60, 1 / 60)
    names = tuple(f"n02113624-a_long_name_of_a_breed_{i}" for i in range(60))
    sizes = []
    for classes in (None, PredictedClasses(names, 0.1, 0.02, many, many, many)):
        modes_charts(tmp_path / "c.png", replace(found, classes=classes), "title")
        with Image.open(tmp_path / "c.png") as picture:
            sizes.append(picture.height)
            pixels = np.asarray(picture.convert("RGB"))
        assert all((margin == 255).all() for margin in (pixels[:1], pixels[-1:], pixels[:, :1], pixels[:, -1:]))
    assert sizes[0] < sizes[1]


def test_the_command_says_the_verdict_and_draws(doggan, tmp_path, real):
    real.save(tmp_path / "real.npz")
    np.savez(tmp_path / "one.npz", images=noisy(real.images[0], 12))
    out_paths = ("-o", tmp_path / "m.png", "--charts", tmp_path / "c.png")
    command = ("explore", "modes", tmp_path / "one.npz", "--real", tmp_path / "real.npz", "-q", *out_paths)
    status, out, err = doggan(*command, "--extractor", "random", "--real-count", 40, "--clusters", 8)
    assert (status, err) == (0, "")
    assert "verdict: 1 group holds 12 of 12 samples: collapsed" in out
    assert "by random-conv" in out
    for path in (tmp_path / "m.png", tmp_path / "c.png"):
        with Image.open(path) as picture:
            assert picture.width > 1000
    status, out, err = doggan("explore", "modes", tmp_path / "one.npz", *out_paths)
    assert (status, out) == (2, "")
    assert "name the .npz of real pictures by --real" in err


def test_a_subject_of_an_npz_has_no_classes_asked_for(tmp_path, real):
    real.save(tmp_path / "real.npz")
    np.savez(tmp_path / "s.npz", images=real.heldout().images)
    subject = open_subject(tmp_path / "s.npz", tmp_path / "real.npz", count=2)
    found = modes_of(subject, FakeExtractor(), source=tmp_path / "s.npz", n_clusters=20)
    assert found.classes is not None
    assert found.classes.as_asked is None
