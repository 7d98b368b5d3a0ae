"""What `--dry-run` says of a run's time."""

import re

import pytest

from doggan.recipes import load_recipe
from doggan.runs import cost


def test_the_clock_leaves_the_first_call_out_and_stops_a_fit_that_takes_too_long(monkeypatch):
    class Model:
        stop_training = False

    ends = iter([100.0, 101.0, 102.5, 104.0])
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(ends))
    clock = cost.Clock(limit=3.0)
    clock.set_model(Model())
    clock.on_train_begin()
    for calls, seconds, stopped in ((0, 0.0, False), (1, 1.0, False), (2, 2.5, False), (3, 4.0, True)):
        clock.on_train_batch_end(calls, {"g_loss": 1.0})
        assert (clock.calls, clock.seconds, clock.model.stop_training) == (calls, seconds, stopped)


@pytest.mark.parametrize(
    ("overrides", "limit", "said"),
    [
        ((), 60, "over 3 steps ("),
        (("train.steps_per_execution=2",), 60, "over 4 steps ("),
        (("penalty.r1=1", "penalty.interval=4", "train.replay=3"), 60, "over 12 steps ("),
        (("train.replay=2",), 0, "over 1 steps, too few for what happens every 2 steps ("),
    ],
)
def test_whole_intervals_are_timed_where_there_is_time(overrides, limit, said, tiny_recipe, tiny_images, monkeypatch):
    monkeypatch.setattr(cost, "_TIMED_SECONDS", limit)
    config = load_recipe(str(tiny_recipe), ("train.score_every=0", *overrides))
    text = cost.describe_cost(config, tiny_images)
    assert f"measured here {said}" in text
    seconds, rate = re.search(r"about: (\S+) s a step .*\((\d+) images/s\)", text).groups()
    assert float(seconds) * float(rate) == pytest.approx(8, rel=0.02)
