"""Training a run: what it leaves, and that stopping anywhere and continuing changes nothing."""

import csv
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from run_checks import arrays, assert_equal_runs, rows, stop_at, unasked

from doggan.errors import DogganError
from doggan.metrics.callback import Scorer
from doggan.runs import Run, load_generator, train
from doggan.runs.history import History, columns
from doggan.runs.stop import Stop


def test_a_run_leaves_everything_it_promises(start, tiny_images, capsys):
    run = start("run")
    outcome = train(run, tiny_images, progress=False)
    assert str(outcome) == "trained all 16 steps"
    assert capsys.readouterr().out == ""
    written = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert written == {
        "config.json", "metrics.csv", "losses.png", "losses-epoch.png", "scores.json", "scores.png", "samples.gif",
        "histograms.csv", "verdicts.png", "samples/latest.png", "checkpoints/best.npz",
        *(f"samples/epoch-{epoch:04d}.png" for epoch in range(5)),
        *(f"checkpoints/step-{s:08d}.npz" for s in (0, 12, 16)),
    }  # fmt: skip
    table = rows(run)
    assert ",".join(table[0]) == (
        "epoch,step,kimg,g_loss,g_loss_std,d_loss,d_loss_std,d_real,d_real_std,d_fake,d_fake_std,g_lr,d_lr,"
        "sigma_1,sigma_2,sigma_3,seconds,random-kid,random-kid_standard_error"
    )
    assert [int(row["step"]) for row in table] == [0, 4, 8, 12, 16]
    assert [row["random-kid"] != "" for row in table] == [True, False, True, False, True]
    assert table[0]["g_loss"] == ""
    assert float(table[-1]["kimg"]) == 16 * 8 / 1000
    with Image.open(run.gif) as gif:
        assert gif.n_frames >= 5

    generator, step, weights = load_generator(run, "newest")
    assert (step, weights) == (16, "averaged weights")
    again = load_generator(run, "newest", raw=True, bn_samples=20)[2]
    assert again == "weights as trained, batch norm re-estimated on 20 z"
    kernel = next(v for v in generator.variables if v.name == "kernel")
    name = f"average.{[v is kernel for v in generator.variables].index(True):03d}.kernel"
    np.testing.assert_array_equal(np.asarray(kernel.value), arrays(run)[name])

    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert str(train(run, tiny_images, progress=False)) == "trained all 16 steps"  # and no further
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_the_means_in_the_figure_are_those_in_the_table_also_with_several_steps_in_a_call(
    start, tiny_images, monkeypatch
):
    from doggan import plots

    drawn = []
    monkeypatch.setattr(plots, "all_losses", lambda *args: None)
    monkeypatch.setattr(plots, "epoch_losses", lambda path, *args: drawn.append(args))
    run = start("run", "train.epochs=1", "train.steps_per_execution=2", "train.score_every=0")
    train(run, tiny_images, progress=False)
    (iteration, g_loss, _, means, epoch) = drawn[-1]
    last = rows(run)[-1]
    assert (iteration, epoch) == ([2, 4], 1)
    assert means == pytest.approx((float(last["g_loss"]), float(last["d_loss"])), rel=1e-6)
    assert means[0] != pytest.approx(np.mean(g_loss), rel=1e-4)


@pytest.mark.usefixtures("fast")
def test_the_rates_in_the_table_follow_the_formula(start, tiny_images):
    run = start("run", "g_optimizer.lr=1e-3", "d_optimizer.lr=4e-3")
    train(run, tiny_images, progress=False)
    for row in rows(run):  # step 0, ¼, ½, ¾ and the end
        decay = 0.5 * (1 + math.cos(math.pi * int(row["step"]) / 16))
        assert float(row["g_lr"]) == pytest.approx(1e-3 * decay, rel=1e-5, abs=1e-9)
        assert float(row["d_lr"]) == pytest.approx(4e-3 * decay, rel=1e-5, abs=1e-9)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("stops", [pytest.param([2], marks=pytest.mark.both_backends), [4, 6, 13]])
