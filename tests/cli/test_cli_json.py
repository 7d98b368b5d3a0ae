"""`--json`: one object that a program reads, and nothing else; and exit codes."""

import dataclasses
import json

import numpy as np
import pytest

from doggan.runs.outcome import Outcome
from doggan.submission import write_submission


def read(result):
    status, out, err = result
    assert status == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


def test_prepare(doggan, dog_tree, tmp_path):
    out = tmp_path / "dogs.npz"
    told = read(doggan("prepare", dog_tree, "--out", out, "--size", 32, "--holdout", 0.25, "--json"))
    assert told["out"] == str(out)
    assert told["photographs"] == 24
    assert told["training"] + told["heldout"] == told["pictures"]
    with np.load(out) as file:
        assert len(file["images"]) == told["pictures"]
    assert told["faults"] == {}


def test_prepare_names_faults_by_reason(doggan, dog_tree, tmp_path):
    import shutil

    tree = tmp_path / "tree"
    shutil.copytree(dog_tree, tree)
    broken = next((tree / "Images").glob("*/*.jpg"))
    broken.write_bytes(b"no picture")
    told = read(doggan("prepare", tree, "--out", tmp_path / "dogs.npz", "--size", 32, "--json"))
    (reason,) = told["faults"]
    assert told["faults"][reason] == [broken.stem]


def test_check(doggan, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    path = tmp_path / "images.zip"
    write_submission([pictures], path, 5)
    told = read(doggan("check", path, "--count", 5, "--json"))
    assert told == {"path": str(path), "images": 5, "side": 64, "bytes": path.stat().st_size}
    status, out, err = doggan("check", path, "--json")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


def test_sample(doggan, finished_run, tmp_path):
    out = tmp_path / "samples.png"
    told = read(doggan("sample", finished_run.folder, "--n", 3, "--seed", 4, "--out", out, "--json"))
    assert told["path"] == str(out)
    assert told["step"] == finished_run.checkpoints.best()[0]
    assert told["seed"] == 4
    assert len(told["classes"]) == len(finished_run.find_classes([]))
    assert told["samples"] == 3


def test_submit(doggan, finished_run, tmp_path, monkeypatch):
    from doggan.runs import submit as module
    from doggan.submission import SubmissionCheck

    out = tmp_path / "images.zip"
    told = SubmissionCheck(out, 12, 64, 3456)  # a run of 32×32 makes none
    monkeypatch.setattr(module, "write_submission", lambda batches, path, count: None)
    monkeypatch.setattr(module, "check_submission", lambda path, count: told)
    step = finished_run.checkpoints.best()[0]
    assert read(doggan("submit", finished_run.folder, "--count", 12, "--seed", 5, "-o", out, "--json")) == {
        "path": str(out),
        "images": 12,
        "side": 64,
        "bytes": 3456,
        "step": step,
        "weights": "averaged weights",
        "seed": 5,
    }


def test_demo(doggan, monkeypatch, tmp_path):
    from doggan import demo as module

    places = [field.name for field in dataclasses.fields(module.DemoResult)][:10]
    done = module.DemoResult(**{name: tmp_path / name for name in places}, learned=module.Learned(1, 4, 0.5), seconds=7)
    monkeypatch.setattr(module, "demo", lambda folder, *, seed, progress: progress or done)
    told = read(doggan("demo", "--out", tmp_path / "new", "--json"))
    assert told["learned"] == {"kid": 1, "kid_untrained": 4, "spread": 0.5}
    assert [told[name] for name in places] == [str(tmp_path / name) for name in places]


def test_a_dry_run(doggan, finished_run, tiny_toml, monkeypatch):
    from doggan import runs

    monkeypatch.setattr(runs, "describe_cost", lambda config, images, weights: "two\nlines")  # measures for seconds
    asked = ("train", finished_run.data_path, "-r", tiny_toml, "--set", "train.epochs=2", "--dry-run")
    told = read(doggan(*asked, "--json"))
    assert told["settings"] | {"train.epochs": 2, "train.batch_size": 8, "seed": 0} == told["settings"]
    assert told["cost"] == ["two", "lines"]
    assert doggan(*asked)[1].endswith("\n\ntwo\nlines\n")


def test_a_mistake_is_a_sentence_all_the_same(doggan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["prepare", "gone"], ["submit", "gone"], ["sample", "gone"], ["train", "gone.npz"], ["runs", "gone"]):
        status, out, err = doggan(*words, "--json")
        assert (status, out) == (2, ""), words
        assert err.startswith("doggan")
        assert err.count("\n") == 1


def test_train_again(doggan, finished_run):
    told = read(doggan("train", "--resume", finished_run.folder, "--json"))
    step, score = finished_run.checkpoints.best()
    assert told == {
        "run": str(finished_run.folder),
        "recipe": "tiny",
        "step": 9,
        "total_steps": 9,
        "stopped_by": None,
        "collapsed": False,
        "best": {"step": step, "score": pytest.approx(score)},
    }


def test_a_collapse_is_3(doggan, finished_run, monkeypatch):
    from doggan import runs

    monkeypatch.setattr(runs, "train", lambda *args, **options: Outcome(5, 9, "d_loss is nan", collapsed=True))
    status, out, _ = doggan("train", "--resume", finished_run.folder, "--json")
    assert status == 3
    assert json.loads(out)["stopped_by"] == "d_loss is nan"
    assert doggan("train", "--resume", finished_run.folder)[0] == 3


@pytest.mark.parametrize(("signal", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_is_what_shells_expect(doggan, finished_run, monkeypatch, signal, status):
    from doggan import runs

    monkeypatch.setattr(runs, "train", lambda *args, **options: Outcome(5, 9, signal))
    assert doggan("train", "--resume", finished_run.folder, "--quiet")[0] == status


def test_sheets_of_other_layouts(doggan, finished_run, tmp_path):
    from doggan.plots.sheets import read_png

    breed = finished_run.classes.names[finished_run.find_classes([])[0]]
    out = tmp_path / "wide.png"
    options = ("--n", 6, "--columns", 6, "--scale", 3, "--out", out)
    assert doggan("sample", finished_run.folder, "--class", breed, *options)[0] == 0
    assert read_png(out).shape == (96, 6 * 96 + 5 * 2, 3)
    status, _, err = doggan("sample", finished_run.folder, *options)
    assert status == 2
    assert "leave out --columns, --scale" in err
