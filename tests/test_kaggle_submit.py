"""`kaggle_submit.py` under Kaggle's rules: a read-only input, a budget, few files, and always a whole zip."""

import csv
import importlib.util
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor

from doggan import cli, plots
from doggan.errors import DogganError, Interrupted
from doggan.recipes import load_recipe
from doggan.runs import Run
from doggan.runs.stop import Stop
from doggan.submission import check_submission, write_submission

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def loaded():
    spec = importlib.util.spec_from_file_location("kaggle_submit", ROOT / "kaggle_submit.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["kaggle_submit"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(loaded, monkeypatch):
    """The script, without what takes longer than such a run: measuring the generator, and figures of the losses."""
    monkeypatch.setattr(loaded, "sampling_rate", lambda generator: 1000.0)
    for name in ("epoch_losses", "all_losses"):
        monkeypatch.setattr(plots, name, lambda *args: None)
    return loaded


@pytest.fixture
def network(script, monkeypatch):
    """The network that the script finds in its input."""
    network = FakeExtractor()
    network.source = Path("x.npz")
    monkeypatch.setattr(script, "find_inception", lambda folder: network.source)
    monkeypatch.setattr(script, "load_inception", lambda path: network)
    return network


class Clock:
    """`time.monotonic`, which can be put forward."""

    def __init__(self):
        self.ahead, self.real = 0.0, time.monotonic

    def __call__(self):
        return self.real() + self.ahead


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture(scope="module")
def kaggle_input(tmp_path_factory):
    """The competition's input as a kernel sees it, on synthetic dogs; no file may be written below it."""
    from doggan.data.synthetic import draw_tree

    folder = tmp_path_factory.mktemp("kaggle") / "input"
    draw_tree(folder / "generative-dog-images", 24, seed=0, layout="kaggle", progress=False)
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    yield folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    for path in folder.rglob("*"):
        path.chmod(0o755)


def run(script, source, output, recipe, seconds, *overrides, count=40, bn_samples=0):
    lines = []
    score = script.kaggle_submit(
        source, output, hours=seconds / 3600, recipe=str(recipe), overrides=overrides, count=count,
        bn_samples=bn_samples, progress=False, say=lines.append,
    )  # fmt: skip
    return score, "\n".join(lines)


@pytest.mark.parametrize(
    ("recipe", "overrides", "framing"),
    [
        ("dogs-dcgan", (), ("dogs64.npz", 64, "square")),
        ("dogs-best-whole", (), ("dogs64-whole.npz", 64, "whole")),
        ("dogs-best-whole", ("data.size=96", "data.random_crop=true"), ("dogs96-whole.npz", 96, "whole")),
        ("dogs-cpu", ("data.crop=any",), ("dogs32-square.npz", 32, "square")),
        (
            "dogs-best",
            ("data.crop=padded", "data.size=80", "data.random_crop=true"),
            ("dogs80-padded.npz", 80, "padded"),
        ),
    ],
)
def test_it_prepares_the_framing_that_the_recipe_is_meant_for(script, recipe, overrides, framing, tmp_path):
    path, *rest = framing
    assert script._framing(load_recipe(recipe, overrides), tmp_path) == (tmp_path / path, *rest)


def test_a_run_that_ends_by_itself_and_has_no_time_for_its_score(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch, network
):
    """And leaves few files however many epochs it has."""
    network.seconds = 0.005
    for name, value in {"MOST_SHEETS": 4, "SCORING_SHARE": 0.001, "ENDING": 0.01}.items():
        monkeypatch.setattr(script, name, value)
    settings = ("train.epochs=23", "train.batch_size=24", "train.score_every=0", "train.checkpoint_every=50")
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 300, *settings)
    assert score is None
    assert "trained all 23 steps" in report
    assert "not scored: it would take about" in report
    assert check_submission(tmp_path / "images.zip", 40)
    assert len(network.sizes) == 2  # the trial alone
    sheets = len(list((tmp_path / "run" / "samples").iterdir()))
    assert sheets == 7  # of epochs 0, 1, every sixth and the last; and the latest
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= sheets + 15


