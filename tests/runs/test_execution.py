"""Many steps in one call, and batches made on the device: nothing changes but when the run can be looked at."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from run_checks import arrays, assert_equal_runs, rows, stop_at, unasked

from doggan.recipes import load_recipe
from doggan.runs import describe_cost, train
from doggan.runs.execution import made_on_device, next_fit, steps_wanted
from doggan.runs.history import columns, epoch_line
from doggan.runs.stop import Stop

# One layer each; two epochs of ten steps, in calls of four, four and two; a score falls due at steps 0 and 11, and one
# comes after the last step.
SETTINGS = (
    *("generator.base_size=16", "generator.widths=[4]", "generator.strides=[2]"),
    *("generator.batch_norm=[true]", "generator.dropout=[0.5]"),
    *("discriminator.widths=[4]", "discriminator.strides=[2]"),
    *("discriminator.batch_norm=[true]", "discriminator.dropout=[0.2]"),
    *("train.epochs=2", "train.batch_size=3", "train.score_every=0", "train.score_kimg=0.0325", "train.sample_every=0"),
)
LOGGED = [name for name in columns() if name != "seconds"]
pytestmark = pytest.mark.usefixtures("fast")


@pytest.mark.parametrize(
    ("place", "accelerator", "expected"),
    [("host", True, False), ("device", False, True), ("auto", True, True), ("auto", False, False)],
)
def test_batches_are_made_where_the_device_is_an_accelerator_unless_told(place, accelerator, expected):
    assert made_on_device(place, accelerator) is expected


def test_how_many_steps_a_call_has():
    assert [steps_wanted(0, accelerator) for accelerator in (False, True)] == [1, 32]
    assert [steps_wanted(7, accelerator) for accelerator in (False, True)] == [7, 7]
    cases = {(32, 160): (32, 160), (32, 172): (32, 160), (32, 12): (12, 12), (4, 6): (4, 4), (1, 12): (1, 12)}
    assert {case: next_fit(*case) for case in cases} == cases


def scored(run):
    return [int(row["step"]) for row in rows(run) if row["random-kid"]]


def iterations(run):
    """Those of the last epoch that its figure shows."""
    return arrays(run)["extra.iteration"].tolist()


@pytest.mark.both_backends
def test_four_steps_in_a_call_end_where_single_ones_do(start, tiny_images):
    on_device = (*SETTINGS, "data.place=device")
    single, fours = (start(f"by-{k}", *on_device, f"train.steps_per_execution={k}") for k in (1, 4))
    for run in (single, fours):
        train(run, tiny_images, progress=False)
    assert scored(single) == [0, 11, 20]
    assert scored(fours) == [0, 14, 20]  # after the call in which it fell due
    assert iterations(single) == list(range(1, 11))
    assert iterations(fours) == [4, 8, 10]

    # XLA compiles the body of a loop otherwise than the same step alone.
    tolerance = {"rtol": 0, "atol": 1e-5 if keras.backend.backend() == "jax" else 0}
    first, second = arrays(single), arrays(fours)
    for name in first:
        if not name.startswith(("extra.", "meta")):
            np.testing.assert_allclose(first[name], second[name], err_msg=name, **tolerance)
    tables = [[[float(row[name]) for name in LOGGED] for row in rows(run) if row["g_loss"]] for run in (single, fours)]
    assert [row[:2] for row in tables[0]] == [[1, 10], [2, 20]]
    np.testing.assert_allclose(*tables, **tolerance)


def test_stopping_between_calls_and_resuming_equals_not_stopping(start, tiny_images, monkeypatch):
    """After steps that fill no call; and where a score that fell due inside the last call was not made."""
    adaptive = ("augment.policy=['translation']", "augment.target=0.1", "augment.kimg=0.1")
    whole, broken = (start(name, *SETTINGS, *adaptive, "train.steps_per_execution=4") for name in ("whole", "broken"))
    train(whole, tiny_images, progress=False)

    stopped = []
    singly = replace(broken.config, train=replace(broken.config.train, steps_per_execution=1))
    for run, at in ((replace(broken, config=singly), 5), (broken, 14)):
        with monkeypatch.context() as patch:
            patch.setattr(Stop, "on_train_batch_end", stop_at(at))
            patch.setattr(Stop, "leaves_time", unasked)
            assert train(run, tiny_images, progress=False).step == at
        stopped.append(arrays(broken))
    assert scored(broken) == [0]
    assert train(broken, tiny_images, progress=False).stopped_by is None
    assert_equal_runs(whole, broken)
    for state in stopped:
        assert 0 < state["augment.probability"] < 1  # and it began at 0
        assert state["augment.signs"] != 0
    assert scored(broken) == [0, 14, 20]
    assert iterations(broken) == [4, 8, 10]

    last = rows(whole)[-1]
    assert list(last)[9:15] == ["d_fake", "d_fake_std", "augment_p", "augment_p_std", "g_lr", "d_lr"]
    assert 0 < float(last["augment_p"]) < 1


def test_the_line_of_an_epoch_says_what_else_is_reported():
    row = dict.fromkeys(columns(), 0.5) | {"epoch": 1, "step": 8}
    assert "penalty" not in epoch_line(row, 2)
    assert "penalty 0.125  augment p 0.25" in epoch_line(row | {"penalty": 0.125, "augment_p": 0.25}, 2)


def test_the_cost_of_a_run_whose_pictures_lie_on_the_device(tiny_recipe, tiny_images):
    overrides = ("data.place=device", "train.steps_per_execution=6", "train.score_kimg=0", "generator.base_depth=400")
    cost = describe_cost(load_recipe(str(tiny_recipe), (*SETTINGS, *overrides)), tiny_images)
    assert "kept on the device, where the step makes the batches" in cost
    assert "10 steps an epoch, 20 in all, 6 in a call" in cost
    # Dense 6·102400 + 102400, a 5×5 transposed convolution with batch norm's 4 a channel, Dense 4·3 + 3; float32.
    parameters = 7 * 102400 + 25 * 400 * 4 + 16 + 15
    assert f"{4 * parameters / 2**20:.0f} MiB for the generator's average" in cost
