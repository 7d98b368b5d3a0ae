"""The ten functions at the top of the package do what the commands do."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import doggan
from doggan import sample
from doggan.errors import DogganError
from doggan.plots import grid
from doggan.plots.sheets import read_png


def test_there_are_ten_and_each_says_what_it_takes_gives_and_raises():
    assert len(doggan.__all__) == 10
    for name in doggan.__all__:
        function = getattr(doggan, name)
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
        assert all(parameter in function.__doc__ for parameter in signature.parameters)
        assert "Raises:" in function.__doc__


def test_importing_the_package_imports_neither_keras_nor_opencv():
    code = "import doggan, sys; print({'keras', 'tensorflow', 'cv2', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_prepare_writes_what_load_images_reads(dog_tree, tmp_path):
    summary = doggan.prepare(dog_tree, tmp_path / "dogs.npz", size=32, crop="box", holdout=0.25, progress=False)
    images = doggan.load_images(summary.out)
    assert images.image_shape == (32, 32, 3)
    assert images.crop == "box"
    assert len(images) >= 24  # photographs, each with a dog or more
    assert 0 < len(images.heldout()) < len(images) / 2


def test_settings_are_given_as_they_are(tmp_path):
    settings = {
        "train.epochs": 7,
        "train.on_collapse": "stop",
        "data.flip": False,
        "g_optimizer.lr": 1e-05,
        "augment.policy": ["color", "cutout"],
        "label_noise.real": (0.8, 1.0),
    }
    config = doggan.load_recipe("dogs-dcgan", settings)
    assert (config.train.epochs, config.train.on_collapse, config.data.flip) == (7, "stop", False)
    assert config.g_optimizer.lr == 1e-05
    assert config.augment.policy == ("color", "cutout")
    assert config.label_noise.real == (0.8, 1.0)
    with pytest.raises(DogganError, match=r"train\.epoch .*did you mean train\.epochs"):
        doggan.load_recipe("dogs-dcgan", {"train.epoch": 7})


def test_build_gives_a_model_that_fits(tiny_images, tiny_recipe):
    told = {"generator.condition": "one_hot", "discriminator.condition": "one_hot"}
    gan = doggan.build(str(tiny_recipe), tiny_images, told)
    assert gan.generator.output_shape == (None, 32, 32, 3)
    assert len(gan.generator.inputs) == 2
    before = [np.array(weight) for weight in gan.generator.get_weights()]
    pictures, labels = tiny_images.images[:8] / np.float32(127.5) - 1, tiny_images.labels[:8]
    gan.fit((pictures, labels), batch_size=8, verbose=0)
    assert any((old != new).any() for old, new in zip(before, gan.generator.get_weights(), strict=True))


def test_build_refuses_what_training_would_refuse(tiny_images):
    with pytest.raises(DogganError, match="32"):
        doggan.build("dogs-dcgan", tiny_images)


def test_sample_gives_the_pictures_of_the_command(finished_run, doggan, tmp_path):
    breed = finished_run.classes.names[finished_run.find_classes([])[0]]
    pictures = sample(finished_run, 4, class_name=breed, seed=3)
    assert pictures.shape == (4, 32, 32, 3)
    out = tmp_path / "sheet.png"
    status, _, err = doggan("sample", finished_run.folder, "--n", 4, "--class", breed, "--seed", 3, "--out", out)
    assert status == 0, err
    np.testing.assert_array_equal(read_png(out), grid(pictures))


def test_a_mixed_sheet_has_the_pictures_of_sample(finished_run, doggan, tmp_path):
    out = tmp_path / "sheet.png"
    assert doggan("sample", finished_run.folder, "--mixed", "--n", 6, "--columns", 3, "--out", out)[0] == 0
    np.testing.assert_array_equal(read_png(out), grid(sample(finished_run, 6), columns=3))
    status, _, err = doggan("sample", finished_run.folder, "--mixed", "--class", finished_run.classes.names[0])
    assert status == 2
    assert "leave out --class" in err


def test_fewer_samples_are_the_first_of_more(finished_run):
    np.testing.assert_array_equal(sample(finished_run.folder, 2, seed=5), sample(finished_run, 3, seed=5)[:2])


def test_a_run_trains_on_and_is_opened_by_its_folder(finished_run, tiny_toml):
    assert doggan.open_run(finished_run) is finished_run
    assert doggan.open_run(finished_run.folder) == finished_run
    again = doggan.train(resume=finished_run, progress=False)  # it is finished, so there is nothing to do
    assert again == finished_run
    with pytest.raises(DogganError, match="run to resume"):
        doggan.train()
    with pytest.raises(DogganError, match="already holds a run"):
        doggan.train(finished_run.data_path, str(tiny_toml), out=finished_run.folder)


def test_a_run_is_scored_and_small_pictures_are_no_submission(finished_run, tmp_path):
    scores = doggan.evaluate(
        finished_run, finished_run.data_path, metrics=("kid",), extractor="random", cache=False, count=50
    )
    assert scores.n_generated == 50
    assert np.isfinite(scores.scores["random-kid"])
    with pytest.raises(DogganError, match="64×64"):
        doggan.submit(finished_run, tmp_path / "images.zip", count=20)
    assert not (tmp_path / "images.zip").exists()


def test_a_report_is_one_page(finished_run, tmp_path):
    page = doggan.report(finished_run, tmp_path / "report.html")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
