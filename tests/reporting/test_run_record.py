"""Which checkpoint a report calls the best, what it does with damaged tables, and names that look like numbers."""

import json
import shlex
from dataclasses import replace

import pytest

from doggan.config import Config, Train
from doggan.recipes import load_recipe
from doggan.reporting import write_report
from doggan.reporting.record import Record
from doggan.reporting.reproduce import command
from doggan.runs import Run
from doggan.runs.history import verdict_columns

KID = (
    "epoch,step,kimg,random-kid,random-kid_standard_error\n0,0,0,0.5,0.1\n1,3,1,2.5,0.1\n2,6,2,1.25,0.1\n3,9,3,4,0.1\n"
)
IS = "epoch,step,inception_score,inception_score_std\n0,0,1.5,0.1\n1,3,2.5,0.1\n2,6,4,0.1\n3,9,3,0.1\n"


def with_table(run, text, **settings):
    (run.folder / "metrics.csv").write_text(text)
    return replace(run, config=replace(run.config, train=replace(run.config.train, **settings)))


def without_best(run):
    (run.checkpoints.folder / "best.npz").unlink()
    return run


def test_the_best_is_that_of_the_checkpoint_even_where_the_table_has_a_lower_score(copied_run):
    step, _ = copied_run.checkpoints.best()
    other = next(each for each in (3, 6, 9) if each != step)
    table = f"epoch,step,kimg,random-kid\n0,0,0,9\n{other // 3},{other},1,1\n{step // 3},{step},1,2\n"
    name, row = Record.of(with_table(copied_run, table)).best
    assert (name, row["step"], row["random-kid"]) == ("random-kid", step, 2)


def test_the_untrained_generator_is_nobody_s_best(copied_run):
    run = without_best(copied_run)
    assert Record.of(with_table(run, KID)).best[1]["step"] == 6
    assert Record.of(with_table(run, "epoch,step,kimg,random-kid\n0,0,0,9\n")).best is None


def test_more_is_better_of_the_inception_score(copied_run, tmp_path):
    run = with_table(without_best(copied_run), IS, metrics=("is",), extractor="inception")
    assert Record.of(run).best[1]["inception_score"] == 4
    page = write_report(run, tmp_path / "report.html", quick=True).read_text(encoding="utf-8")
    assert "Higher is better." in page
    assert "Lower is better" not in page
    both = with_table(run, IS, metrics=("is", "kid"))
    page = write_report(both, tmp_path / "report.html", quick=True).read_text(encoding="utf-8")
    assert "Lower is better of kid, higher of is." in page


def test_a_checkpoint_that_is_damaged_is_left_where_it_is(copied_run):
    best = copied_run.checkpoints.folder / "best.npz"
    best.write_bytes(b"no checkpoint")
    assert Record.of(with_table(copied_run, KID)).best[1]["step"] == 6
    assert best.read_bytes() == b"no checkpoint"


HISTOGRAMS = ",".join(verdict_columns())
OF_OTHER_TYPES = {
    "scores.json": '{"extractor": 1, "samples": null, "real": "x", "split": 2, "training": 0}',
    "rollback.json": '{"from_step": "x", "to_step": 0, "reason": "collapse", "to_remove": []}',
}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("metrics.csv", "step,kimg\n0,0\n5,1\n", "2 of its 2 rows lack numbers"),
        ("metrics.csv", "epoch,step,d_real\n0,0,0.5\n,5,0.5\n", "1 of its 2 rows lack numbers"),
        ("metrics.csv", "epoch,step\n0," + 200_000 * "1" + "\n", "metrics.csv cannot be read"),
        ("metrics.csv", "\0\n1,2", "is not a metrics.csv of doggan"),
        ("histograms.csv", "epoch,step,d_real_00\n1,5,3\n", "1 of its 1 rows lack numbers"),
        ("histograms.csv", f"{HISTOGRAMS}\n1,5{40 * ',1'}\n2,10{39 * ',1'},\n", "1 of its 2 rows lack numbers"),
        *((name, text, f"{name} cannot be read") for name, text in OF_OTHER_TYPES.items()),
    ],
)
def test_a_damaged_file_is_a_sentence(copied_run, tmp_path, name, text, sentence):
    (copied_run.folder / name).write_text(text)
    assert sentence in write_report(copied_run, tmp_path / "report.html", quick=True).read_text(encoding="utf-8")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_epoch_without_verdicts_can_be_drawn(copied_run, tmp_path):
    (copied_run.folder / "histograms.csv").write_text(f"{HISTOGRAMS}\n1,5{40 * ',0'}\n")
    assert not Record.of(copied_run).problems
    write_report(copied_run, tmp_path / "report.html", quick=True)


def test_rows_that_are_whole_stay(copied_run):
    run = with_table(copied_run, "epoch,step,d_real\n0,0,0.5\n1,3,0.75\n,6,0.5\n")
    assert [row["step"] for row in Record.of(run).rows] == [0, 3]


def test_other_pictures_at_the_place_of_the_data_are_not_described(copied_run, tiny_images, tmp_path):
    tiny_images.save(tmp_path / "other.npz")
    config = json.loads((copied_run.folder / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "other.npz")
    (copied_run.folder / "config.json").write_text(json.dumps(config))
    page = write_report(Run.open(copied_run.folder), tmp_path / "report.html", quick=True).read_text(encoding="utf-8")
    assert "holds other pictures now than those it was trained on" in page
    assert "of them are held out" not in page


@pytest.mark.parametrize("name", ["2", "true", "1e3", "nan", "2020-01-01", "[x]", "x y", "it's", '"q"'])
def test_a_recipe_s_name_may_look_like_a_number(name):
    config = replace(Config(recipe=name), train=Train(epochs=7))
    words = shlex.split(command(config, "dogs.npz").replace("\\\n", ""))
    settings = tuple(words[i + 1] for i, word in enumerate(words) if word == "--set")
    assert load_recipe(words[words.index("--recipe") + 1], settings) == config
