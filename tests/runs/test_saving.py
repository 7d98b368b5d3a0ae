"""When a run is saved: at epochs, after minutes, when it is stopped; never while a collapse may be beginning."""

import pytest
from run_checks import arrays, stop_at, unasked

from doggan.metrics.callback import Scorer
from doggan.runs import Run, train
from doggan.runs.health import Health
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


def test_ends_of_epochs_that_are_not_to_be_kept_push_out_none_that_are(start, tiny_images, monkeypatch):
    """Epochs of four steps, of which every third's checkpoint is kept, and samples differed when last looked at."""
    monkeypatch.setattr(Health, "on_train_batch_end", see_samples_differ(Health.on_train_batch_end))
    run = start("run", "train.score_every=0", "train.checkpoint_minutes=1e-6", "train.checkpoint_every=3",
                "train.epochs=5", "train.keep=2")  # fmt: skip
    monkeypatch.setattr(Stop, "on_train_batch_end", stop_at(16))
    train(run, tiny_images, progress=False)
    assert [path.name for _, path in run.checkpoints.saved()] == [
        "step-00000000.npz", "step-00000012.npz", "step-00000016-within.npz",
    ]  # fmt: skip


def see_samples_differ(see):
    def on_train_batch_end(self, batch, logs=None):
        see(self, batch, logs)
        self.varied_at = self.step

    return on_train_batch_end


def test_the_state_before_the_last_look_at_samples_is_kept(start, tiny_images, monkeypatch):
    """They are looked at every 6 steps, of epochs of 4."""
    monkeypatch.setattr("doggan.runs.health.LOOK_EVERY", 6)
    monkeypatch.setattr("doggan.runs.health.UNIFORM", 0.0)
    run = start("run", "train.score_every=0", "train.keep=1")
    train(run, tiny_images, progress=False)
    assert [step for step, _ in run.checkpoints.saved()] == [12, 16]


def test_the_best_is_what_best_npz_holds(start, tiny_images, monkeypatch, capsys):
    """Also where nothing else was saved; and once it is gone, the next is."""
    scores = iter([9.0, 0.5, 0.7, 0.6])  # untrained, and epochs 1 to 3
    monkeypatch.setattr(Scorer, "__call__", lambda self, pictures: {"random-kid": next(scores)})
    run = start("run", "train.score_every=1", "train.epochs=3", "train.checkpoint_minutes=0")
    with monkeypatch.context() as patch:
        patch.setattr(Health, "suspicious", property(lambda self: self.step == 4))
        patch.setattr(Stop, "on_train_batch_end", stop_at(6))
        patch.setattr(Stop, "leaves_time", unasked)
        train(run, tiny_images, progress=True)
    assert run.checkpoints.best() == (4, 0.5)
    assert [step for step, _ in run.checkpoints.saved()] == [0, 6]
    assert steps_said_best(capsys) == [4]

    (run.checkpoints.folder / "best.npz").unlink()
    train(Run.open(run.folder), tiny_images, progress=True)
    assert run.checkpoints.best() == (12, 0.6)
    assert steps_said_best(capsys) == [8, 12]


def steps_said_best(capsys):
    lines = [line for line in capsys.readouterr().out.splitlines() if "the best so far" in line]
    return [int(line.split()[1]) for line in lines]
