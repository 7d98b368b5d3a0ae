"""The scores of a run: where they go, what they compare with, and that resuming stays exact."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from run_checks import arrays, assert_equal_runs, rows, stop_at

from doggan.errors import DogganError
from doggan.runs import Run, load_generator, train
from doggan.runs.build import training_images
from doggan.runs.recorder import Recorder
from doggan.runs.scores import load_scoring
from doggan.runs.stop import Stop

# One layer each, since tracing the step takes most of such a run, and only the last sheet.
QUICK = (
    *("generator.base_size=16", "generator.widths=[4]", "generator.strides=[2]"),
    *("generator.batch_norm=[true]", "generator.dropout=[0.5]"),
    *("discriminator.widths=[4]", "discriminator.strides=[2]"),
    *("discriminator.batch_norm=[true]", "discriminator.dropout=[0.2]"),
    "train.sample_every=0",
)
pytestmark = pytest.mark.usefixtures("fast")


@pytest.fixture
def fake(monkeypatch):
    """Runs with extractor "inception" get a fake one; the calls are recorded."""
    calls = []

    def load(name, path=None):
        calls.append((name, path))
        return FakeExtractor()

    monkeypatch.setattr("doggan.runs.scores.load_extractor", load)
    return calls


class Killed(BaseException):
    """The process was killed."""


@pytest.fixture
def kills(monkeypatch):
    """Step → numbers n: at each scoring of that step, the next of them is the file in whose place a kill comes.

    The files that a score writes are counted from 0; where there are fewer, it is whole.
    """
    plan = {}
    scored, put = Recorder.scored, Path.replace

    def dying(self, moment):
        numbers = plan.get(moment.step)
        fatal, count = numbers.pop(0) if numbers else None, itertools.count()

        def counted(path, target):
            if next(count) == fatal:
                raise Killed
            return put(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counted)
            scored(self, moment)

    monkeypatch.setattr(Recorder, "scored", dying)
    return plan


def test_a_run_that_is_killed_wherever_its_scores_are_written_ends_like_one_that_is_not(
    start, tiny_images, monkeypatch, kills
):
    """Inside an epoch, where it was stopped, and after its last step; and scoring changes nothing of training."""
    settings = (*QUICK, "train.epochs=2", "train.score_kimg=0.04")  # steps 0, 5, 8, and 6, where it is stopped
    plain = start("plain", *settings, "train.score_every=0", "train.score_kimg=0")
    whole, broken = start("whole", *settings), start("broken", *settings)
    train(plain, tiny_images, progress=False)
    monkeypatch.setattr(Stop, "on_train_batch_end", stop_at(6))
    train(whole, tiny_images, progress=False)
    train(Run.open(whole.folder), tiny_images, progress=False)

    # A checkpoint, or two where the best is new, then the figure, then the table.
    kills |= {5: [2], 6: [1, 3], 8: [0, 1, 2, 3]}
    ends, outcome = [], None
    while outcome is None or outcome.step < 8:
        try:
            outcome = train(Run.open(broken.folder), tiny_images, progress=False)
        except Killed:
            ends.append([(row["step"], row["random-kid"] != "") for row in rows(broken)][-2:])
    assert str(outcome) == "trained all 8 steps"
    assert kills[5] == kills[6] == []
    assert ends[0] == [("0", True), ("4", False)]
    assert ends[-1] == [("6", True), ("8", False)]

    assert_equal_runs(whole, broken)
    table = rows(whole)
    assert [(row["step"], row["epoch"], row["random-kid"] != "", row["g_loss"] != "") for row in table] == [
        ("0", "0", True, False),
        ("4", "1", False, True),
        ("5", "1", True, False),
        ("6", "1", True, False),
        ("8", "2", True, True),
    ]
    assert float(table[2]["kimg"]) == 0.04
    assert float(table[2]["g_lr"]) > 0
    trained = {int(row["step"]): float(row["random-kid"]) for row in table[1:] if row["random-kid"]}
    best = min(trained, key=trained.get)
    assert load_generator(whole, "best")[1] == best
    assert broken.checkpoints.best() == (best, trained[best])

    assert "random-kid" not in rows(plain)[0]
    assert not list(plain.folder.glob("scores.*"))
    first, second = arrays(plain), arrays(whole)
    for name in first:
        if name != "meta":  # which holds the score
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_the_metrics_asked_for_have_columns_under_the_names_of_their_extractor(
    start, tiny_images, tmp_path, fake, capsys, monkeypatch
):
    weights = tmp_path / "weights.npz"
    settings = ("train.extractor=inception", "train.metrics=['fid', 'mifid', 'prdc']", "train.epochs=1")
    run = start("run", *QUICK, *settings, weights=weights)
    train(run, tiny_images, weights=weights, progress=True)
    assert fake == [("inception", weights)] * 2  # before the run is made, and when it trains
    names = ["fid", "mifid", "memorization_distance", "precision", "recall", "density", "coverage"]
    table = rows(run)
    assert list(table[0])[-len(names) :] == names
    assert all(row[name] for row in table for name in names)
    assert run.checkpoints.best() == (4, float(table[-1]["fid"]))

    said = "fake, 16 samples against 32 training crops, distance to 32 training crops"
    assert capsys.readouterr().out.splitlines()[0] == f"scores: {said}"
    assert json.loads(run.scores.read_text()) == {
        "extractor": "fake", "samples": 16, "real": 32, "split": "training", "training": 32,
    }  # fmt: skip
    monkeypatch.setattr(FakeExtractor, "name", "other weights")
    with pytest.raises(DogganError, match=f"was scored by {said}, and would now be by other weights"):
        train(run, tiny_images, weights=weights, progress=False)
    run.scores.write_text("{}")
    with pytest.raises(DogganError, match=r"scores\.json does not say"):
        train(run, tiny_images, weights=weights, progress=False)


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
    scoring = load_scoring(config, more, training_images(config, more), 32)
    assert scoring.scorer(images[60:])["fid"] == pytest.approx(0, abs=1e-3)  # all 100 held-out ones are the real set
    assert scoring.scorer(images[:60])["memorization_distance"] == pytest.approx(0, abs=1e-6)
    assert str(scoring.comparison).endswith("against 100 held-out crops, distance to 60 training crops")
    few = replace(more, split=(np.arange(160) >= 61).astype(np.uint8))
    scoring = load_scoring(config, few, training_images(config, few), 32)
    assert scoring.scorer(images[:61])["fid"] == pytest.approx(0, abs=1e-3)
    assert "against 61 training crops" in str(scoring.comparison)


def test_without_weights_no_run_is_made_and_nothing_is_trained(start, tiny_images, tmp_path, monkeypatch):
    monkeypatch.setenv("DOGGAN_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "empty"))
    absent = tmp_path / "absent.npz"
    for options, message in (({}, "doggan download inception"), ({"weights": absent}, r"absent\.npz")):
        with pytest.raises(DogganError, match=message):
            start("run", "train.extractor=inception", **options)
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr("doggan.runs.scores.load_extractor", lambda name, path: FakeExtractor())
        run = start("run", "train.extractor=inception")
    for options, message in (({}, "doggan download inception"), ({"weights": absent}, r"absent\.npz")):
        with pytest.raises(DogganError, match=message):
            train(run, tiny_images, progress=False, **options)
    assert [path.name for path in run.folder.iterdir()] == ["config.json"]


def test_weights_that_nobody_reads_are_refused(start, tiny_images, tmp_path):
    weights = tmp_path / "weights.npz"
    with pytest.raises(DogganError, match=r"reads no weights; leave .*weights\.npz out"):
        start("run", weights=weights)
    unscored = ("train.extractor=inception", "train.score_every=0")
    with pytest.raises(DogganError, match=r"not scored, so .*weights\.npz is not read"):
        start("run", *unscored, weights=weights)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DogganError, match=r"not scored, so .*weights\.npz is not read"):
        train(start("run", *unscored), tiny_images, weights=weights, progress=False)


def test_too_few_samples_for_a_metric_are_refused_before_the_run_exists(start, tmp_path):
    with pytest.raises(DogganError, match="'prdc' needs at least 6 generated images, and there are 5"):
        start("run", "train.metrics=['kid', 'prdc']", "train.score_samples=5")
    assert not (tmp_path / "run").exists()