def test_the_budget_stops_training_cleanly_and_the_next_call_continues(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch, clock
):
    """Each time the last state is scored within the budget, and nothing else is after the untrained one."""
    settings = ("train.epochs=100000", "train.score_every=50000")
    monkeypatch.setattr(script, "CLOSING", 10.0)
    step = Stop.on_train_batch_end

    def slow(self, batch, logs=None):
        clock.ahead += 2.0
        step(self, batch, logs)

    monkeypatch.setattr(Stop, "on_train_batch_end", slow)
    stopped = [0]
    for seconds in (120, 60):
        started = clock()
        _, report = run(script, kaggle_input, tmp_path, tiny64_recipe, seconds, *settings)
        assert clock() - started < seconds
        assert "the time is up" in report
        assert "without time" not in report
        assert check_submission(tmp_path / "images.zip", 40)
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= 500
        assert "(step 0," not in report
        stopped.append(int(report.split("stopped at step ")[1].split()[0]))
        with (tmp_path / "run" / "metrics.csv").open() as file:
            assert [int(row["step"]) for row in csv.DictReader(file) if row["random-kid"]] == stopped
    assert stopped == sorted(set(stopped))


def test_a_generator_that_repeats_itself_is_reported_and_its_zip_kept(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch
):
    def same(*args, **kwargs):
        yield np.full((40, 64, 64, 3), 127, np.uint8)

    monkeypatch.setattr(script, "generate", same)
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=1")
    assert "39 of the 40 images are copies" in report
    assert (tmp_path / "images.zip").exists()
    assert score is None
    assert "not scored: no Inception weights" in report


def test_a_budget_that_ends_while_sampling_still_leaves_a_whole_zip(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch, network, clock
):
    """The estimates are far too low: the budget ends between two batches, and what is left is not scored."""
    monkeypatch.setattr(script, "ENDING", 0.01)
    deadline = clock() + 600
    generate = script.generate
    batches_before = []

    def slow(generator, n, **options):
        for i, batch in enumerate(generate(generator, n, **{"batch_size": 10} | options)):
            yield batch
            if n == 40 and i == 1:
                batches_before.append(clock() < deadline)
                clock.ahead += 600

    monkeypatch.setattr(script, "generate", slow)
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=1")
    assert batches_before == [True]
    assert score is None
    assert "not scored, the time is up" in report
    assert check_submission(tmp_path / "images.zip", 40)


def test_the_final_zip_is_scored_and_training_uses_the_same_weights(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch, network
):
    """On the competition's data as zips, which are unpacked elsewhere."""
    source = tmp_path / "input" / "generative-dog-images"
    source.mkdir(parents=True)
    tree = kaggle_input / "generative-dog-images"
    shutil.make_archive(str(source / "all-dogs"), "zip", tree / "all-dogs", "all-dogs")
    shutil.make_archive(str(source / "Annotation"), "zip", tree / "annotation", "Annotation")
    given = []
    monkeypatch.setattr("doggan.runs.scores.load_extractor", lambda name, path: given.append((name, path)) or network)
    settings = ("train.epochs=2", "train.extractor=inception")
    score, report = run(script, source.parent, tmp_path / "out", tiny64_recipe, 600, *settings)
    assert score.n_generated == 40
    assert score.n_real == 24
    assert f"mifid {score.scores['mifid']:.4f} (memorization distance" in report
    assert "protocol kaggle, 40 generated against 24 real images" in report
    assert set(given) == {("inception", network.source)}
    assert "24 photographs" in report
    assert check_submission(tmp_path / "out" / "images.zip", 40)
    assert sorted(path.name for path in source.iterdir()) == ["Annotation.zip", "all-dogs.zip"]


def test_a_broken_network_does_not_cost_the_submission(script, tmp_path):
    (tmp_path / "classify_image_graph_def.pb").write_bytes(b"not a graph")
    said = []
    assert script._find_network(tmp_path, load_recipe("dogs-dcgan"), said.append) is None
    assert len(said) == 1
    assert said[0].startswith("not scored: ")
    assert "classify_image_graph_def.pb" in said[0]


