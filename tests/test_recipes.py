"""Recipes: strict, short, and round-tripping."""

import dataclasses
import json
import re

import pytest

from doggan.config import Config
from doggan.errors import DogganError
from doggan.recipes import _CHOICES, as_toml, config_from_dict, load_about, load_recipe, recipe_names


def test_the_reference_recipe_is_the_defaults():
    assert load_recipe("dogs-dcgan") == Config()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_survives_toml_and_json(name, tmp_path):
    config = load_recipe(name)
    assert config.recipe == name
    path = tmp_path / "again.toml"
    path.write_text(as_toml(config), encoding="utf-8")
    assert load_recipe(str(path)) == config
    assert config_from_dict(json.loads(json.dumps(dataclasses.asdict(config))), "config.json") == config


def test_overrides_take_toml_values_and_bare_words():
    config = load_recipe(
        "dogs-dcgan",
        ("train.epochs=3", "lr.schedule=constant", "g_optimizer.lr=1", "generator.widths=[8, 4]", "labels='published'"),
    )
    assert config.train.epochs == 3
    assert config.lr.schedule == "constant"
    assert config.g_optimizer.lr == 1.0
    assert isinstance(config.g_optimizer.lr, float)
    assert config.generator.widths == (8, 4)
    assert config.labels == "published"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", r"there is no setting train.epoch (did you mean train.epochs?)."),
        ("generator.latentdim=3", "did you mean generator.latent_dim"),
        ("train.epochs=3.5", "train.epochs = 3.5 is not an int"),
        ("train.epochs=true", "is not an int"),
        ("data.flip=1", "is not a bool"),
        ("generator.widths=[1, 'a']", "generator.widths = 'a' is not an int"),
        ("generator.widths=8", "is not a list of int values"),
        ("label_noise.real=[0.7]", "is not a list of 2 float values"),
        ("generator=8", "is a table of settings"),
        ("train.epochs.x=8", "train.epochs = {'x': 8} is not an int"),
        ("train.epochs=0", "must be at least 1"),
        ("lr.schedule=steps", "is not one of cosine, linear, constant"),
        ("d_optimizer.optimizer=adamw", "is not one of adam, rmsprop, sgd"),
        ("train.update=both", "is not one of simultaneous, alternating"),
        ("train.precision=half", "is not one of float32, bfloat16, float16"),
        ("data.place=gpu", "is not one of auto, host, device"),
        ("penalty.interval=0", "must be at least 1"),
        ("penalty.r1=-1", "must be at least 0"),
        ("augment.policy=color", "augment.policy = 'color' is not a list of str values"),
        ("augment.probability=1.5", "must be at most 1"),
        ("ema.half_life=-1", "must be at least 0"),
        ("label_noise.flip=1.5", "must be at most 1"),
        ("label_noise.fake=[0.3, 0.1]", "must rise and lie between 0 and 1"),
        ("g_optimizer.lr=nan", "must be a finite number"),
        ("d_optimizer.beta_1=-0.5", "must be at least 0"),
        ("train.score_samples=2", "must be at least 3"),
        ("penalty.final=1.5", "must be at most 1"),
        ("train.epochs", "not of the form key=value"),
    ],
)
def test_a_wrong_key_type_or_value_is_named(override, message):
    with pytest.raises(DogganError, match=re.escape(message)):
        load_recipe("dogs-dcgan", (override,))


def test_a_recipe_may_state_what_differs_from_another(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "dogs-cgan"\n[generator]\nkernel = 3\nbn.momentum = 0.9\n[about]\nsource = "me"\n')
    base, mine = load_recipe("dogs-cgan"), load_recipe(str(path))
    changed = ("generator.kernel=3", "generator.bn.momentum=0.9")
    assert mine == dataclasses.replace(load_recipe("dogs-cgan", changed), recipe="mine")
    assert mine.discriminator == base.discriminator
    assert load_about(str(path)) == dataclasses.replace(load_about("dogs-cgan"), source="me")
    path.write_text('base = "dogs-nothing"\n')
    with pytest.raises(DogganError, match=r"mine.toml: base = 'dogs-nothing' is not another recipe of the package"):
        load_recipe(str(path))


def test_recipes_may_name_the_framings_that_prepare_has():
    from doggan.data.crops import CROP_RULES

    assert set(_CHOICES["data.crop"]) == {"any", *CROP_RULES}


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(DogganError, match="did you mean dogs-dcgan"):
        load_recipe("dogs-dcgn")


@pytest.mark.parametrize(("text", "message"), [("epochs = ", "not valid TOML"), ("x = 1", "no setting x")])
def test_a_broken_recipe_file_is_named(text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DogganError, match=message) as error:
        load_recipe(str(path))
    assert "mine.toml" in str(error.value)
    with pytest.raises(DogganError, match="cannot be read"):
        load_recipe(str(tmp_path / "absent.toml"))
