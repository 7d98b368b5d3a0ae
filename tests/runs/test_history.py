"""The tables of a run: their columns, what they hold, and that they are read as they are."""

import csv

import keras
import numpy as np
import pytest
from run_checks import arrays, rows, stop_at, unasked

from doggan.layers.spectral import ConvSN2D, DenseSN
from doggan.runs import Run, train
from doggan.runs.history import History, columns, verdict_columns
from doggan.runs.readings import Readings, normed
from doggan.runs.stop import Stop

pytestmark = pytest.mark.usefixtures("fast")


def table(run, name="histograms.csv"):
    with (run.folder / name).open() as file:
        return list(csv.DictReader(file))


def test_columns_of_spectral_norms_are_there_where_there_are_such():
    assert "sigma_1" not in columns()
    names = columns(sigmas=3, scores=("kid",))
    assert names[names.index("d_lr") :] == ("d_lr", "sigma_1", "sigma_2", "sigma_3", "seconds", "kid")
    readings = Readings(1.0, 2.0, (0.5, 0.25), np.arange(20.0), np.arange(20.0))
    assert readings.row() == {"g_lr": 1.0, "d_lr": 2.0, "sigma_1": 0.5, "sigma_2": 0.25}
    assert tuple(readings.verdicts()) == verdict_columns()[2:]
    assert (readings.verdicts()["d_real_00"], readings.verdicts()["d_fake_19"]) == (0, 19)


class Block(keras.layers.Layer):
    """Two normed layers inside another one."""

    def __init__(self):
        super().__init__()
        self.first, self.second = DenseSN(3, name="b"), DenseSN(3, name="c")

    def call(self, x):
        return self.second(self.first(x))


def test_normed_layers_are_found_from_the_input_on_inside_others_too():
    layers = [ConvSN2D(2, 3, name="a"), keras.layers.Flatten(), Block(), keras.layers.Dense(4), DenseSN(1, name="d")]
    sequential = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    assert [layer.name for layer in normed(sequential)] == ["a", "b", "c", "d"]
    x = inputs = keras.Input((4, 4, 3))
    for layer in layers:
        x = layer(x)
    assert [layer.name for layer in normed(keras.Model(inputs, x))] == ["a", "b", "c", "d"]


def test_the_tables_of_a_run(start, tiny_images):
    """σ is what an SVD of the kernels finds; D's probabilities are counted once for each picture of the epoch."""
    run = start("run", "train.epochs=2", "train.score_every=0", "train.batch_size=10", "lr.schedule=constant")
    train(run, tiny_images, progress=False)
    state = arrays(run)
    kernels = [value for name, value in state.items() if name.startswith("discriminator.") and name.endswith("kernel")]
    largest = [np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0] for kernel in kernels]
    last = rows(run)[-1]
    found = [float(last[f"sigma_{i}"]) for i in (1, 2, 3)]
    assert "sigma_4" not in last
    np.testing.assert_allclose(found, largest, rtol=0.05)  # by one power iteration a step
    assert len(set(found)) == 3
    assert rows(run)[0]["sigma_1"] != ""  # of the untrained

    counts = table(run)
    assert [(row["epoch"], row["step"]) for row in counts] == [("1", "3"), ("2", "6")]
    middles = (np.arange(20) + 0.5) / 20
    for row, epoch in zip(counts, rows(run)[1:], strict=True):
        for name in ("d_real", "d_fake"):
            bins = np.array([float(row[f"{name}_{i:02d}"]) for i in range(20)])
            assert bins.sum() == 30
            assert bins @ middles / 30 == pytest.approx(float(epoch[name]), abs=0.025)  # half a bin


def test_the_tables_of_a_run_that_was_stopped_inside_an_epoch_have_no_seam(start, tiny_images, monkeypatch):
    settings = ("train.epochs=3", "train.score_every=0", "train.sample_every=0")
    whole, broken = (start(name, *settings) for name in ("whole", "broken"))
    train(whole, tiny_images, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "on_train_batch_end", stop_at(6))
        patch.setattr(Stop, "leaves_time", unasked)
        train(broken, tiny_images, progress=False)
    counts = History.until(broken.folder / "histograms.csv", 99, verdict_columns())
    counts.put({"epoch": 2, "step": 8} | dict.fromkeys(verdict_columns()[2:], 7.0))  # beyond the checkpoint
    counts.write()  # by a run that was killed then
    train(Run.open(broken.folder), tiny_images, progress=False)
    assert table(whole) == table(broken)
    assert (whole.folder / "histograms.csv").read_bytes() == (broken.folder / "histograms.csv").read_bytes()
    tables = [[{**row, "seconds": ""} for row in rows(run)] for run in (whole, broken)]
    assert tables[0] == tables[1]


def some_tables(folder):
    history = History(folder / "metrics.csv", [], columns(scores=("kid",), sigmas=1))
    history.put({"epoch": 0, "step": 0, "kimg": 0.0, "g_lr": 1e-3, "sigma_1": 2.0, "kid": 4.0})
    history.put({"epoch": 1, "step": 4, "kimg": 0.032, "g_loss": 1.5, "g_lr": 1e-30, "sigma_1": float("inf")})
    history.write()
    counts = History(folder / "histograms.csv", [], verdict_columns())
    counts.put({"epoch": 1, "step": 4} | {name: 2.0**20 + i for i, name in enumerate(verdict_columns()[2:])})
    counts.write()


def test_whole_numbers_floats_and_gaps_are_written_so_that_types_can_be_told(tmp_path):
    some_tables(tmp_path)
    data = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True, dtype=None)
    assert data.dtype["epoch"].kind == data.dtype["step"].kind == "i"
    assert all(data.dtype[name].kind in "fb" for name in ("kimg", "g_lr", "sigma_1", "kid"))
    assert data["g_lr"][1] == 1e-30
    assert np.isnan(data["kid"][1])
    assert np.isinf(data["sigma_1"][1])
    counts = np.genfromtxt(tmp_path / "histograms.csv", delimiter=",", names=True, dtype=None)
    assert counts["d_fake_19"] == 2**20 + 39


def test_pandas_reads_them(tmp_path):
    pandas = pytest.importorskip("pandas")
    some_tables(tmp_path)
    frame = pandas.read_csv(tmp_path / "metrics.csv")
    assert list(frame.columns) == list(columns(scores=("kid",), sigmas=1))
    assert frame["step"].tolist() == [0, 4]
    assert all(frame.dtypes[name] == "int64" for name in ("epoch", "step"))
    assert all(frame.dtypes[name] == "float64" for name in frame.columns if name not in ("epoch", "step"))
    assert frame["g_loss"].isna().tolist() == [True, False]
    counts = pandas.read_csv(tmp_path / "histograms.csv").set_index("epoch").filter(like="d_fake")
    assert counts.shape == (1, 20)
    assert counts.loc[1].sum() == sum(2**20 + i for i in range(20, 40))
