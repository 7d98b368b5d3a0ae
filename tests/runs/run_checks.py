"""What the tests of runs look at, and how they stop one."""

import csv

import numpy as np
from PIL import Image


def rows(run):
    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def arrays(run, which="newest"):
    with np.load(run.checkpoints.find(which)) as file:
        return {name: file[name] for name in file.files if not name.endswith("seconds")}


def assert_equal_runs(a, b):
    """The newest and the best checkpoint, the table but for its seconds, the sheets and `scores.png` are the same."""
    for which in ("newest", "best"):  # which is the newest where nothing is scored
        first, second = arrays(a, which), arrays(b, which)
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    tables = [[{**row, "seconds": ""} for row in rows(run)] for run in (a, b)]
    assert tables[0] == tables[1]
    assert (a.folder / "histograms.csv").read_bytes() == (b.folder / "histograms.csv").read_bytes()
    assert {epoch: path.read_bytes() for epoch, path in a.sheets().items()} == {
        epoch: path.read_bytes() for epoch, path in b.sheets().items()
    }
    with Image.open(a.gif) as first, Image.open(b.gif) as second:
        assert first.n_frames == second.n_frames
    figures = [run.folder / "scores.png" for run in (a, b)]
    if any(path.exists() for path in figures):
        assert figures[0].read_bytes() == figures[1].read_bytes()


def unasked(self):
    """In place of `Stop.leaves_time`: a run that was stopped is not scored where it stops."""
    return not self.reason


def stop_at(step):
    """As if Ctrl-C had come during step `step`."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step) == step:
            self.ask("SIGINT")
            self.model.stop_training = True

    return on_train_batch_end
