"""The figure of a run's scores: what it marks, and what it leaves out."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from doggan import plots


@pytest.fixture
def drawn(monkeypatch):
    """What was plotted, as (label, x, y) in order."""
    calls = []
    plot = Axes.plot

    def record(self, x, y, *args, **kwargs):
        calls.append((kwargs.get("label"), list(x), list(y)))
        return plot(self, x, y, *args, **kwargs)

    monkeypatch.setattr(Axes, "plot", record)
    return calls


def moments(**scores):
    """Rows at steps 0, 5, 10, ... with those scores."""
    return [
        {"step": 5 * i, **dict(zip(scores, values, strict=True))}
        for i, values in enumerate(zip(*scores.values(), strict=True))
    ]


def test_the_best_moment_is_marked_at_its_epoch(tmp_path, drawn):
    rows = [*moments(fid=[400.0, 90.0, 70.0, 80.0]), {"step": 20, "fid": math.nan}, {"step": 25}]
    plots.all_scores(tmp_path / "scores.png", rows, [["fid"]], steps_per_epoch=10, best_step=10)
    assert drawn == [
        (None, [0.0, 0.5, 1.0, 1.5], [400.0, 90.0, 70.0, 80.0]),
        ("best checkpoint (epoch 1): 70", [1.0], [70.0]),
    ]
    with Image.open(tmp_path / "scores.png") as image:
        assert np.asarray(image.convert("L")).min() < 100


def test_a_panel_for_each_metric_and_for_the_distance(tmp_path, drawn):
    rows = moments(
        mifid=[9.0, 8.0],
        memorization_distance=[0.2, 0.1],
        kid=[0.2, -0.1],
        kid_standard_error=[0.01, math.nan],
        precision=[0, 0.1],
        recall=[0, 0.2],
    )
    names = [["mifid", "memorization_distance"], ["kid", "kid_standard_error"], ["precision", "recall"]]
    plots.all_scores(tmp_path / "scores.png", rows, names, steps_per_epoch=5)
    assert [label for label, _, _ in drawn] == [None, None, None, "precision", "recall"]
    assert [y for _, _, y in drawn] == [[9, 8], [0.2, 0.1], [0.2, -0.1], [0, 0.1], [0, 0.2]]
    with Image.open(tmp_path / "scores.png") as image:  # four panels, two by two
        assert image.size == (11 * 150, 6 * 150)


@pytest.mark.parametrize(("values", "scale"), [([500.0, 30.0], "log"), ([50.0, 30.0], "linear"), ([1, -0.1], "linear")])
def test_the_axis_is_logarithmic_where_the_values_span_a_decade(tmp_path, monkeypatch, values, scale):
    asked = []
    monkeypatch.setattr(Axes, "set_yscale", lambda self, scale: asked.append(scale))
    plots.all_scores(tmp_path / "scores.png", moments(kid=values), [["kid"]], steps_per_epoch=5)
    assert asked == (["log"] if scale == "log" else [])


def test_the_same_rows_give_the_same_file_and_nothing_scored_gives_empty_axes(tmp_path):
    rows = moments(fid=[400.0, 90.0])
    for name in ("a.png", "b.png"):
        plots.all_scores(tmp_path / name, rows, [["fid"]], 5, 5)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    plots.all_scores(tmp_path / "empty.png", [], [["fid"]], 5)
    assert (tmp_path / "empty.png").exists()


def test_the_subtitle_says_what_the_scores_are(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **style: said.append(text))
    plots.all_scores(tmp_path / "plain.png", moments(fid=[4.0]), [["fid"]], 5)
    assert said == []
    plots.all_scores(tmp_path / "named.png", moments(fid=[4.0]), [["fid"]], 5, subtitle="1,000 samples")
    assert said == ["1,000 samples"]