def test_stopping_anywhere_and_resuming_equals_not_stopping(start, tiny_images, monkeypatch, stops):
    whole, broken = start("whole"), start("broken")
    train(whole, tiny_images, progress=False)
    for at in stops:
        with monkeypatch.context() as patch:
            patch.setattr(Stop, "on_train_batch_end", stop_at(at))
            patch.setattr(Stop, "leaves_time", unasked)  # a stop that is scored has a row too, and might be the best
            outcome = train(Run.open(broken.folder), tiny_images, progress=False)
        assert outcome.step == at
        assert "--resume continues" in str(outcome)
    assert train(Run.open(broken.folder), tiny_images, progress=False).stopped_by is None
    assert_equal_runs(whole, broken)


@pytest.mark.usefixtures("fast")
def test_a_deadline_stops_after_one_step_and_saves(start, tiny_images):
    run = start("run")
    outcome = train(run, tiny_images, deadline=time.monotonic() - 1, progress=False)
    assert str(outcome) == "stopped at step 1 of 16: the time is up, without time for a last score; --resume continues"
    assert all(row["random-kid"] == "" for row in rows(run))
    assert int(arrays(run)["step"]) == 1
    assert load_generator(run)[1] == 1  # and not the untrained one


@pytest.mark.usefixtures("fast")
def test_a_best_checkpoint_of_a_finished_epoch_outlives_a_worse_stop(start, tiny_images, monkeypatch):
    run = start("run", "train.score_every=1")
    scores = iter([9.0, 0.5, 0.7])  # untrained, epoch 1, the stop at step 6
    monkeypatch.setattr(Scorer, "__call__", lambda self, pictures: {"random-kid": next(scores)})
    monkeypatch.setattr(Stop, "on_train_batch_end", stop_at(6))
    train(run, tiny_images, progress=False)
    assert load_generator(run, "best")[1] == 4
    assert load_generator(run, "newest")[1] == 6
    assert [(row["epoch"], row["step"], row["random-kid"]) for row in rows(run)] == [
        ("0", "0", "9.0"), ("1", "4", "0.5"), ("1", "6", "0.7"),
    ]  # fmt: skip


@pytest.mark.usefixtures("fast")
def test_losses_that_are_no_numbers_stop_the_run_and_save_nothing(start, tiny_images):
    run = start("run", "g_optimizer.lr=1e30", "d_optimizer.lr=1e30", "train.epochs=50")
    outcome = train(run, tiny_images, progress=False)
    assert "no longer numbers" in str(outcome)
    assert "--resume" not in str(outcome)
    for _, path in run.checkpoints.saved():
        with np.load(path) as file:
            assert all(np.isfinite(file[name]).all() for name in file.files if name.startswith("generator"))


def test_the_step_is_one_compiled_graph_without_xla_on_a_cpu(start, tiny_images):
    from doggan.runs import build_gan
    from doggan.training.backend import has_accelerator

    gan = build_gan(start("run").config, (32, 32, 3), 4)
    assert gan.jit_compile is has_accelerator()
    assert gan.run_eagerly is False


@pytest.mark.usefixtures("fast")
def test_zoom_and_random_crops_train(start, tiny_images):
    run = start("run", "generator.base_size=4", "data.random_crop=true", "data.zoom=0.1", "train.epochs=1",
                "train.score_every=0")  # fmt: skip
    train(run, tiny_images, progress=False)
    with Image.open(run.folder / "samples" / "epoch-0001.png") as sheet:
        assert sheet.width < 3 * 20  # a 2×2 sheet of 16 px pictures cut from 32 px ones
    with pytest.raises(DogganError, match=r"set train\.score_every=0"):
        start("other", "generator.base_size=4", "data.random_crop=true")


@pytest.mark.usefixtures("fast")
def test_progress_prints_a_line_an_epoch(start, tiny_images, capsys):
    train(start("run", "train.epochs=2"), tiny_images, progress=True)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["0/2", "1/2", "2/2"]
    for part in ("g_loss", " ± ", "D(real)", "D(fake)", "lr ", " s"):
        assert part in lines[-1]
    assert out.splitlines()[0] == "scores: random-conv, 16 samples against 32 training crops"
    assert out.splitlines()[2].startswith("  step 0 scored  random-kid ")
    assert out.splitlines()[-1].endswith("(the best so far)")


