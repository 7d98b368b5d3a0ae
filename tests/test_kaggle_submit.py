"""`kaggle_submit.py` under Kaggle's rules: a read-only input, a budget, few files, and always a whole zip."""

import importlib.util
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor

from doggan.submission import check_submission

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("kaggle_submit", ROOT / "kaggle_submit.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["kaggle_submit"] = module
    spec.loader.exec_module(module)
    return module


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


def run(script, source, output, recipe, seconds, *overrides, count=40):
    lines = []
    score = script.kaggle_submit(
        source, output, hours=seconds / 3600, recipe=str(recipe), overrides=overrides, count=count, progress=False,
        say=lines.append,
    )  # fmt: skip
    return score, "\n".join(lines)


def test_a_run_that_ends_by_itself(script, kaggle_input, tiny64_recipe, tmp_path):
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=2")
    assert score is None
    assert "trained all" in report
    assert "not scored: no Inception weights" in report
    assert check_submission(tmp_path / "images.zip", 40)


def test_the_budget_stops_training_cleanly_and_the_next_call_continues(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch
):
    epochs = "train.epochs=100000"
    monkeypatch.setattr(script, "CLOSING", 3.0)
    started = time.monotonic()
    _, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 18, epochs)
    assert time.monotonic() - started < 18
    assert "the time is up" in report
    assert check_submission(tmp_path / "images.zip", 40)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) <= 500
    first = int(report.split("stopped at step ")[1].split()[0])
    assert "(step 0)" not in report
    _, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 10, epochs)
    assert int(report.split("stopped at step ")[1].split()[0]) > first


def test_few_files_however_many_epochs(script, tmp_path, kaggle_input, tiny64_recipe, monkeypatch):
    monkeypatch.setattr(script, "MOST_SHEETS", 10)
    settings = ("train.epochs=95", "train.batch_size=24", "train.score_every=0", "train.checkpoint_every=50")
    run(script, kaggle_input, tmp_path, tiny64_recipe, 300, *settings)
    sheets = len(list((tmp_path / "run" / "samples").iterdir()))
    assert 8 <= sheets <= 12  # every tenth epoch, the untrained one and the last
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= sheets + 15


def test_a_generator_that_repeats_itself_is_reported_and_its_zip_kept(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch
):
    def same(*args, **kwargs):
        yield np.full((40, 64, 64, 3), 127, np.uint8)

    monkeypatch.setattr(script, "generate", same)
    _, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=1")
    assert "39 of the 40 images are copies" in report
    assert (tmp_path / "images.zip").exists()


def test_a_budget_that_ends_while_sampling_still_leaves_a_whole_zip(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch
):
    """The estimates are far too low: the budget ends between two batches, and what is left is not scored."""
    monkeypatch.setattr(script, "find_inception", lambda folder: Path("x.npz"))
    monkeypatch.setattr(script, "load_inception", lambda path: FakeExtractor())
    monkeypatch.setattr(script, "MARGIN", 1e-6)
    monkeypatch.setattr(script, "ENDING", 0.01)
    seconds = 18
    deadline = time.monotonic() + seconds
    generate = script.generate
    batches_before = []

    def slow(generator, n, **options):
        for i, batch in enumerate(generate(generator, n, **{"batch_size": 10} | options)):
            yield batch
            if n == 40 and i == 1:
                batches_before.append(time.monotonic() < deadline)
                time.sleep(max(0.0, deadline - time.monotonic()) + 0.1)

    monkeypatch.setattr(script, "generate", slow)
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, seconds, "train.epochs=1")
    assert batches_before == [True]
    assert score is None
    assert "not scored, the time is up" in report
    assert check_submission(tmp_path / "images.zip", 40)


def test_the_final_zip_is_scored_when_there_is_a_network_and_time(
    script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(script, "find_inception", lambda folder: Path("x.npz"))
    monkeypatch.setattr(script, "load_inception", lambda path: FakeExtractor())
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=2")
    assert score.n_generated == 40
    assert score.n_real == 24
    assert f"mifid {score.scores['mifid']:.4f} (memorization distance" in report
    assert "protocol kaggle, 40 generated against 24 real images" in report


def test_scoring_that_would_take_too_long_is_left_out(script, kaggle_input, tiny64_recipe, tmp_path, monkeypatch):
    slow = FakeExtractor(0.02)
    monkeypatch.setattr(script, "find_inception", lambda folder: Path("x.npz"))
    monkeypatch.setattr(script, "load_inception", lambda path: slow)
    score, report = run(script, kaggle_input, tmp_path, tiny64_recipe, 60, "train.epochs=2", count=2000)
    assert score is None
    assert "not scored: it would take about" in report
    assert check_submission(tmp_path / "images.zip", 2000)


def test_a_broken_network_does_not_cost_the_submission(script, kaggle_input, tiny64_recipe, tmp_path):
    source = tmp_path / "input"
    shutil.copytree(kaggle_input, source, copy_function=shutil.copyfile)
    for path in [source, *source.rglob("*")]:
        path.chmod(0o755)
    (source / "classify_image_graph_def.pb").write_bytes(b"not a graph")
    score, report = run(script, source, tmp_path / "out", tiny64_recipe, 600, "train.epochs=1")
    assert score is None
    assert "classify_image_graph_def.pb" in report
    assert check_submission(tmp_path / "out" / "images.zip", 40)


def test_zipped_competition_data_are_unpacked_elsewhere(script, kaggle_input, tiny64_recipe, tmp_path):
    source = tmp_path / "input" / "generative-dog-images"
    source.mkdir(parents=True)
    tree = kaggle_input / "generative-dog-images"
    shutil.make_archive(str(source / "all-dogs"), "zip", tree / "all-dogs", "all-dogs")
    shutil.make_archive(str(source / "Annotation"), "zip", tree / "annotation", "Annotation")
    _, report = run(script, source.parent, tmp_path / "out", tiny64_recipe, 600, "train.epochs=1")
    assert "24 photographs" in report
    assert check_submission(tmp_path / "out" / "images.zip", 40)
    assert sorted(path.name for path in source.iterdir()) == ["Annotation.zip", "all-dogs.zip"]


def test_the_command_line_answers_a_mistake_in_one_sentence(tmp_path):
    import subprocess

    command = [sys.executable, str(ROOT / "kaggle_submit.py"), "--input", "absent", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "absent does not exist" in done.stderr
    assert "Traceback" not in done.stderr


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
    from doggan.errors import Interrupted
    from doggan.runs.stop import Stop

    monkeypatch.setattr(Stop, "on_train_begin", lambda self, logs=None: self.ask("SIGINT"))
    with pytest.raises(Interrupted, match="SIGINT"):
        run(script, kaggle_input, tmp_path, tiny64_recipe, 600, "train.epochs=50")
    assert check_submission(tmp_path / "images.zip", 40)
