"""Runs side by side."""

import csv
import json
import re

import pytest

from doggan.errors import DogganError
from doggan.reporting import compare, write_comparison
from doggan.reporting.record import Record


def test_only_what_differs_is_listed(finished_run, begun_run):
    compared = compare([finished_run, begun_run])
    assert compared.settings["seed"] == [0, 3]
    assert compared.settings["generator.attention"] == [(), (1,)]
    assert "train.batch_size" not in compared.settings
    assert compared.results["state"] == ["finished, 3 epochs", "within the first of 4 epochs"]
    assert compared.results["steps"] == [9, 0]


def test_folders_of_one_name_are_told_apart(finished_run, begun_run):
    first, second = compare([finished_run, begun_run]).names
    assert first.endswith("/run")
    assert second.endswith("/run")
    assert first != second


def test_the_same_run_twice_differs_in_nothing(finished_run, copied_run):
    compared = compare([finished_run, copied_run])
    assert compared.settings == {}
    assert compared.note == ""


def test_scores_of_other_pictures_or_features_are_not_drawn_together(finished_run, copied_run, tmp_path):
    scores = copied_run.folder / "scores.json"
    scores.write_text(json.dumps(json.loads(scores.read_text()) | {"samples": 99}))
    compared = write_comparison([finished_run, copied_run], tmp_path / "compare.html")
    assert "not comparable" in compared.note
    assert "99 samples" in compared.note
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<h3>random-kid, (run|copied)</h3>", page)) == 2
    assert "Each run's are drawn apart, because the scores are not comparable" in page
    alike = write_comparison([finished_run, finished_run], tmp_path / "alike.html")
    assert alike.note == ""
    assert (tmp_path / "alike.html").read_text(encoding="utf-8").count("<h3>random-kid</h3>") == 1


def test_one_run_is_too_few(finished_run):
    with pytest.raises(DogganError, match="at least two runs"):
        compare([finished_run])


def test_the_command_prints_tables_or_json(finished_run, begun_run, tmp_path, doggan):
    page = tmp_path / "compare.html"
    status, out, _ = doggan("compare", finished_run.folder, begun_run.folder, "--out", page)
    assert status == 0
    name, row = Record.of(finished_run).best
    assert f"{name} {row[name]:.4g}" in out
    assert re.search(r"^seed +0 +3$", out, re.MULTILINE)
    assert page.exists()
    status, out, _ = doggan("compare", finished_run.folder, begun_run.folder, "--out", page, "--json")
    told = json.loads(out)
    assert told["settings"]["seed"] == [0, 3]
    assert told["page"] == str(page)
    assert told["results"]["score"] == [name, None]
    assert told["results"]["best"] == [row[name], None]
    assert told["results"]["best_step"] == [int(row["step"]), None]
    with (finished_run.folder / "metrics.csv").open() as file:
        seconds = sum(float(each["seconds"]) for each in csv.DictReader(file) if each["seconds"])
    assert told["results"]["seconds"] == [pytest.approx(seconds), None]
    status, out, err = doggan("compare", finished_run.folder, "--out", page)
    assert (status, out) == (2, "")
    assert "at least two runs" in err


def test_the_report_s_command(finished_run, tmp_path, doggan):
    status, out, _ = doggan("report", finished_run.folder, "--quick", "--out", tmp_path / "page.html")
    assert (status, out) == (0, f"report: {tmp_path / 'page.html'}\n")
    status, _, err = doggan("report", tmp_path)
    assert status == 2
    assert "is not a run" in err