@pytest.mark.usefixtures("fast")
def test_sheets_show_the_same_z_through_time(start, tiny_images):
    """A generator that does not learn draws the same sheet at every epoch."""
    run = start("run", "g_optimizer.lr=0", "generator.bn.momentum=0.999999999", "train.epochs=2")
    train(run, tiny_images, progress=False)
    sheets = [path.read_bytes() for path in run.sheets().values()]
    assert len(set(sheets)) == 1


@pytest.mark.usefixtures("fast")
def test_held_out_pictures_are_never_seen(start, tiny_images, tmp_path):
    """Other held-out pictures change nothing but the score."""
    run, other = (start(name, "train.epochs=1") for name in ("run", "other"))
    images = tiny_images.images.copy()
    images[tiny_images.split == 1] = 255 - images[tiny_images.split == 1]
    from dataclasses import replace

    train(run, tiny_images, progress=False)
    train(other, replace(tiny_images, images=images), progress=False)
    assert_equal_runs(run, other)


def test_other_pictures_are_refused(start, tiny_images):
    from dataclasses import replace

    with pytest.raises(DogganError, match="other pictures"):
        train(start("run"), replace(tiny_images, images=255 - tiny_images.images), progress=False)


@pytest.mark.usefixtures("fast")
def test_fewer_pictures_may_be_used(start, tiny_images):
    run = start("run", "data.n_images=9", "train.epochs=1")
    assert train(run, tiny_images, progress=False).total_steps == 1


def test_history_drops_what_lies_beyond_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.csv"
    history = History(path, [], columns(scores=["kid"]))
    for step in (0, 4, 8):
        history.put({"epoch": step // 4, "step": step, "g_loss": 1.5})
    history.write()
    again = History.until(path, 4, columns(scores=["kid"]))
    assert [row["step"] for row in again.rows] == [0, 4]
    assert again.rows[1]["g_loss"] == 1.5
    assert math.isnan(again.rows[1]["kid"])
    assert not again.has("kid", 4)
    assert again.last_with("kid") is None
    assert again.last_with("g_loss") == 4
    path.write_text("step\nx\n")
    with pytest.raises(DogganError, match=r"metrics\.csv"):
        History.until(path, 4, columns())


def test_history_completes_a_row_and_keeps_columns_it_does_not_know(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,kid\n0,0,0.5\n")  # as an older doggan named it
    history = History.until(path, 4, columns(scores=["random-kid"]))
    history.put({"epoch": 1, "step": 4, "g_loss": 1.5})
    assert history.put({"epoch": 1, "step": 4, "g_loss": 1.5, "random-kid": 0.25}).keys() == {"random-kid"}
    history.write()
    assert history.has("random-kid", 4)
    with path.open() as file:
        table = list(csv.DictReader(file))
    assert [(row["step"], row["g_loss"], row["random-kid"], row["kid"]) for row in table] == [
        ("0", "", "", "0.5"),
        ("4", "1.5", "0.25", ""),
    ]


def command(*arguments):
    return [sys.executable, "-m", "doggan", "train", *map(str, arguments)]


def test_dry_run_says_what_it_would_cost_and_makes_nothing(tmp_path, tiny_images, tiny_recipe):
    data = tmp_path / "tiny.npz"
    tiny_images.save(data)
    out = tmp_path / "run"
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(
        command(data, "--recipe", tiny_recipe, "--out", out, "--dry-run"),
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert "generator.widths = [8, 4]" in done.stdout
    # Dense 6·256 + 256, two 5×5 transposed convolutions with batch norm's 4 a channel, Dense 4·3 + 3.
    assert "generator parameters: " + f"{6 * 256 + 256 + 25 * 4 * 8 + 32 + 25 * 8 * 4 + 16 + 15:,}" in done.stdout
    assert "made into batches on the host" in done.stdout
    assert "4 steps an epoch, 16 in all, 1 in a call" in done.stdout
    assert "images/s" in done.stdout
    assert "scores: random-conv, 16 samples against 32 training crops" in done.stdout
    assert "3 times 16 samples and once 32 real pictures at " in done.stdout  # epochs 0, 2 and 4
    assert not out.exists()
