"""The command that trains a run again."""

import shlex
from typing import Any

from doggan.config import Config
from doggan.errors import DogganError
from doggan.recipes import as_override, as_settings, flatten, load_recipe, override, recipe_names
from doggan.runs.overrides import changes

_PLAIN = "dogs-dcgan"  # a recipe of our own that a recipe of the user's is told as differing from


def starting_point(config: Config) -> str:
    """The recipe of the package that a run is told as differing from: its own, or where that is none of these, one."""
    return config.recipe if config.recipe in recipe_names() else _PLAIN


def command(config: Config, data: str) -> str:
    """The command line, a setting a line, ready for a shell; `load_recipe` makes the same configuration of it.

    Args:
        config: of the run.
        data: the `.npz` it was trained on.
    """
    start = starting_point(config)
    words = [f"doggan train {shlex.quote(data)} --recipe {start}"]
    words += [f"--set {_setting(key, value)}" for key, (_, value) in changes(load_recipe(start), config).items()]
    return " \\\n  ".join(words)


def _setting(key: str, value: Any) -> str:
    """A setting for a shell; a word that is read as a number or the like, a recipe "2" say, in TOML's quotes."""
    plain = as_override(key, value)
    try:
        if flatten(override(Config(), tuple(shlex.split(plain))))[key] == value:
            return plain
    except DogganError:
        pass
    return shlex.quote(*as_settings({key: value}))
