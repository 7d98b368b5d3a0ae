"""When a run ends by itself, and how its scores share the time with it."""

from types import SimpleNamespace

import pytest

from doggan.runs.stop import TIME_UP, Stop

DEADLINE = 100.0


@pytest.fixture
def clock(monkeypatch):
    """The time, in seconds, that `Stop` sees; to be set."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("doggan.runs.stop.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def after_a_step(stop):
    """Whether training stops after a step."""
    stop.set_model(SimpleNamespace(stop_training=False))
    stop.on_train_batch_end(0, {})
    return stop._model.stop_training


def test_without_a_deadline_it_stops_when_asked(clock):
    clock.now = 1e9
    stop = Stop()
    stop.scored(50.0)
    assert not after_a_step(stop)
    assert stop.leaves_time()
    stop.ask("SIGINT")
    stop.ask("SIGTERM")
    assert after_a_step(stop)
    assert stop.reason == "SIGINT"
    assert stop.leaves_time()


def test_training_stops_so_early_that_its_last_state_can_be_scored(clock):
    stop = Stop(DEADLINE)
    clock.now = 20.0
    stop.scored(10.0)
    for clock.now, stops in ((89.9, False), (90.5, True)):  # the step ends a little late
        assert after_a_step(stop) is stops
        assert stop.leaves_time()
    assert stop.reason == TIME_UP


def test_no_second_score_follows_one_that_was_made_shortly_before_the_deadline(clock):
    stop = Stop(DEADLINE)
    clock.now = 20.0
    stop.scored(10.0)
    clock.now = 85.0
    stop.scored(10.0)
    assert not after_a_step(stop)  # the time that is left is for training
    clock.now = 95.0
    assert not after_a_step(stop)
    assert not stop.leaves_time()
    clock.now = 100.0
    assert after_a_step(stop)
    assert not stop.leaves_time()


def test_a_score_that_would_end_too_late_is_not_started(clock):
    stop = Stop(DEADLINE)
    assert stop.leaves_time()  # nothing is known yet of how long one takes
    clock.now = 80.0
    stop.scored(15.0)
    assert stop.leaves_time()
    clock.now = 86.0
    assert not stop.leaves_time()
    stop.ask("SIGTERM")
    assert not stop.leaves_time()


def test_how_long_a_score_takes_is_known_from_before(clock):
    assert Stop(DEADLINE, score_seconds=30.0).until == 70.0
    known_of_nothing = Stop(DEADLINE)
    clock.now = 100.0
    assert after_a_step(known_of_nothing)
    assert not known_of_nothing.leaves_time()
