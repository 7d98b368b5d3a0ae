"""Near-duplicates by hashes: planted copies are found and nothing else, and training resumes exactly."""

import csv

import numpy as np
import pytest

from doggan.cache import Cache
from doggan.data.imageset import ImageSet
from doggan.explore import autoencoder
from doggan.explore.autoencoder import BITS, Settings, shrunk, train_hasher
from doggan.explore.collision import Duplicates, Hashes, deduplicated, find_collisions, find_duplicates, rms_distances
from doggan.explore.subject import open_subject
from doggan.plots.collision import Pair, collision_figure

QUICK = Settings(epochs=10, batch_size=64, learning_rate=5e-3)
N = 200


@pytest.fixture(scope="module")
def pictures():
    """200 unrelated pictures of 8×8 patches of random colour, uint8 [200, 32, 32, 3]."""
    patches = np.random.default_rng(0).integers(8, 248, (N, 4, 4, 3))
    return patches.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def image_set(images, heldout=0):
    n = len(images)
    return ImageSet(
        images,
        None,
        (),
        np.array([f"photo-{i}" for i in range(n)]),
        np.zeros((n, 4), np.int32),
        (np.arange(n) >= n - heldout).astype(np.uint8),
    )


@pytest.mark.both_backends
def test_planted_copies_are_found_and_nothing_else(pictures):
    noise = np.random.default_rng(1).integers(-1, 2, (100, *pictures.shape[1:]))
    planted = np.concatenate([pictures, pictures[:20], pictures[20:120] + noise, pictures[120:160] + 1.0])
    found = find_duplicates(planted.astype(np.uint8), QUICK)
    copies = np.flatnonzero(found.repeats)
    assert (copies >= N).all()  # no unrelated pair
    for i in copies:
        assert found.members(found.group[i]).tolist() == [i - N, i]
    exact, near, bright = (each.mean() for each in np.split(found.repeats[N:], [20, 120]))
    assert exact == 1
    assert near >= 0.75  # about 0.86 to 0.9 after this little training; 0.95 on crops of dogs
    assert bright >= 0.95
    assert found.rms[found.repeats].max() <= 1
    assert np.isnan(found.rms[found.group < 0]).all()
    assert found.hashes.alive > 100
    assert 0 <= found.hashes.nearest < 64  # some of the pairs drawn are copies
    assert found.hashes.doubtful > 20


