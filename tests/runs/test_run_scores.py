"""The scores of a run: where they go, what they compare with, and that resuming stays exact."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from run_checks import arrays, assert_equal_runs, rows, stop_at, unscored

from doggan.errors import DogganError
from doggan.metrics.callback import ScoreCallback, Scorer
from doggan.runs import Run, load_generator, train
from doggan.runs.board import Board
from doggan.runs.stop import Stop

QUICK = ("train.sample_every=0",)  # drawing takes longer than training such a run


def module():
    """`doggan.runs.train`, whose name the function of that name hides."""
    return sys.modules["doggan.runs.train"]


@pytest.fixture
def fake(monkeypatch):
    """Training with extractor "inception" gets a fake one; the calls are recorded."""
    calls = []

    def load(name, path=None):
        calls.append((name, path))
        return FakeExtractor()

    monkeypatch.setattr(module(), "load_extractor", load)
    return calls


def scalars(folder):
    """(tag, step) → value of every event below a folder, as TensorFlow reads them; each is there once."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                assert (value.tag, event.step) not in found
                found[value.tag, event.step] = value.simple_value
    return found


def test_scoring_changes_nothing_of_training(start, tiny_images):
    settings = (*QUICK, "train.epochs=1", "train.score_kimg=0.01")  # after every step but one
    plain, scored = start("plain", *settings, "train.score_every=0", "train.score_kimg=0"), start("scored", *settings)
    train(plain, tiny_images, progress=False)
    train(scored, tiny_images, progress=False)
    assert "random-kid" not in rows(plain)[0]
    assert not (plain.folder / "scores.png").exists()
    first, second = arrays(plain), arrays(scored)
    for name in first:
        if name != "meta":  # which holds the score
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_scores_inside_epochs_have_rows_and_resuming_is_exact_wherever_a_scored_run_ends(
    start, tiny_images, monkeypatch
):
    settings = (*QUICK, "train.score_every=2", "train.score_kimg=0.04", "train.epochs=3")  # steps 0, 5, 8, 10, 12
    whole, broken = start("whole", *settings), start("broken", *settings)
    train(whole, tiny_images, progress=False)
    for at in (5, 6):  # one that is scored and one that is not
        with monkeypatch.context() as patch:
            patch.setattr(Stop, "on_train_batch_end", stop_at(at))
            patch.setattr(ScoreCallback, "on_train_end", unscored)
            train(Run.open(broken.folder), tiny_images, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):  # while epoch 2 is scored
            train(Run.open(broken.folder), tiny_images, progress=False)
    assert [(row["step"], row["random-kid"] != "") for row in rows(broken)][-2:] == [("5", True), ("8", False)]
    train(Run.open(broken.folder), tiny_images, progress=False)
    assert_equal_runs(whole, broken)
    table = rows(whole)
    assert [(row["step"], row["epoch"], row["random-kid"] != "", row["g_loss"] != "") for row in table] == [
        ("0", "0", True, False),
        ("4", "1", False, True),
        ("5", "1", True, False),
        ("8", "2", True, True),
        ("10", "2", True, False),
        ("12", "3", True, True),
    ]
    assert float(table[2]["kimg"]) == 0.04
    assert float(table[2]["g_lr"]) > 0
    trained = {int(row["step"]): float(row["random-kid"]) for row in table[1:] if row["random-kid"]}
    assert load_generator(whole, "best")[1] == min(trained, key=trained.get)


def test_a_run_that_dies_while_its_end_is_scored_is_scored_when_resumed(start, tiny_images, monkeypatch):
    run = start("run", *QUICK, "train.epochs=1")  # neither epoch 1 nor the last step 4 is a multiple of two epochs
    score = Scorer.__call__
    calls = []

    def once(self, pictures):
        calls.append(len(pictures))
        return score(self, pictures) if len(calls) == 1 else interrupted(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "__call__", once)
        with pytest.raises(KeyboardInterrupt):
            train(run, tiny_images, progress=False)
    assert [row["random-kid"] != "" for row in rows(run)] == [True, False]
    assert str(train(Run.open(run.folder), tiny_images, progress=False)) == "trained all 4 steps"
    assert [row["random-kid"] != "" for row in rows(run)] == [True, True]
    assert run.checkpoints.best_score() == float(rows(run)[-1]["random-kid"])


def interrupted(scorer, pictures):
    raise KeyboardInterrupt


def test_a_stop_is_saved_before_it_is_scored(start, tiny_images, monkeypatch):
    run = start("run", *QUICK)
    score, saved = Scorer.__call__, []

    def watched(self, pictures):
        saved.append([step for step, _ in run.checkpoints.saved()])
        return score(self, pictures)

    monkeypatch.setattr(Scorer, "__call__", watched)
    monkeypatch.setattr(Stop, "on_train_batch_end", stop_at(6))
    train(run, tiny_images, progress=False)
    assert saved == [[0], [4, 6]]
    assert rows(run)[-1]["step"] == "6"
    assert rows(run)[-1]["random-kid"] != ""


