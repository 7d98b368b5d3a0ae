"""The `doggan` command: the whole path on a small tree, and mistakes answered in one sentence."""

import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from doggan import __version__


def test_the_path_from_photographs_to_a_checked_zip(doggan, dog_tree, tiny64_recipe, tmp_path):
    data, run, sheet, zip_path = (tmp_path / name for name in ("dogs.npz", "run", "samples.png", "images.zip"))
    status, out, _ = doggan("prepare", dog_tree, "-o", data, "--holdout", 0.1, "--quiet")
    assert status == 0
    assert "24 photographs" in out
    assert doggan("look", data, "-o", tmp_path)[0] == 0
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 500
    assert (tmp_path / "breeds.png").exists()

    status, out, _ = doggan("train", data, "-r", tiny64_recipe, "-o", run, "--set", "train.epochs=2", "--quiet")
    assert status == 0
    assert "trained all" in out
    assert doggan("train", "--resume", run, "--quiet")[0] == 0
    assert doggan("sample", run, "--n", 9, "-o", sheet, "--truncation", 0.8)[0] == 0
    with Image.open(sheet) as picture:
        assert picture.mode == "RGB"

    status, out, _ = doggan("submit", run, "-o", zip_path, "--count", 30, "--bn-samples", 20, "--quiet")
    assert status == 0
    assert ", averaged weights, batch norm re-estimated on 20 z\n" in out
    with zipfile.ZipFile(zip_path) as archive:
        assert sorted(archive.namelist()) == sorted(f"{i}.png" for i in range(30))
    assert doggan("check", zip_path, "--count", 30)[0] == 0
    status, out, err = doggan("check", zip_path)
    assert status == 2
    assert "10,000" in err
    assert out == ""


def test_samples_come_from_the_average_the_generator_or_re_estimated_statistics(
    doggan, tiny_images, tiny_recipe, tmp_path
):
    data, run = tmp_path / "tiny.npz", tmp_path / "run"
    tiny_images.save(data)
    settings = ("--set", "train.epochs=2", "--set", "train.score_every=0", "--set", "ema.half_life=50.0")
    assert doggan("train", data, "-r", tiny_recipe, "-o", run, *settings, "--quiet")[0] == 0
    written = []
    for options, weights in (
        ((), "averaged weights"),
        (("--raw-generator",), "weights as trained"),
        (("--bn-samples", 50), "averaged weights, batch norm re-estimated on 50 z"),
        (("--raw-generator", "--bn-samples", 50), "weights as trained, batch norm re-estimated on 50 z"),
    ):
        sheet = tmp_path / "sheet.png"
        assert doggan("sample", run, "--n", 9, "-o", sheet, *options)[1] == f"9 samples of step 8, {weights}: {sheet}\n"
        written.append(sheet.read_bytes())
    assert len(set(written)) == len(written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "absent"), "absent does not exist"),
        (("look", "absent.npz"), "absent.npz does not exist"),
        (("train", "absent.npz"), "absent.npz does not exist"),
        (("train", "x.npz", "-r", "dogs"), "There is no recipe 'dogs'"),
        (("train", "--resume", "absent"), "absent is not a run"),
        (("train", "--resume", "r", "--out", "b", "--dry-run"), "leave out --out, --dry-run"),
        (("sample", "absent"), "absent is not a run"),
        (("submit", "absent"), "absent is not a run"),
        (("check", "absent.zip"), "absent.zip"),
        (("train",), "DATA is missing"),
        (("prepare",), "Missing argument"),
        (("prepare", "x", "--size", "50"), "'50' is not one of"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(doggan, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = doggan(*arguments)
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_the_demo_does_not_overwrite(doggan, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    status, _, err = doggan("demo", "--out", tmp_path)
    assert status == 2
    assert "is not empty" in err


def test_ctrl_c_outside_training_is_130(doggan, monkeypatch, dog_tree, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("doggan.data.prepare.prepare", interrupted)
    status, _, err = doggan("prepare", dog_tree, "-o", tmp_path / "x.npz")
    assert (status, err.strip()) == (130, "doggan: interrupted")


def test_a_full_disk_is_one_sentence(doggan, monkeypatch, dog_tree, tmp_path):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", str(tmp_path / "x.npz"))

    monkeypatch.setattr("doggan.data.prepare.prepare", full)
    status, _, err = doggan("prepare", dog_tree, "-o", tmp_path / "x.npz")
    assert status == 2
    assert "No space left on device" in err
    assert len(err.splitlines()) == 1
    assert "free some space" in err


def test_a_run_whose_data_moved_says_how_to_name_them(doggan, tiny_images, tiny_recipe, tmp_path):
    data, run = tmp_path / "tiny.npz", tmp_path / "run"
    tiny_images.save(data)
    assert doggan("train", data, "-r", tiny_recipe, "-o", run, "--set", "train.epochs=1", "--quiet")[0] == 0
    data.rename(tmp_path / "moved.npz")
    status, _, err = doggan("train", "--resume", run, "--quiet")
    assert status == 2
    assert "doggan train DATA --resume" in err
    assert doggan("train", tmp_path / "moved.npz", "--resume", run, "--quiet")[0] == 0


def test_weights_that_are_missing_or_read_by_nobody_are_refused_before_a_run_is_made(
    doggan, tiny_images, tiny_recipe, tmp_path, monkeypatch
):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "empty"))
    data, run, weights = tmp_path / "tiny.npz", tmp_path / "run", tmp_path / "weights.npz"
    tiny_images.save(data)
    for options, message in (
        (("--weights", weights), "The random extractor reads no weights"),
        (("--weights", weights, "--dry-run"), "The random extractor reads no weights"),
        (("--weights", weights, "--set", "train.score_every=0"), "The run is not scored"),
        (("--weights", weights, "--set", "train.extractor=inception"), "weights.npz"),
        (("--set", "train.extractor=inception"), "doggan download inception"),
        (("--set", "train.extractor=inception", "--dry-run"), "doggan download inception"),
    ):
        status, _, err = doggan("train", data, "-r", tiny_recipe, "-o", run, *options, "--quiet")
        assert status == 2
        assert message in err
        assert len(err.splitlines()) == 1
    assert not run.exists()


def test_another_backend_is_refused_in_one_sentence(dog_tree):
    import os

    done = subprocess.run(
        [sys.executable, "-m", "doggan", "sample", "x"],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "numpy"},
    )
    assert done.returncode == 2
    # Keras 3.8 needs JAX even for its NumPy backend, so there the sentence is about what is not installed.
    assert "tensorflow" in done.stderr
    assert "KERAS_BACKEND" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_help_and_version_load_no_framework():
    code = (
        "import sys; from doggan import cli; sys.argv = ['doggan', '--help']\n"
        "try: cli.main()\n"
        "finally: print(*(name for name in ('tensorflow', 'keras', 'jax', 'cv2', 'matplotlib') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "prepare" in done.stdout
    assert done.stdout.splitlines()[-1] == ""
    version = subprocess.run([sys.executable, "-m", "doggan", "--version"], capture_output=True, text=True, check=True)
    assert __version__ in version.stdout
