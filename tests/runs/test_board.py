"""What TensorBoard gets of a run, as TensorFlow reads it."""

import io
import resource
import sys

import numpy as np
import pytest
from PIL import Image
from run_checks import rows, stop_at

from doggan import plots
from doggan.errors import DogganError
from doggan.metrics.callback import Scorer
from doggan.runs import Run, train
from doggan.runs.board import Board
from doggan.runs.stop import Stop

QUICK = (
    *("generator.base_size=16", "generator.widths=[4]", "generator.strides=[2]"),
    *("generator.batch_norm=[true]", "generator.dropout=[0.5]"),
    *("discriminator.widths=[4]", "discriminator.strides=[2]"),
    *("discriminator.batch_norm=[true]", "discriminator.dropout=[0.2]"),
)


def events(folder):
    """(tag, step) → number, histogram or picture (uint8 [H, W, 3]) of every event in a folder; each is there once."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                assert (value.tag, event.step) not in found
                kind = value.WhichOneof("value")
                content = getattr(value, kind)
                if kind == "image":
                    content = np.asarray(Image.open(io.BytesIO(content.encoded_image_string)))
                found[value.tag, event.step] = content
    return found


def scalars(folder):
    return {key: value for key, value in events(folder).items() if isinstance(value, float)}


def verdicts(step, real, fake):
    counts = {
        f"{name}_{i:02d}": float(n) for name, ns in (("d_real", real), ("d_fake", fake)) for i, n in enumerate(ns)
    }
    return {"epoch": step // 4, "step": step} | counts


@pytest.mark.usefixtures("fast")
def test_tensorboard_shows_the_tables_and_sheets_once_however_often_the_run_was_stopped(
    start, tiny_images, monkeypatch
):
    """And a stop is saved before it is scored."""
    run = start("run", *QUICK, "train.tensorboard=true", "train.epochs=2")
    score, saved = Scorer.__call__, []

    def watched(self, pictures):
        saved.append([step for step, _ in run.checkpoints.saved()])
        return score(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "__call__", watched)
        patch.setattr(Stop, "on_train_batch_end", stop_at(6))
        train(run, tiny_images, progress=False)
    assert saved == [[0], [0, 4, 6]]
    assert rows(run)[-1]["step"] == "6"
    assert rows(run)[-1]["random-kid"] != ""
    assert ("scores/random-kid", 6) in scalars(run.folder / "tensorboard")
    train(Run.open(run.folder), tiny_images, progress=False)
    expected = {}
    tags = {
        **dict.fromkeys(("g_loss", "d_loss"), "losses"),
        **dict.fromkeys(("d_real", "d_fake"), "discriminator"),
        **dict.fromkeys(("g_lr", "d_lr"), "rates"),
        **dict.fromkeys(("sigma_1", "sigma_2"), "spectral_norm"),
        **dict.fromkeys(("random-kid", "random-kid_standard_error"), "scores"),
    }
    for row in rows(run):
        for name, group in tags.items():
            if row[name]:
                expected[f"{group}/{name}", int(row["step"])] = float(row[name])
    assert {step for _, step in expected} == {0, 4, 6, 8}
    found = events(run.folder / "tensorboard")
    assert scalars(run.folder / "tensorboard") == pytest.approx(expected, rel=1e-6)

    sheets = {epoch: np.asarray(Image.open(path)) for epoch, path in run.sheets().items()}
    assert {step for tag, step in found if tag == "samples"} == {4 * epoch for epoch in sheets} == {0, 4, 8}
    for epoch, sheet in sheets.items():
        np.testing.assert_array_equal(found["samples", 4 * epoch], sheet)
    for name in ("d_real", "d_fake"):
        assert {step for tag, step in found if tag == f"verdicts/{name}"} == {4, 8}
        assert found[f"verdicts/{name}", 8].num == 32


def test_what_a_killed_run_wrote_beyond_its_checkpoint_leaves_the_board(tmp_path):
    for rows_ in ([{"step": 4, "g_loss": 1.0}, {"step": 8, "g_loss": 2.0}], [{"step": 4, "g_loss": 1.0}]):
        board = Board(tmp_path, rows_)
        board.close()
    board = Board(tmp_path, [{"step": 4, "g_loss": 1.0, "random-kid": float("nan")}])
    board.write({"step": 8, "g_loss": 3.0, "g_loss_std": 1.0, "penalty": 0.5, "penalty_std": 0.5, "sigma_12": 2.0}, 8)
    board.close()
    assert scalars(tmp_path) == {
        ("losses/g_loss", 4): 1.0,
        ("losses/g_loss", 8): 3.0,
        ("discriminator/penalty", 8): 0.5,
        ("spectral_norm/sigma_12", 8): 2.0,
    }


def test_a_histogram_has_the_counts_of_its_row(tmp_path):
    real = np.zeros(20)
    real[0], real[15], real[19] = 1, 2, 5
    board = Board(tmp_path, [], [verdicts(4, real, np.arange(20))])
    board.write_verdicts(verdicts(8, np.ones(20), real))
    board.close()
    found = events(tmp_path)
    assert set(found) == {(f"verdicts/{name}", step) for name in ("d_real", "d_fake") for step in (4, 8)}
    histogram = found["verdicts/d_real", 4]
    filled = {limit: count for limit, count in zip(histogram.bucket_limit, histogram.bucket, strict=True) if count}
    assert filled == pytest.approx({0.05: 1, 0.8: 2, 1.0: 5})
    assert (histogram.min, histogram.max, histogram.num) == (0, 1, 8)
    assert histogram.sum == pytest.approx(0.025 + 2 * 0.775 + 5 * 0.975)


def test_of_many_sheets_some_are_shown_again_the_first_and_the_last_among_them(tmp_path):
    sheets = {}
    for epoch in range(41):
        sheets[4 * epoch] = tmp_path / f"epoch-{epoch:04d}.png"
        plots.save_png(sheets[4 * epoch], np.full((6, 8, 3), (epoch, 0, 255), np.uint8))
    board = Board(tmp_path / "board", [], [], sheets)
    board.close()
    found = events(tmp_path / "board")
    steps = sorted(step for _, step in found)
    assert len(steps) == 10
    assert (steps[0], steps[-1]) == (0, 160)
    for tag, step in found:
        np.testing.assert_array_equal(found[tag, step][0, 0], (step // 4, 0, 255))


def test_a_full_disk_is_said_at_once(tmp_path):
    board = Board(tmp_path, [])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        board.write({"g_loss": 1.0}, 0)
        with pytest.raises(OSError, match="File too large") as written:
            board.write({f"score-{i}": 1.0 for i in range(100)}, 4)
        with pytest.raises(OSError, match="File too large") as closed:
            board.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert written.value.filename == closed.value.filename == str(tmp_path)


def test_tensorboard_without_its_package_is_refused_before_the_run_exists(start, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(DogganError, match=r"pip install 'doggan\[tensorboard\]'"):
        start("run", "train.tensorboard=true")
    assert not (tmp_path / "run").exists()