@pytest.mark.both_backends
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, pictures, monkeypatch):
    small, settings = shrunk(pictures), Settings(epochs=3, batch_size=64)
    whole = train_hasher(small, settings).codes(small)
    cache, done = Cache(tmp_path), []
    train_epoch = autoencoder._train_epoch

    def interrupted(network, small, mean, settings, epoch):
        if len(done) == 2:
            done.append(None)
            raise KeyboardInterrupt
        done.append(epoch)
        train_epoch(network, small, mean, settings, epoch)

    monkeypatch.setattr(autoencoder, "_train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_hasher(small, settings, cache)
    np.testing.assert_array_equal(train_hasher(small, settings, cache).codes(small), whole)
    np.testing.assert_array_equal(train_hasher(small, settings, cache).codes(small), whole)
    assert done == [0, 1, None, 2]


@pytest.mark.parametrize("shape", [(64, 64, 3), (40, 64, 3), (28, 28, 1), (32, 32, 1)])
def test_pictures_are_shrunk_to_their_centre_in_three_channels(shape):
    images = np.full((2, *shape), 9, np.uint8)
    if shape[1] > shape[0]:
        images[:, :, :12] = images[:, :, -12:] = 200  # beside the centre square
    small = shrunk(images)
    assert (small.dtype, small.shape) == (np.uint8, (2, 3072))
    assert (small == 9).all()


class Constant:
    """A hasher whose codes are given."""

    def __init__(self, bits):
        self.given = bits

    def bits(self, small):
        return self.given[small[:, 0]]


def test_pictures_without_an_active_bit_are_no_duplicates(monkeypatch):
    bits = np.zeros((4, BITS), bool)
    bits[2:, 0] = True
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    monkeypatch.setattr("doggan.explore.collision.train_hasher", lambda *args: Constant(bits))
    found = find_duplicates(images)
    np.testing.assert_array_equal(found.group, [-1, -1, 0, 0])
    assert (found.hashes.alive, found.hashes.empty, found.hashes.entropy) == (1, 0.5, 1.0)
    assert "50.0% of the pictures activate no bit" in str(found.hashes)
    monkeypatch.setattr("doggan.explore.collision.train_hasher", lambda *args: Constant(bits[:2][[0, 0, 0, 1]]))
    with pytest.raises(Exception, match="All pictures have the same hash"):
        find_duplicates(images)


def test_the_first_of_a_group_and_all_held_out_pictures_stay(pictures):
    data = image_set(pictures[:6], heldout=2)
    hashes = Hashes(BITS, 100.0, 9, 0.0, 50.0)
    found = Duplicates(hashes, np.array([0, -1, 0, 0]), np.array([0, np.nan, 3, 70.0]))
    assert list(deduplicated(data, found).source_ids) == ["photo-0", "photo-1", "photo-4", "photo-5"]
    assert "1 group of equal hashes; 2 of 4 pictures" in str(found)
    assert "1 beyond 50.0 and so doubtful" in str(found)


def test_rms_is_in_grey_levels_and_grey_pictures_compare_with_coloured_ones():
    black, grey = np.zeros((2, 8, 8, 3), np.uint8), np.array([10, 30], np.uint8)[:, None, None, None]
    others = np.broadcast_to(grey, (2, 8, 8, 1))
    np.testing.assert_allclose(rms_distances(black, others, np.array([1, 0])), [30, 10])


def test_samples_that_are_copies_collide_and_held_out_pictures_do_not(tmp_path, pictures, monkeypatch):
    image_set(pictures, heldout=50).save(tmp_path / "real.npz")
    np.savez(tmp_path / "samples.npz", images=np.concatenate([pictures[[7, 7, 3]], pictures[150:160]]))
    subject = open_subject(tmp_path / "samples.npz", tmp_path / "real.npz", count=2)
    found = find_collisions(subject, QUICK)
    np.testing.assert_array_equal(found.sample, [0, 1, 2])
    np.testing.assert_array_equal(found.training, [7, 7, 3])
    np.testing.assert_array_equal(found.rms, 0)
    assert (found.n_samples, found.n_heldout, found.heldout, found.most_used) == (13, 50, 0, (7, 2))
    assert "3 of 13 samples (23.08%)" in str(found)
    assert "0 of 50 held-out pictures (0.00%) do" in str(found)


def test_the_command_writes_a_sheet_a_table_and_the_set_without_repeats(doggan, tmp_path, pictures):
    image_set(np.concatenate([pictures, pictures[:3]])).save(tmp_path / "real.npz")
    sheet, table, kept = tmp_path / "c.png", tmp_path / "c.csv", tmp_path / "kept.npz"
    command = ("explore", "collision", "--real", tmp_path / "real.npz", "-o", sheet, "--csv", table, "-q")
    status, out, err = doggan(*command, "--deduplicated", kept)
    assert (status, err) == (0, "")
    assert out.startswith("3 groups of equal hashes; 3 of 203 pictures")
    assert "bits alive" in out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["source_id"] for row in rows] == [f"photo-{i}" for i in (0, 200, 1, 201, 2, 202)]
    assert {row["rms"] for row in rows} == {"0.00"}
    assert len(ImageSet.load(kept)) == N
    assert sheet.stat().st_size > 1000
    np.savez(tmp_path / "s.npz", images=pictures[:4])
    status, out, err = doggan("explore", "collision", tmp_path / "s.npz", *command[2:])
    assert (status, err) == (0, "")
    assert "4 of 4 samples (100.00%)" in out
    assert "no held-out pictures" in out
    assert len(table.read_text().splitlines()) == 5


def test_a_mistake_is_one_sentence(doggan, tmp_path):
    for options, message in (
        ((), "There is nothing to compare"),
        ((tmp_path, "--deduplicated", "x.npz"), "leave out the SOURCE"),
        (("--real", tmp_path / "x.npz"), "does not exist"),
        ((tmp_path,), "is not a run, so name the .npz"),
    ):
        status, out, err = doggan("explore", "collision", *options)
        assert (status, out) == (2, "")
        assert message in err
        assert len(err.splitlines()) == 1


def test_the_same_pairs_give_the_same_sheet(tmp_path, pictures):
    pairs = [Pair(pictures[0], pictures[1], 70.0, "a$b$ " * 30), Pair(pictures[2], pictures[2], 0.0, "same")]
    for name in "ab":
        collision_figure(tmp_path / name, pairs, 50.0, "title", "said", "left, right")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="no pairs"):
        collision_figure(tmp_path / "c", [], 50.0, "title", "said", "left, right")
