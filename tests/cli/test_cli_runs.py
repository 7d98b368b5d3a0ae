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
    status, _, err = doggan("runs", folder)
    assert (status, err) == (0, f"1 folder is left out: it has a damaged {folder}/00000-first/config.json\n")
    (folder / "00002-third" / "metrics.csv").write_bytes(b"epoch,kimg\n\x00\xff")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "config.json").write_text('{"config": {}}')
    status, out, err = doggan("runs", folder)
    assert status == 0
    assert "00001-second" in out
    names = ("00000-first/config.json", "00002-third/metrics.csv", "foreign/config.json")
    files = ", ".join(f"{folder}/{name}" for name in names)
    assert err == f"3 folders are left out: they have a damaged {files}\n"


def test_a_run_itself_is_a_list_of_one(finished_run, monkeypatch):
    monkeypatch.chdir(finished_run.folder)
    assert [run.folder for run in list_runs(".").runs] == [finished_run.folder.name]


def test_of_the_inception_score_more_is_better_and_no_number_is_none(folder, doggan):
    path = folder / "00000-first"
    record = json.loads((path / "config.json").read_text())
    record["config"]["train"] |= {"extractor": "inception", "metrics": ["is", "fid"]}
    (path / "config.json").write_text(json.dumps(record))
    values = ("1.5", "2.5", "", "nan", "2.0")
    rows = "".join(f"{i},{i / 10},{value}\n" for i, value in enumerate(values))
    (path / "metrics.csv").write_text(f"epoch,kimg,inception_score\n{rows}")
    status, out, _ = doggan("runs", path, "--json")
    (told,) = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert status == 0
    assert (told["score"], told["best"], told["scores"]) == ("inception_score", 2.5, [1.5, 2.5, None, 2.0])
    assert (told["epoch"], told["kimg"]) == (4, 0.4)


def test_the_recipe_has_no_column_where_names_say_it(folder, doggan):
    for name in ("00000-first", "00001-second", "00002-third"):
        (folder / name).rename(folder / f"{name[:5]}-tiny")
    head, *lines = doggan("runs", folder)[1].splitlines()
    assert head.split() == ["run", "state", "kimg", "best", "score", "written"]
    assert len(lines) == 3
    kimg = head.index("kimg") + 4
    assert {line[kimg] for line in lines} == {" "}  # numbers end where their heading does
    assert all(line[kimg - 1].isdigit() for line in lines)


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
    assert sparkline([1.0, None, 2.0]) == "▁ █"
    line = sparkline(range(1, 101), width=10)
    assert (len(line), line[0], line[-1]) == (10, "▁", "█")
