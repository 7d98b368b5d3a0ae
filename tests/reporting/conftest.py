"""Runs whose pages are looked at."""

import shutil

import pytest

import doggan
from doggan.recipes import load_recipe
from doggan.runs import Run, start_run


@pytest.fixture(scope="session")
def begun_run(finished_run, tiny_toml, tmp_path_factory):
    """A run that has its configuration and nothing else; D and G have self-attention."""
    settings = ("generator.attention=[1]", "discriminator.attention=[2]", "seed=3")
    folder = tmp_path_factory.mktemp("begun") / "run"
    images = doggan.load_images(finished_run.data_path)
    return start_run(folder, load_recipe(str(tiny_toml), settings), images, finished_run.data_path)


@pytest.fixture
def attending_run(begun_run, tmp_path):
    """The same with a checkpoint of before its first step."""
    from doggan.runs.build import build_gan

    shutil.copytree(begun_run.folder, tmp_path / "attending")
    run = Run.open(tmp_path / "attending")
    run.checkpoints.save(build_gan(run.config, run.image_shape, 2))
    return run


@pytest.fixture
def copied_run(finished_run, tmp_path):
    """A copy of `finished_run`, to be damaged."""
    shutil.copytree(finished_run.folder, tmp_path / "copied")
    return Run.open(tmp_path / "copied")
