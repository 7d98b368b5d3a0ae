"""When a run is saved: at epochs, after minutes, when it is stopped; never while a collapse may be beginning."""

import functools
import sys

import pytest
from run_checks import arrays, stop_at, unasked

from doggan.runs import Run, train
from doggan.runs.health import Health
from doggan.runs.recorder import Recorder
from doggan.runs.stop import Stop
from doggan.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("fast")


@pytest.fixture
def saved(monkeypatch):
    """The steps at which checkpoints are written."""
    steps = []
    save = Checkpoints.save

    def noted(self, gan, *args, **options):
        steps.append(int(gan.step))
        return save(self, gan, *args, **options)

    monkeypatch.setattr(Checkpoints, "save", noted)
    return steps


def test_after_minutes_within_epochs_and_at_their_ends_only_once(start, tiny_images, saved):
    often = start("often", "train.score_every=0", "train.epochs=2", "train.checkpoint_minutes=1e-6",
                  "train.checkpoint_every=0")  # fmt: skip
    train(often, tiny_images, progress=False)
    assert saved == list(range(9))
    saved.clear()
    never = start("never", "train.score_every=0", "train.epochs=2", "train.checkpoint_minutes=0")
    train(never, tiny_images, progress=False)
    assert saved == [0, 4, 8]


def test_not_while_suspicious_but_where_the_user_stops(start, tiny_images, saved, monkeypatch):
    run = start("run", "train.score_every=1", "train.checkpoint_minutes=1e-6")
    with monkeypatch.context() as patch:
        patch.setattr(Health, "suspicious", property(lambda self: self.step >= 3))
        patch.setattr(Stop, "on_train_batch_end", stop_at(6))
        patch.setattr(Stop, "leaves_time", unasked)
        train(run, tiny_images, progress=False)
    assert sorted(set(saved)) == [0, 1, 2, 6]
    assert "extra.health_low_steps" in arrays(run)
    assert str(train(Run.open(run.folder), tiny_images, progress=False)) == "trained all 16 steps"


def test_only_the_chief_writes(start, tiny_images, saved, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["doggan.runs.train"], "Recorder", functools.partial(Recorder, chief=False))
    run = start("run", "train.epochs=1", "train.score_every=0")
    train(run, tiny_images, progress=False)
    assert saved == []
    assert [path.name for path in run.folder.rglob("*") if path.is_file()] == ["config.json"]
    assert capsys.readouterr().out == ""
