import csv

import keras
import numpy as np
import pytest
from keras import ops

from doggan import plots
from doggan.cache import Cache
from doggan.data.imageset import ImageSet
from doggan.explore import overfit as module
from doggan.explore.overfit import Verdict, find_overfit, logits
from doggan.recipes import load_recipe
from doggan.runs import Run, start_run, train


def test_figures_by_hand():
    train_, heldout = np.array([1, 2, 3], np.float32), np.array([0, 2], np.float32)
    verdict = Verdict.of(7, 1.5, train_, heldout, np.array([-1, -3], np.float32), 0.25)
    assert (verdict.train, verdict.heldout, verdict.fake, verdict.gap) == (2, 1, -2, 1)
    # Variances 1 and 2 of three and two: √(1/3 + 2/2).
    assert verdict.gap_error == pytest.approx(1.959964 * np.sqrt(4 / 3))
    # Of six pairs (1, 0), (2, 0), (3, 0) and (3, 2) are right, (2, 2) is a tie and (1, 2) is wrong.
    assert verdict.auc == pytest.approx(4.5 / 6)


def remembering(pictures):
    """D(x) = 1 − 100 · the least mean square difference from pictures that it remembers."""
    x = keras.Input(pictures.shape[1:])
    known = ops.convert_to_tensor(pictures.astype("float32").reshape(1, len(pictures), -1) / 127.5 - 1)
    squares = ops.mean(ops.square(keras.layers.Reshape((1, -1))(x) - known), axis=-1)
    return keras.Model(x, 1 - 100 * ops.min(squares, axis=-1, keepdims=True))


@pytest.mark.both_backends
def test_a_discriminator_that_remembers_is_found_and_an_honest_one_is_not():
    pictures = np.random.default_rng(0).integers(0, 256, (230, 8, 8, 3)).astype(np.uint8)
    told, unseen = pictures[:120], pictures[120:]
    of_both = logits(remembering(told), told), logits(remembering(told), unseen)
    caught = Verdict.of(0, 0, *of_both, of_both[1], 0)
    np.testing.assert_allclose(of_both[0], 1, atol=1e-4)
    assert caught.auc == 1
    assert caught.gap > 10 * caught.gap_error
    honest = remembering(np.full((1, 8, 8, 3), 128, np.uint8))
    verdict = Verdict.of(0, 0, logits(honest, told), logits(honest, unseen), of_both[1], 0)
    assert abs(verdict.auc - 0.5) < 0.1
    assert abs(verdict.gap) < verdict.gap_error * 1.5


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_toml):
    """A conditional run of two epochs with all its checkpoints, on 32 pictures beside 16 held-out ones."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(1)
    images = ImageSet(
        images=rng.integers(0, 256, (48, 32, 32, 3)).astype(np.uint8),
        labels=(np.arange(48) % 2).astype(np.int32),
        class_names=("dark", "light"),
        source_ids=np.array([f"photo-{i}" for i in range(48)]),
        boxes=np.zeros((48, 4), np.int32),
        split=(np.arange(48) >= 32).astype(np.uint8),
    )
    images.save(folder / "tiny.npz")
    settings = ("train.epochs=2", "train.score_every=0", "train.keep=9", "generator.condition=one_hot",
                "discriminator.condition=projection")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for figure in ("epoch_losses", "all_losses", "all_verdicts"):  # take longer than training
            patch.setattr(plots, figure, lambda *args: None)
        run = start_run(folder / "run", load_recipe(str(tiny_toml), settings), images, folder / "tiny.npz")
        train(run, images, progress=False)
    return folder


def test_every_checkpoint_is_asked_once(runs, tmp_path, monkeypatch):
    asked = []
    compute = module._examined
    monkeypatch.setattr(module, "_examined", lambda *args: asked.append(1) or compute(*args))
    run = Run.open(runs / "run")
    first = find_overfit(run, n=20, cache=Cache(tmp_path))
    assert [verdict.step for verdict in first.verdicts] == [0, 4, 8]
    assert [verdict.epoch for verdict in first.verdicts] == [0, 1, 2]
    assert first.n == (20, 16, 20)
    assert len({verdict.train for verdict in first.verdicts}) == 3
    assert find_overfit(run, n=20, cache=Cache(tmp_path)) == first
    assert len(asked) == 3


def test_the_command_draws_says_and_leaves_out_what_is_damaged(doggan, runs, tmp_path):
    path = dict(Run.open(runs / "run").checkpoints.saved())[4]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        options = ("-o", tmp_path / "o.png", "--csv", tmp_path / "o.csv", "--n", 20, "-q", "--no-cache")
        status, out, err = doggan("explore", "overfit", runs / "run", *options)
    finally:
        path.write_bytes(whole)
    assert (status, err) == (0, "")
    assert f"left out, for it is damaged: {path}" in out
    assert "--set train.keep=100" in out
    assert (tmp_path / "o.png").stat().st_size > 10_000
    rows = list(csv.DictReader((tmp_path / "o.csv").open()))
    assert [row["step"] for row in rows] == ["0", "8"]
    assert float(rows[1]["gap"]) == pytest.approx(float(rows[1]["train"]) - float(rows[1]["heldout"]), abs=1e-4)


def test_a_mistake_is_one_sentence(doggan, runs, tmp_path):
    images = ImageSet.load(runs / "tiny.npz")
    images.training().save(tmp_path / "without.npz")
    images.select(slice(1, None)).save(tmp_path / "other.npz")
    for options, message in (
        (("--real", tmp_path / "without.npz"), "prepare with --holdout"),
        (("--real", tmp_path / "other.npz"), "other pictures"),
        (("--real", tmp_path / "absent.npz"), "does not exist"),
    ):
        status, out, err = doggan("explore", "overfit", runs / "run", "-o", tmp_path / "o.png", "-q", *options)
        assert (status, out) == (2, "")
        assert message in err
        assert len(err.splitlines()) == 1