def test_the_metrics_asked_for_have_columns_under_the_names_of_their_extractor(start, tiny_images, tmp_path, fake):
    run = start("run", *QUICK, "train.extractor=inception", "train.metrics=['fid', 'mifid', 'prdc']", "train.epochs=1")
    train(run, tiny_images, weights=tmp_path / "weights.npz", progress=False)
    assert fake == [("inception", tmp_path / "weights.npz")]
    names = ["fid", "mifid", "memorization_distance", "precision", "recall", "density", "coverage"]
    table = rows(run)
    assert list(table[0])[-len(names) :] == names
    assert all(row[name] for row in table for name in names)
    assert run.checkpoints.best_score() == float(table[-1]["fid"])


def test_real_pictures_are_the_held_out_ones_where_there_are_enough(start, tiny_images, fake):
    """And the memorization distance is to training pictures all the same."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 32, 32, 3), dtype=np.uint8)
    more = replace(
        tiny_images,
        images=images,
        labels=np.zeros(160, np.int32),
        source_ids=np.array([str(i) for i in range(160)]),
        boxes=np.zeros((160, 4), np.int32),
        split=(np.arange(160) >= 60).astype(np.uint8),
    )
    config = start("run", "train.extractor=inception", "train.metrics=['fid', 'mifid']").config
    scorer = module()._scorer(config, more, 32, None, False)
    assert scorer(images[60:])["fid"] == pytest.approx(0, abs=1e-3)  # all 100 held-out ones are the real set
    assert scorer(images[:60])["memorization_distance"] == pytest.approx(0, abs=1e-6)
    few = replace(more, split=(np.arange(160) >= 61).astype(np.uint8))
    assert module()._scorer(config, few, 32, None, False)(images[:61])["fid"] == pytest.approx(0, abs=1e-3)


def test_without_weights_nothing_is_trained(start, tiny_images, tmp_path, monkeypatch):
    monkeypatch.setenv("DOGGAN_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "empty"))
    run = start("run", "train.extractor=inception")
    with pytest.raises(DogganError, match="doggan download inception"):
        train(run, tiny_images, progress=False)
    with pytest.raises(DogganError, match=r"absent\.npz"):
        train(run, tiny_images, weights=tmp_path / "absent.npz", progress=False)
    assert [path.name for path in run.folder.iterdir()] == ["config.json"]


def test_tensorboard_shows_the_table_once_however_often_the_run_was_stopped(start, tiny_images, monkeypatch):
    run = start("run", *QUICK, "train.tensorboard=true", "train.epochs=2")
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "on_train_batch_end", stop_at(6))
        train(run, tiny_images, progress=False)
    assert ("scores/random-kid", 6) in scalars(run.folder / "tensorboard")
    train(Run.open(run.folder), tiny_images, progress=False)
    expected = {}
    tags = {
        **dict.fromkeys(("g_loss", "d_loss"), "losses"),
        **dict.fromkeys(("d_real", "d_fake"), "discriminator"),
        **dict.fromkeys(("g_lr", "d_lr"), "rates"),
        **dict.fromkeys(("random-kid", "random-kid_standard_error"), "scores"),
    }
    for row in rows(run):
        for name, group in tags.items():
            if row[name]:
                expected[f"{group}/{name}", int(row["step"])] = float(row[name])
    assert {step for _, step in expected} == {0, 4, 6, 8}
    assert scalars(run.folder / "tensorboard") == pytest.approx(expected, rel=1e-6)


def test_what_a_killed_run_wrote_beyond_its_checkpoint_leaves_the_board(tmp_path):
    for rows_ in ([{"step": 4, "g_loss": 1.0}, {"step": 8, "g_loss": 2.0}], [{"step": 4, "g_loss": 1.0}]):
        board = Board(tmp_path, rows_)
        board.close()
    board = Board(tmp_path, [{"step": 4, "g_loss": 1.0, "random-kid": float("nan")}])
    board.write({"step": 8, "g_loss": 3.0, "g_loss_std": 1.0}, 8)
    board.close()
    assert scalars(tmp_path) == {("losses/g_loss", 4): 1.0, ("losses/g_loss", 8): 3.0}


def test_tensorboard_without_its_package_is_refused_before_the_run_exists(start, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(DogganError, match=r"pip install 'doggan\[tensorboard\]'"):
        start("run", "train.tensorboard=true")
    assert not (tmp_path / "run").exists()
