"""`doggan runs`: what is in the small files, quickly, and damage in one line."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from doggan.errors import DogganError
from doggan.listing import list_runs, sparkline


@pytest.fixture
def folder(finished_run, tmp_path):
    """Three runs: one finished an hour ago, one as it began, one that went back; and a folder that is none."""
    runs = tmp_path / "runs"
    small = ("config.json", "metrics.csv", "scores.json")
    for name in ("00000-first", "00001-second", "00002-third"):
        (runs / name).mkdir(parents=True)
        for file in small:
            shutil.copy(finished_run.folder / file, runs / name / file)
    (runs / "00001-second" / "metrics.csv").unlink()
    (runs / "00002-third" / "rollback.json").write_text("{}")
    for file in small[:2]:
        os.utime(runs / "00000-first" / file, (time.time() - 3600,) * 2)
    (runs / "notes").mkdir()
    return runs


def test_a_run_is_listed_as_its_table_has_it(folder, finished_run):
    with (finished_run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = list_runs(folder).runs[0]
    scores = [float(row["random-kid"]) for row in rows if row["random-kid"]]
    assert (first.folder, first.recipe, first.state) == ("00000-first", "tiny", "finished")
    assert (first.score, first.best, list(first.scores)) == ("random-kid", min(scores), scores)
    assert first.kimg == float(rows[-1]["kimg"])
    assert first.age == pytest.approx(3600, abs=60)


def test_states(folder):
    states = {run.folder: run.state for run in list_runs(folder).runs}
    assert states["00001-second"] == "epoch 0 of 3"
    assert states["00002-third"] == "finished, rolled back"


def test_the_last_written_is_last(folder):
    os.utime(folder / "00001-second" / "config.json", (time.time() - 7200,) * 2)
    assert [run.folder for run in list_runs(folder).runs] == ["00001-second", "00000-first", "00002-third"]


def test_the_command(folder, doggan):
    status, out, err = doggan("runs", folder)
    assert (status, err) == (0, "")
    head, first, *_ = out.splitlines()
    assert head.split() == ["run", "recipe", "state", "kimg", "best", "score", "written"]
    assert first.startswith("00000-first")
    assert "1 h ago" in first
    assert "█" in first
    status, out, _ = doggan("runs", folder, "--json")
    assert json.loads(out)[0]["folder"] == "00000-first"


def test_without_unicode_bars_are_ascii(folder):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", "from doggan.cli import main; main()", "runs", folder]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"@" in done.stdout
    done.stdout.decode("ascii")


def test_what_is_damaged_is_counted_and_named(folder, doggan):
    (folder / "00000-first" / "config.json").write_text("{")
    (folder / "00002-third" / "config.json").write_text('{"config": {}}')
    status, out, err = doggan("runs", folder)
    assert status == 0
    assert "00001-second" in out
    assert err.startswith("2 folders have a config.json that is not a run's: ")
    assert err.count("\n") == 1


def test_nothing_is_said_to_be_nothing(doggan, tmp_path):
    status, out, _ = doggan("runs", tmp_path)
    assert (status, out) == (0, f"no runs in {tmp_path} yet; start one with doggan train\n")
    with pytest.raises(DogganError, match="There is no folder"):
        list_runs(tmp_path / "gone")


def test_listing_imports_no_keras(folder):
    code = (
        f"import sys; from doggan.listing import list_runs; list_runs({str(folder)!r}); print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_sparklines():
    assert sparkline([]) == ""
    assert sparkline([5.0]) == "▁"
    assert sparkline([1, 2, 4, 8, 16, 32, 64, 128]) == "▁▂▃▄▅▆▇█"  # equal ratios, equal steps
    assert sparkline([0.0, 7.0]) == "▁█"
    assert sparkline([1.0, float("nan"), 2.0]) == "▁ █"
    line = sparkline(range(1, 101), width=10)
    assert (len(line), line[0], line[-1]) == (10, "▁", "█")