def test_training_that_needs_weights_is_refused_before_anything_is_prepared(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch, network
):
    settings = ("train.extractor=inception", "train.metrics=['is']")
    with pytest.raises(DogganError, match="which fake does not have"):
        run(script, kaggle_input, tmp_path / "out", tiny64_recipe, 600, *settings)
    monkeypatch.undo()
    with pytest.raises(DogganError, match=r"no Inception weights under .*, or leave train\.extractor=inception out"):
        run(script, kaggle_input, tmp_path / "out", tiny64_recipe, 600, *settings)
    source = tmp_path / "input"
    source.mkdir()
    (source / "classify_image_graph_def.pb").write_bytes(b"not a graph")
    with pytest.raises(DogganError, match=r"classify_image_graph_def\.pb"):
        run(script, source, tmp_path / "out", tiny64_recipe, 600, *settings)
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_scored_after_all_is_said(script, kaggle_input, tmp_path, network):
    """The zip is written by then."""
    photographs, said = sorted(kaggle_input.rglob("*.jpg")), []
    pictures = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    write_submission([pictures[:1]], tmp_path / "one.zip", 1)
    assert (
        script._score(tmp_path / "one.zip", 1, photographs, network, time.monotonic() + 60, False, said.append) is None
    )
    write_submission([pictures], tmp_path / "eight.zip", 8)
    unreadable = [tmp_path / "one.zip", tmp_path / "eight.zip"]
    assert (
        script._score(tmp_path / "eight.zip", 8, unreadable, network, time.monotonic() + 60, False, said.append) is None
    )
    assert [line.startswith("not scored: ") for line in said] == [True, True]
    assert "there are 1" in said[0]
    assert "can be read" in said[1]


def test_the_command_line_answers_a_mistake_in_one_sentence(script, tmp_path, monkeypatch, capsys):
    arguments = ["kaggle_submit.py", "--input", str(tmp_path / "absent"), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        cli.main(script.command)
    assert end.value.code == 2
    assert "absent does not exist" in capsys.readouterr().err


def test_the_script_runs_as_a_kernel_would_run_it(kaggle_input, tiny64_recipe, tmp_path):
    import subprocess

    command = [
        sys.executable,
        ROOT / "kaggle_submit.py",
        "--input",
        kaggle_input,
        "--output",
        tmp_path,
        "--hours",
        "0.2",
    ]
    options = ["--recipe", tiny64_recipe, "--set", "train.epochs=1", "--count", "20", "--quiet"]
    done = subprocess.run([*map(str, command + options)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "trained all" in done.stdout
    assert (tmp_path / "images.zip").exists()


def test_ctrl_c_still_writes_the_zip_and_is_passed_on(script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(Stop, "on_train_begin", lambda self, logs=None: self.ask("SIGINT"))
    with pytest.raises(Interrupted, match="SIGINT"):
        run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=50")
    assert check_submission(tmp_path / "images.zip", 40)


def test_batch_norm_is_re_estimated_and_its_time_comes_out_of_the_budget(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch, clock
):
    _, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=1", bn_samples=30)
    assert "averaged weights, batch norm re-estimated on 30 z)" in report

    def compiles(generator, n, seed, batch_size, classes):
        assert classes is None
        clock.ahead += 7.0

    monkeypatch.setattr(script, "reestimate", compiles)
    monkeypatch.setattr(script, "sampling_rate", lambda generator: 10.0)
    with_it, without = (
        script._reserve(Run.open(tmp_path / "run"), None, 40, n, 24, clock() + 600, print).seconds for n in (3000, 0)
    )
    assert with_it - without == pytest.approx(script.MARGIN * (7 + 2 * 3000 / 10), abs=0.5)  # of two layers


def test_batch_norm_that_is_not_there_is_said_before_training(script, kaggle_input, tiny64_recipe, tmp_path):
    without = ("generator.batch_norm=[false,false]", "train.epochs=1", "train.score_every=0")
    with pytest.raises(DogganError, match="give --bn-samples 0"):
        run(script, kaggle_input, tmp_path, tiny64_recipe, 600, *without, bn_samples=30)
    assert not list((tmp_path / "run").glob("checkpoints/*"))
