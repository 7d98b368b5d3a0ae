"""The run folder: what it records and what it refuses."""

import json

import pytest

from doggan.errors import DogganError
from doggan.recipes import load_recipe
from doggan.runs import Run, next_folder, start_run


@pytest.fixture
def run(tmp_path, tiny_images, tiny_recipe):
    return start_run(tmp_path / "run", load_recipe(str(tiny_recipe)), tiny_images, tmp_path / "tiny.npz")


def test_a_run_opens_as_it_was_made(run):
    assert Run.open(run.folder) == run
    record = json.loads((run.folder / "config.json").read_text())
    assert record["config"]["generator"]["widths"] == [8, 4]
    assert record["versions"]["keras"]
    assert run.image_shape == (32, 32, 3)


def test_a_folder_with_a_run_is_not_overwritten(run, tiny_images, tiny_recipe):
    with pytest.raises(DogganError, match="already holds a run"):
        start_run(run.folder, load_recipe(str(tiny_recipe)), tiny_images, run.data_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not a run"),
        ("{", "not a run's configuration"),
        ("{}", "configuration"),
        ('{"format_version": 99}', "newer"),
    ],
)
def test_a_folder_that_is_no_run_is_named(tmp_path, text, message):
    folder = tmp_path / "other"
    folder.mkdir()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(DogganError, match=message) as error:
        Run.open(folder)
    assert "other" in str(error.value)


def test_other_settings_or_pictures_are_refused_with_the_differences(run, tiny_recipe):
    other = load_recipe(str(tiny_recipe), ("train.epochs=9", "g_optimizer.lr=0.1"))
    with pytest.raises(DogganError, match=r"g_optimizer.lr: 0.0002 → 0.1; train.epochs: 4 → 9"):
        run.check_settings(other)
    with pytest.raises(DogganError, match="other pictures"):
        run.check_pictures("0" * 64)
    run.check_settings(run.config)
    run.check_pictures(run.data_hash)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_size=33", "fewer than one batch of 33"),
        ("generator.base_size=16", "prepare them with --size 64"),
        ("generator.base_size=4", "or set data.random_crop=true"),
        ("generator.dropout=[0.5]", "generator.dropout has 1 entries"),
        ("train.loss=bec", "train.loss = 'bec' is not one of bce"),
        ("generator.network=dcgn", "generator.network = 'dcgn' is not one of dcgan"),
        ("train.extractor=inceptoin", "train.extractor = 'inceptoin' is not one of random, inception"),
        ("train.metrics=['kid', 'lpips']", "train.metrics: 'lpips' is not one of fid, mifid"),
        ("train.metrics=['kid', 'kid']", "each only once"),
        ("train.metrics=[]", "at least one metric"),
        ("train.metrics=['prdc', 'kid']", "'prdc' cannot; put one of fid, mifid, kid, is before it"),
        ("train.metrics=['kid', 'is']", "set train.extractor=inception, or leave metric 'is' out"),
        ("train.score_kimg=-1", "train.score_kimg = -1.0 must be at least 0"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_before_training(tmp_path, tiny_images, tiny_recipe, override, message):
    with pytest.raises(DogganError, match=message):
        start_run(tmp_path / "run", load_recipe(str(tiny_recipe), (override,)), tiny_images, tmp_path / "tiny.npz")
    assert not (tmp_path / "run" / "config.json").exists()


def test_new_folders_are_numbered(tmp_path):
    assert next_folder(tmp_path, "a").name == "00000-a"
    (tmp_path / "00007-b").mkdir()
    (tmp_path / "notes").mkdir()
    assert next_folder(tmp_path, "a").name == "00008-a"
