"""The report: its numbers are those of the run's files, its command makes the same run, and damage is a sentence."""

import csv
import html
import json
import math
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest

from doggan.config import Config, Penalty
from doggan.recipes import flatten, load_recipe, recipe_names
from doggan.reporting import write_report
from doggan.reporting.pictures import SHEETS, picture, sheets_through_time, verdict_strip
from doggan.reporting.record import Record
from doggan.reporting.reproduce import command
from doggan.runs import Run


def text_of(page):
    """What a reader sees of a page: no markup, style or script."""
    body = re.sub(r"<(script|style).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


@pytest.fixture(scope="module")
def written(finished_run, tmp_path_factory):
    return write_report(finished_run, tmp_path_factory.mktemp("page") / "report.html")


def test_its_numbers_are_those_of_the_files(finished_run, written):
    text = text_of(written)
    with (finished_run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    scored = [(float(row["random-kid"]), row) for row in rows if row["random-kid"]]
    best, row = min(scored, key=lambda pair: pair[0])
    assert f"{best:.4g} at epoch {row['epoch']}" in text
    for score, row in scored:
        interval = 1.96 * float(row["random-kid_standard_error"])
        assert f"{score:.4g} ± {interval:.2g}" in text
    assert "finished, 3 epochs" in text
    assert f"{int(rows[-1]['step'])}" in text
    comparison = json.loads((finished_run.folder / "scores.json").read_text())
    assert f"{comparison['samples']} samples against {comparison['real']} {comparison['split']} crops" in text


def test_its_curves_end_where_the_table_does(finished_run, written):
    with (finished_run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    page = written.read_text(encoding="utf-8")
    charts = [json.loads(html.unescape(found)) for found in re.findall(r'data-chart="([^"]*)"', page)]
    lines = {line["name"]: (chart["x"], line["y"]) for chart in charts for line in chart["lines"]}
    for name, key in {"real pictures": "d_real", "generated ones": "d_fake", "layer 2": "sigma_2"}.items():
        x, y = lines[name]
        assert x == [0, 1, 2, 3]
        expected = [float(row[key] or "nan") for row in rows]
        assert [math.nan if value is None else value for value in y] == pytest.approx(expected, rel=1e-3, nan_ok=True)


def test_it_has_everything_inside(written):
    page = written.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in re.sub(r'data:[^"]*', "", page)
    assert written.stat().st_size < 2_000_000


def test_classes_have_rows_and_samples_their_nearest(finished_run, written):
    page, text = written.read_text(encoding="utf-8"), text_of(written)
    assert page.count('<th scope="row">') >= len(finished_run.find_classes([]))
    assert page.count('<div class="both">') == 12
    assert "12 samples of the best checkpoint" in text


def test_quick_builds_no_networks(finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr("doggan.reporting.report.look", lambda run: pytest.fail("networks were built"))
    text = text_of(write_report(finished_run, tmp_path / "quick.html", quick=True))
    assert "Is it copying?" not in text
    assert "Train it again" in text


def test_by_default_it_lies_in_the_run(copied_run):
    assert write_report(copied_run, quick=True) == copied_run.folder / "report.html"


def test_a_run_that_has_only_begun(begun_run, tmp_path):
    text = text_of(write_report(begun_run, tmp_path / "report.html"))
    for sentence in (
        "No sheet has been drawn yet",
        "Nothing has been scored yet",
        "No epoch has ended yet",
        "has no checkpoint 'best'; it has none at all",
        "within the first of 4 epochs",
    ):
        assert sentence in text


def test_attention_is_shown_where_there_is_any(attending_run, tmp_path):
    page = write_report(attending_run, tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    assert "what four positions of each attend to in the generator" in text
    assert "what four positions of each attend to in the discriminator" in text


def test_damage_is_a_sentence(copied_run, tmp_path):
    (copied_run.folder / "metrics.csv").write_text("epoch,step\nnonsense")
    (copied_run.folder / "scores.json").write_text("{")
    (copied_run.folder / "samples" / "epoch-0001.png").write_bytes(b"no picture")
    for path in (copied_run.folder / "checkpoints").iterdir():
        path.write_bytes(b"no checkpoint")
    text = text_of(write_report(copied_run, tmp_path / "report.html"))
    assert "metrics.csv is not a metrics.csv of doggan" in text
    assert "scores.json cannot be read" in text
    assert "epoch-0001.png cannot be read" in text
    assert "best.npz is damaged" in text or "best.npz" in text


def test_data_that_is_gone_is_a_sentence(copied_run, tmp_path):
    config = json.loads((copied_run.folder / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "gone.npz")
    (copied_run.folder / "config.json").write_text(json.dumps(config))
    text = text_of(write_report(Run.open(copied_run.folder), tmp_path / "report.html"))
    assert "gone.npz" in text
    assert "give its new place" in text


def test_names_are_text_and_never_markup(copied_run, tmp_path):
    config = json.loads((copied_run.folder / "config.json").read_text())
    config["config"]["recipe"] = "<script>alert(1)</script>"
    config["versions"] = {"<b>": "& \"'"}
    config["classes"]["names"][0] = "<img src=x onerror=alert(2)>"
    (copied_run.folder / "config.json").write_text(json.dumps(config))
    page = write_report(Run.open(copied_run.folder), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_rollback_and_overrides_are_told(copied_run, tmp_path):
    record = {"from_step": 8, "to_step": 6, "reason": "d_loss is nan", "factor": 0.5, "to_remove": []}
    (copied_run.folder / "rollback.json").write_text(json.dumps(record))
    config = json.loads((copied_run.folder / "config.json").read_text())
    config["overrides"] = [{"step": 3, "settings": {"train.keep": {"from": 2, "to": 5}}}]
    (copied_run.folder / "config.json").write_text(json.dumps(config))
    text = text_of(write_report(Run.open(copied_run.folder), tmp_path / "report.html", quick=True))
    assert "collapsed at step 8 (d_loss is nan)" in text
    assert "from step 3: train.keep from 2 to 5" in text


@pytest.mark.parametrize("name", recipe_names())
def test_the_command_of_a_recipe_makes_its_configuration(name):
    config = replace(load_recipe(name), seed=7, penalty=Penalty(r1=0.25, interval=4))
    assert recipe_of(command(config, "my dogs.npz")) == config


def test_the_command_of_a_recipe_of_the_user_s(finished_run):
    config = finished_run.config
    assert config.recipe == "tiny"
    assert recipe_of(command(config, "dogs.npz")) == config
    assert recipe_of(command(Config(recipe="it's mine"), "dogs.npz")) == Config(recipe="it's mine")


def recipe_of(text):
    """What `doggan train` makes of a command line as a shell reads it."""
    program, train, data, *options = shlex.split(text.replace("\\\n", ""))
    assert (program, train) == ("doggan", "train")
    assert data.endswith(".npz")
    assert options[0] == "--recipe"
    assert options[2::2] == ["--set"] * len(options[2::2])
    return load_recipe(options[1], tuple(options[3::2]))


def test_all_settings_are_listed(finished_run, written):
    text = text_of(written)
    assert all(key in text for key in flatten(finished_run.config))


def test_a_long_run_shows_some_sheets_the_first_and_the_last(tmp_path):
    from doggan.plots import save_png

    sheets = {epoch: tmp_path / f"{epoch}.png" for epoch in range(101)}
    for path in sheets.values():
        save_png(path, np.full((8, 8, 3), 200, np.uint8))
    shown, problems = sheets_through_time(sheets)
    assert not problems
    assert len(shown) == SHEETS
    assert (shown[0].caption, shown[-1].caption) == ("epoch 0", "epoch 100")


def test_pictures_are_embedded_as_they_are():
    import base64
    import io

    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    embedded = picture(pixels, "noise")
    assert (embedded.width, embedded.height) == (7, 5)
    data = base64.b64decode(embedded.src.removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert picture(pixels[..., :1], "grey").src.startswith("data:image/png")


def test_a_strip_says_where_the_means_are():
    counts = np.zeros((3, 20))
    counts[0, 0], counts[1, 10], counts[2, 19] = 5, 5, 5
    strip = verdict_strip([1, 2, 3], counts, "real pictures")
    assert (strip.width, strip.height) == (3, 20)
    assert strip.alt.endswith("the mean goes from 0.03 to 0.97")  # the middles of the first and the last bin


def test_the_record_counts_epochs_and_steps(finished_run):
    record = Record.of(finished_run)
    assert (record.epoch, record.step, record.steps_per_epoch) == (3, 9, 3)
    assert [row["epoch"] for row in record.epochs] == [0, 1, 2, 3]
    assert record.at({"step": 4.0}) == pytest.approx(4 / 3)
    assert not record.problems
