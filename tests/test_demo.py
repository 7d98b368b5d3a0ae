"""The demo: that everything it promises is there, and that its recipe learns dogs."""

import csv

import pytest

from doggan.demo import demo
from doggan.errors import Interrupted
from doggan.runs.stop import Stop
from doggan.submission import check_submission


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The demo as a user runs it, but for fewer pictures in the zip and a third of its epochs."""
    return demo(tmp_path_factory.mktemp("demo") / "out", overrides=("train.epochs=20",), count=500, progress=False)


def test_everything_it_names_exists(result):
    text = str(result)
    for path in (
        result.photographs,
        result.data,
        result.crops,
        result.run,
        result.sheet,
        result.comparison,
        result.losses,
        result.scores,
        result.gif,
        result.submission,
    ):
        assert path.exists()
        assert str(path) in text
    assert check_submission(result.submission, 500)


def test_the_network_learned(result):
    """The distance to dogs it never saw falls below a quarter, and its pictures do not collapse."""
    assert result.learned.kid < result.learned.kid_untrained / 4
    assert result.learned.spread > 0.5


def test_learning_is_gradual(result):
    with (result.run / "metrics.csv").open() as file:
        scores = [float(row["random-kid"]) for row in csv.DictReader(file) if row["random-kid"]]
    assert scores[0] > scores[1] > scores[-1]


def test_ctrl_c_ends_the_demo_and_not_only_its_training(tmp_path, monkeypatch):
    monkeypatch.setattr(Stop, "on_train_begin", lambda self, logs=None: self.ask("SIGTERM"))
    with pytest.raises(Interrupted, match="SIGTERM"):
        demo(tmp_path / "out", overrides=("train.score_every=0",), photographs=60, progress=False)
    assert not (tmp_path / "out" / "images.zip").exists()


@pytest.mark.slow
def test_the_demo_as_it_is_ends_within_five_minutes(tmp_path):
    """On two free cores; the only test that looks at the clock."""
    result = demo(tmp_path / "out", progress=False)
    assert check_submission(result.submission)
    assert result.learned.kid < result.learned.kid_untrained / 4
    assert result.learned.spread > 0.5
    assert result.seconds < 300
