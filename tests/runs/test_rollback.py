"""Going back to before a collapse, once, and that a kill anywhere on the way changes nothing."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from run_checks import arrays, assert_equal_runs, rows, stop_at, unasked

from doggan.errors import DogganError
from doggan.runs import Run, train
from doggan.runs.build import build_gan
from doggan.runs.health import Health
from doggan.runs.rollback import FACTOR, Rollback, roll_back
from doggan.runs.stop import Stop
from doggan.training.checkpoints import Checkpoints, restore

pytestmark = pytest.mark.usefixtures("fast")

FOUND, SOUND = 14, 9  # of 16 steps, four an epoch: there are checkpoints of steps 8 and 12, the best is of step 8
SETTINGS = (  # one layer each
    *("generator.base_size=16", "generator.widths=[4]", "generator.strides=[2]"),
    *("generator.batch_norm=[true]", "generator.dropout=[0.5]"),
    *("discriminator.widths=[4]", "discriminator.strides=[2]"),
    *("discriminator.batch_norm=[true]", "discriminator.dropout=[0.2]"),
    *("g_optimizer.lr=1e-3", "d_optimizer.lr=4e-3", "train.checkpoint_minutes=0"),
)


class Killed(BaseException):
    """In place of a signal that nobody can catch."""


def collapses(monkeypatch, folder, *, again=False):
    """Training in `folder` collapses at step `FOUND`, the first time or every time, and was sound up to `SOUND`."""
    see = Health.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        see(self, batch, logs)
        if self.step == FOUND and (again or Rollback.of(folder) is None):
            self.varied_at = SOUND
            self._collapse("it collapsed")

    monkeypatch.setattr(Health, "on_train_batch_end", on_train_batch_end)


@pytest.fixture
def expected(start, tiny_images, monkeypatch):
    """A run that was stopped at step 8 and went on at half the rates."""
    run = start("expected", *SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "on_train_batch_end", stop_at(8))
        train(run, tiny_images, progress=False)
    Rollback(FOUND, 8, "it collapsed").write(run.folder)
    train(run, tiny_images, progress=False)
    return run


def test_a_collapse_is_rolled_back_and_training_goes_on_at_half_the_rates(
    start, tiny_images, monkeypatch, capsys, expected
):
    run = start("run", *SETTINGS)
    collapses(monkeypatch, run.folder)
    assert str(train(run, tiny_images, progress=False)) == "trained all 16 steps"
    assert capsys.readouterr().err == (
        "step 14: it collapsed; back to step 8, and on from there with 0.5 times the learning rates (now g 0.0005, "
        "d 0.002)\n"
    )
    assert json.loads((run.folder / "rollback.json").read_text()) == {
        "from_step": 14, "to_step": 8, "reason": "it collapsed", "factor": 0.5, "to_remove": [],
    }  # fmt: skip
    assert_equal_runs(run, expected)
    for row in rows(run):  # the row of step 8 was written before: rates are those of the next step
        decay = 0.5 * (1 + math.cos(math.pi * int(row["step"]) / 16)) * (FACTOR if int(row["step"]) > 8 else 1)
        assert float(row["g_lr"]) == pytest.approx(1e-3 * decay, rel=1e-5, abs=1e-9)
        assert float(row["d_lr"]) == pytest.approx(4e-3 * decay, rel=1e-5, abs=1e-9)
    assert Run.open(run.folder).config == run.config  # the recipe is as it was


def kill(*args):
    raise Killed


def kill_before_it_is_decided(patch):
    patch.setattr(Rollback, "write", kill)


def kill_once_it_is_decided(patch):
    patch.setattr(Rollback, "finish", kill)


def kill_while_files_are_removed(patch):
    unlink = Path.unlink

    def kill_after_one(self, *args, **options):
        unlink(self, *args, **options)
        if self.name.startswith("step-"):
            raise Killed

    patch.setattr(Path, "unlink", kill_after_one)


def kill_when_files_are_removed(patch):
    patch.setattr(Rollback, "write", kill)


def kill_before_training_goes_on(patch):
    patch.setattr(Checkpoints, "newest", kill)


def test_kills_on_the_way_change_nothing_nor_does_a_stop_after_it(start, tiny_images, monkeypatch, expected):
    run = start("run", *SETTINGS)
    collapses(monkeypatch, run.folder)
    for how, lie_beyond in (
        (kill_before_it_is_decided, True),
        (kill_once_it_is_decided, True),
        (kill_while_files_are_removed, True),  # the sheet
        (kill_when_files_are_removed, False),
        (kill_before_training_goes_on, False),
    ):
        with monkeypatch.context() as patch:
            how(patch)
            with pytest.raises(Killed):
                train(Run.open(run.folder), tiny_images, progress=False)
        assert (3 in run.sheets()) is lie_beyond
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "on_train_batch_end", stop_at(10))
        patch.setattr(Stop, "leaves_time", unasked)
        assert train(Run.open(run.folder), tiny_images, progress=False).step == 10
    assert train(Run.open(run.folder), tiny_images, progress=False).stopped_by is None
    assert_equal_runs(run, expected)
    assert Rollback.of(run.folder) == Rollback(FOUND, 8, "it collapsed")


def test_a_second_collapse_ends_the_run(start, tiny_images, monkeypatch, capsys):
    run = start("run", *SETTINGS)
    collapses(monkeypatch, run.folder, again=True)
    outcome = train(run, tiny_images, progress=False)
    assert outcome.collapsed
    assert str(outcome).startswith("stopped at step 14 of 16: it collapsed; start a new run with lower rates")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == ["step 14: it collapsed; the run was rolled back at step 14 already, so it ends here"]
    assert len(lines) == 2
    assert int(arrays(run)["step"]) == 12
    assert [int(row["step"]) for row in rows(run)] == [0, 4, 8, 12]


def test_it_ends_at_once_where_that_is_asked_for(start, tiny_images, monkeypatch, capsys):
    run = start("run", *SETTINGS, "train.on_collapse=stop")
    collapses(monkeypatch, run.folder)
    assert train(run, tiny_images, progress=False).collapsed
    assert capsys.readouterr().err == "step 14: it collapsed; the run ends here\n"
    assert int(arrays(run)["step"]) == 12  # the collapsed state is neither saved nor scored
    assert [row["random-kid"] != "" for row in rows(run)] == [True, False, True, False]


def test_without_a_checkpoint_there_is_no_going_back(start, tiny_images, monkeypatch, capsys):
    run = start("run", *SETTINGS, "train.checkpoint_every=0", "train.score_every=0")
    collapses(monkeypatch, run.folder)
    assert train(run, tiny_images, progress=False).collapsed
    assert capsys.readouterr().err == (
        "step 14: it collapsed; the run has no checkpoint to go back to, so it ends here\n"
    )
    assert not (run.folder / "rollback.json").exists()


def test_who_asked_for_a_stop_gets_it(start, tiny_images, monkeypatch):
    run = start("run", *SETTINGS)
    collapses(monkeypatch, run.folder)
    monkeypatch.setattr(Stop, "on_train_batch_end", stop_at(FOUND))
    outcome = train(run, tiny_images, progress=False)
    assert (outcome.stopped_by, outcome.collapsed) == ("SIGINT", False)
    assert not (run.folder / "rollback.json").exists()


def test_losses_that_are_no_numbers_are_rolled_back_too(start, tiny_images, monkeypatch, capsys):
    run = start("run", *SETTINGS)
    see = Health.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if self.step + 1 == 9 and Rollback.of(run.folder) is None:
            logs |= {"g_loss_mean": math.nan}
        see(self, batch, logs)

    monkeypatch.setattr(Health, "on_train_batch_end", on_train_batch_end)
    assert str(train(run, tiny_images, progress=False)) == "trained all 16 steps"
    assert capsys.readouterr().err.startswith("step 9: losses or weights are no longer numbers; back to step 8")


def spoil(run, step):
    """Save a state that is not all numbers under that step."""
    gan = build_gan(run.config, run.image_shape, 4)
    restore(gan, run.checkpoints.find(str(step)))
    kernel = gan.generator.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, math.nan))
    run.checkpoints.save(gan)


def test_only_a_checkpoint_that_is_whole_and_all_numbers_is_gone_back_to(start, tiny_images):
    run = start("run", *SETTINGS, "train.keep=5", "train.score_every=0")
    train(run, tiny_images, progress=False)
    spoil(run, 12)
    newest = run.checkpoints.find("newest")
    newest.write_bytes(newest.read_bytes()[:-100])
    collapse = SimpleNamespace(step=16, sound_until=16, collapse="it collapsed")
    assert roll_back(run, collapse, 4) == 8
    assert [step for step, _ in run.checkpoints.saved()] == [0, 4, 8, 16]  # the damaged one is set aside when it is met
    assert list(run.sheets()) == [0, 1, 2]
    assert roll_back(run, collapse, 4) is None


def test_it_goes_back_to_the_newest_state_that_was_sound_else_to_the_oldest(start, tiny_images):
    run = start("run", *SETTINGS, "train.keep=5", "train.score_every=0")
    train(run, tiny_images, progress=False)
    run.checkpoints.find("0").unlink()
    for sound_until, to_step in ((16, 16), (11, 8), (3, 4)):
        collapse = SimpleNamespace(step=16, sound_until=sound_until, collapse="it collapsed")
        assert roll_back(run, collapse, 4) == to_step
        assert run.checkpoints.saved()[-1][0] == to_step
        (run.folder / "rollback.json").unlink()


def test_a_damaged_record_is_refused(tmp_path):
    assert Rollback.of(tmp_path) is None
    for text in ("{", "[]", '{"from_step": 3}', '{"to_remove": []}'):
        (tmp_path / "rollback.json").write_text(text)
        with pytest.raises(DogganError, match=r"rollback\.json does not say"):
            Rollback.of(tmp_path)
