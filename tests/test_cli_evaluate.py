"""`doggan evaluate` from the command line."""

import json
import shutil

import click
import numpy as np
import pytest

from doggan import cli
from doggan.submission import write_submission


@pytest.fixture
def doggan(doggan, monkeypatch, tmp_path):
    """The command with an empty cache."""
    monkeypatch.setenv("DOGGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    return doggan


@pytest.fixture
def submission(tmp_path):
    path = tmp_path / "images.zip"
    images = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    write_submission([images], path, 12)
    return path


def test_lines_evidence_and_cache(doggan, submission, dog_tree, tmp_path, monkeypatch):
    evidence = tmp_path / "evidence.png"
    arguments = ("evaluate", submission, "--real", dog_tree, "--extractor", "random", "--quiet")
    status, out, _ = doggan(*arguments, "--evidence", evidence)
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["random-fid", "random-mifid", "random-kid", "random-precision"]
    assert all("random-conv, protocol kaggle, 12 generated against 24 real images" in line for line in lines[:4])
    assert lines[-1] == f"evidence: {evidence}"
    assert evidence.exists()
    assert "to 24 training images, ε 0.1)" in lines[1]
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 2

    def computed(*arguments, **options):
        raise AssertionError("features that are in the cache are computed")

    monkeypatch.setattr("doggan.metrics.extractors.RandomExtractor.features", computed)
    assert doggan(*arguments)[1].splitlines()[:4] == lines[:4]
    with pytest.raises(AssertionError, match="in the cache"):
        doggan(*arguments, "--no-cache")


def test_json_is_alone_on_stdout(doggan, submission, dog_tree, tmp_path):
    status, out, err = doggan(
        *("evaluate", submission, "--real", dog_tree, "--extractor", "random", "--json"),
        *("--metrics", "kid, fid", "--no-cache", "--evidence", tmp_path / "e.png"),
    )
    assert status == 0
    record = json.loads(out)
    assert list(record["scores"]) == ["random-kid", "random-kid_standard_error", "random-fid"]
    assert (record["n_generated"], record["n_real"], record["protocol"]) == (12, 24, "kaggle")
    assert (record["tiny"], record["sampled"]) == (1e-15, None)
    assert not (tmp_path / "cache").exists()
    for word in ("features", "finding the nearest images", "computing kid", "computing fid"):
        assert word in err


def test_quiet_is_quiet(doggan, submission, dog_tree, tmp_path):
    *_, err = doggan(
        *("evaluate", submission, "--real", dog_tree, "--extractor", "random", "--quiet"),
        *("--metrics", "kid", "--evidence", tmp_path / "e.png"),
    )
    assert err == ""


def test_a_run_is_sampled(doggan, tiny_images, tiny_recipe, tmp_path):
    data, run = tmp_path / "tiny.npz", tmp_path / "run"
    tiny_images.save(data)
    settings = ("--set", "train.epochs=2", "--set", "train.checkpoint_every=1")
    assert doggan("train", data, "-r", tiny_recipe, "-o", run, *settings, "--quiet")[0] == 0
    checkpoints = run / "checkpoints"
    shutil.copy(checkpoints / "step-00000004.npz", checkpoints / "best.npz")  # so that it is not the newest
    arguments = ("evaluate", run, "--real", data, "--extractor", "random", "--metrics", "kid", "--quiet", "--json")

    def record(*more):
        status, out, _ = doggan(*arguments, "--count", 20, *more)
        assert status == 0
        return json.loads(out)

    first = record("--seed", 3, "--checkpoint", "newest")
    assert first["n_generated"] == 20
    assert first["protocol"].startswith("crops ")
    assert first["sampled"] == {"checkpoint": "newest", "step": 8, "seed": 3, "weights": "averaged weights"}
    assert record("--seed", 3, "--checkpoint", "newest") == first
    assert record("--seed", 4, "--checkpoint", "newest")["scores"] != first["scores"]
    best = record("--seed", 3)
    assert best["sampled"] == {"checkpoint": "best", "step": 4, "seed": 3, "weights": "averaged weights"}
    assert best["scores"] == record("--seed", 3, "--checkpoint", 4)["scores"] != first["scores"]
    _, lines, _ = doggan(*arguments[:-1], "--count", 20)
    sampled = "generated pictures: sampled from step 4 (checkpoint best, averaged weights) with seed 0"
    assert sampled in lines.splitlines()
    raw = record("--seed", 3, "--checkpoint", "newest", "--raw-generator")
    assert raw["sampled"]["weights"] == "weights as trained"
    estimated = record("--seed", 3, "--checkpoint", "newest", "--bn-samples", 40)
    assert estimated["sampled"]["weights"] == "averaged weights, batch norm re-estimated on 40 z"
    assert len({one["scores"]["random-kid"] for one in (first, raw, estimated)}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--extractor", "random", "--count", 100), "is not a run"),
        (("--extractor", "random", "--raw-generator", "--bn-samples", 9), "leave out --raw-generator, --bn-samples"),
        (("--extractor", "random", "--split", "train"), "is a folder and has no split 'train'"),
        (("--extractor", "random", "--evidence", "/dev/null/x.png"), "/dev/null/x.png cannot be written"),
        (("--extractor", "random", "--weights", "x.npz"), "leave x.npz out"),
        (("--extractor", "random", "--metrics", "fid,xyz"), "no metric 'xyz'"),
        (("--extractor", "random", "--metrics", "is"), "needs the logits"),
        (("--extractor", "vgg"), "'vgg' is not one of"),
        (("--weights", "absent.npz"), "absent.npz does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(doggan, submission, dog_tree, arguments, message):
    status, out, err = doggan("evaluate", submission, "--real", dog_tree, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_without_weights_one_sentence_says_how_to_get_them(doggan, submission, dog_tree):
    status, _, err = doggan("evaluate", submission, "--real", dog_tree)
    assert status == 2
    assert "doggan download inception" in err
    assert len(err.splitlines()) == 1


def test_the_options_are_those_of_the_package():
    """The command names them itself, because what knows them imports NumPy, SciPy or OpenCV."""
    from doggan.metrics.extractors import EXTRACTORS
    from doggan.metrics.protocols import SPLITS
    from doggan.metrics.scores import DEFAULT_METRICS, METRICS
    from doggan.submission import COUNT

    options = {option.name: option for option in cli.cli.get_command(click.Context(cli.cli), "evaluate").params}
    assert tuple(options["extractor"].type.choices) == tuple(EXTRACTORS)
    assert tuple(options["split"].type.choices) == SPLITS
    assert options["metrics"].default == ",".join(DEFAULT_METRICS)
    assert options["metrics"].help == f"Some of {', '.join(METRICS)}."
    assert options["count"].default == COUNT


def test_real_is_needed(doggan, submission):
    status, _, err = doggan("evaluate", submission)
    assert status == 2
    assert "--real" in err
