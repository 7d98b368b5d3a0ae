"""Recipes: TOML files that state only what differs from the defaults in `doggan.config`, loaded strictly.

With `base = "name"` a recipe states only what differs from another one of the package.
"""

import dataclasses
import difflib
import math
import shlex
import tomllib
import types
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from doggan.config import Config
from doggan.errors import DogganError

_CHOICES: dict[str, tuple[str, ...]] = {
    "labels": ("intended", "published"),
    "lr.schedule": ("cosine", "linear", "constant"),
    "g_optimizer.optimizer": ("adam", "rmsprop", "sgd"),
    "d_optimizer.optimizer": ("adam", "rmsprop", "sgd"),
    "data.crop": ("any", "square", "reference", "box", "margin", "padded", "whole"),
    "data.place": ("auto", "host", "device"),
    "generator.z_distribution": ("normal", "uniform"),
    "generator.condition": ("none", "embedding", "one_hot", "batch_norm", "shared"),
    "generator.init.kind": ("truncated_normal", "orthogonal"),
    "discriminator.init.kind": ("truncated_normal", "orthogonal"),
    "sampling.classes": ("data", "uniform"),
    "generator.head": ("dense", "conv"),
    "generator.attention_kind": ("source", "released"),
    "discriminator.condition": ("none", "embedding", "one_hot", "projection"),
    "discriminator.head": ("flatten", "sum"),
    "discriminator.attention_kind": ("source", "released"),
    "train.update": ("simultaneous", "alternating"),
    "train.fake_labels": ("batch", "uniform", "data"),
    "train.precision": ("float32", "bfloat16", "float16"),
    "train.on_collapse": ("rollback", "stop", "ignore"),
}
_AT_LEAST: dict[float, tuple[str, ...]] = {
    3: ("train.score_samples",),  # KID's standard error needs three
    1: (
        *("train.epochs", "train.batch_size", "train.samples", "train.keep", "train.d_steps"),
        *("generator.latent_dim", "generator.embedding_dim", "discriminator.embedding_dim", "penalty.interval"),
        *(
            f"{owner}.{key}"
            for owner in ("generator", "discriminator")
            for key in ("blocks", "group_width", "expansion")
        ),
    ),
    0: (
        *("seed", "data.n_images", "data.size", "data.zoom", "train.sample_every", "train.checkpoint_every"),
        *("train.score_every", "train.score_kimg", "train.replay", "train.steps_per_execution"),
        "train.checkpoint_minutes",
        *(
            f"{owner}.{key}"
            for owner in ("g_optimizer", "d_optimizer")
            for key in ("lr", "beta_1", "beta_2", "epsilon", "rho", "momentum", "clip_norm")
        ),
        *("label_noise.flip", "lr.warm_up", "penalty.r1", "penalty.r2", "penalty.gp"),
        *("augment.probability", "augment.target", "augment.kimg", "instance_noise.std", "instance_noise.until"),
        *("ema.half_life", "ema.ramp_up", "lr.final", "penalty.final", "sampling.bn_samples"),
    ),
}
_AT_MOST: dict[float, tuple[str, ...]] = {
    1: (
        *("label_noise.flip", "augment.probability", "augment.target", "instance_noise.until"),
        *("lr.final", "penalty.final"),
        *(
            f"{owner}.{key}"
            for owner in ("g_optimizer", "d_optimizer")
            for key in ("beta_1", "beta_2", "rho", "momentum")
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class About:
    """What a recipe says of itself in its table `about`, which is for people and no setting.

    Attributes:
        source: whose networks and settings they are.
        data: the pictures it is meant for.
        score: what the source reached on them.
        image: (height, width, channels) of the pictures.
        classes: how many the networks are told; 0 for none.
    """

    source: str = "not said"
    data: str = "not said"
    score: str = "none published"
    image: tuple[int, int, int] = (64, 64, 3)
    classes: int = 0


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(recipe: str, overrides: tuple[str, ...] = ()) -> Config:
    """The resolved configuration of a recipe.

    Args:
        recipe: the name of a recipe of the package, or the path of a TOML file.
        overrides: "key=value" with the key dotted, for example "generator.latent_dim=64" or "lr.schedule=constant";
            the value is TOML, and a bare word is taken as a string.

    Raises:
        DogganError: an unknown recipe or key (the nearest valid one is named), a wrong type, or a value out of range.
    """
    name, table = _load(recipe)
    _about(table, recipe)
    for setting in overrides:
        _set(table, setting, "--set")
    return config_from_dict({"recipe": name} | table, source=recipe)


def load_about(recipe: str) -> About:
    """What a recipe, by its name or the path of a TOML file, says of itself.

    Raises:
        DogganError: as `load_recipe`.
    """
    return _about(_load(recipe)[1], recipe)


def _load(recipe: str) -> tuple[str, dict[str, Any]]:
    """Name and content of a recipe."""
    path = Path(recipe)
    if path.suffix == ".toml":
        name, text = path.stem, _read(path)
    elif recipe in recipe_names():
        name, text = recipe, (resources.files(__name__) / f"{recipe}.toml").read_text(encoding="utf-8")
    else:
        names = recipe_names()
        raise DogganError(
            f"There is no recipe {recipe!r}{_nearest(recipe, names)}; give one of {', '.join(names)} or a .toml file."
        )
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DogganError(f"{recipe} is not valid TOML: {error}.") from None
    base = table.pop("base", None)
    if base is None:
        return name, table
    others = [each for each in recipe_names() if each != recipe]
    if base not in others:
        raise DogganError(
            f"{recipe}: base = {base!r} is not another recipe of the package{_nearest(str(base), others)}; give one of "
            f"{', '.join(others)}, or leave it out."
        )
    return name, _merged(_load(base)[1], table)


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`table` with what `changes` says, settings of a section one by one."""
    merged = dict(table)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _about(table: dict[str, Any], source: str) -> About:
    """Take the table `about` out of a recipe."""
    about: About = _build(About, table.pop("about", {}), "about.", source)
    return about


def override(config: Config, overrides: tuple[str, ...], option: str = "--override") -> Config:
    """A configuration with some settings changed.

    Args:
        config: what is changed.
        overrides: as for `load_recipe`.
        option: how the user gave them, for messages.

    Raises:
        DogganError: as `load_recipe`.
    """
    table = dataclasses.asdict(config)
    for setting in overrides:
        _set(table, setting, option)
    return config_from_dict(table, source=option)


def config_from_dict(table: dict[str, Any], source: str) -> Config:
    """A `Config` from nested dictionaries; what is absent takes its default.

    Raises:
        DogganError: an unknown key, a wrong type or a value out of range; `source` is named.
    """
    config: Config = _build(Config, table, "", source)
    values = flatten(config)
    for key, choices in _CHOICES.items():
        if values[key] not in choices:
            raise DogganError(f"{source}: {key} = {values[key]!r} is not one of {', '.join(choices)}.")
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise DogganError(f"{source}: {key} = {value} must be a finite number.")
    for least, keys in _AT_LEAST.items():
        for key in keys:
            if values[key] < least:
                raise DogganError(f"{source}: {key} = {values[key]} must be at least {least}.")
    for most, keys in _AT_MOST.items():
        for key in keys:
            if values[key] > most:
                raise DogganError(f"{source}: {key} = {values[key]} must be at most {most}.")
    for key in ("label_noise.real", "label_noise.fake"):
        low, high = values[key]
        if not 0 <= low <= high <= 1:
            raise DogganError(f"{source}: {key} = {list(values[key])} must rise and lie between 0 and 1.")
    return config


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every setting by its dotted key."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{field.name}.")
        else:
            flat[prefix + field.name] = value
    return flat


def as_toml(config: Config) -> str:
    """The whole configuration as TOML text that `load_recipe` reads back."""
    lines = [f"{key} = {_toml(value)}" for key, value in flatten(config).items()]
    return "\n".join(lines) + "\n"


def as_override(key: str, value: Any) -> str:
    """A setting as it is given on a command line, "key=value", in quotes where a shell needs them."""
    return shlex.quote(f"{key}={value if isinstance(value, str) else _toml(value)}")


def choices(key: str) -> tuple[str, ...]:
    """The words that a setting, by its dotted key, may be; none where it is no choice between words."""
    return _CHOICES.get(key, ())


def as_settings(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings by dotted key as `load_recipe` takes them: {"train.epochs": 10} becomes ("train.epochs=10",)."""
    return tuple(f"{key}={_toml(value)}" for key, value in settings.items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DogganError(f"The recipe {path} cannot be read ({error}).") from None


def _set(table: dict[str, Any], override: str, option: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise DogganError(f"{option} {override!r} is not of the form key=value, for example train.epochs=10.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise DogganError(f"{option} {override}: {parent} is a value, not a table of settings.")
    table[last] = value


def _build(kind: type, table: Any, prefix: str, source: str) -> Any:
    if not isinstance(table, dict):
        raise DogganError(f"{source}: {prefix.rstrip('.')} is a table of settings, not the value {table!r}.")
    hints = get_type_hints(kind)
    known = [f"about.{name}" for name in hints] if kind is About else flatten(Config())
    for key in table:
        if key not in hints:
            raise DogganError(f"{source}: there is no setting {prefix}{key}{_nearest(prefix + key, known)}.")
    return kind(**{key: _convert(hints[key], value, prefix + key, source) for key, value in table.items()})


def _convert(kind: Any, value: Any, key: str, source: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, f"{key}.", source)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if isinstance(value, list | tuple):
            if kinds[-1] is Ellipsis:
                return tuple(_convert(kinds[0], item, key, source) for item in value)
            if len(kinds) == len(value):
                return tuple(_convert(each, item, key, source) for each, item in zip(kinds, value, strict=True))
    elif kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is kind:
        return value
    raise DogganError(f"{source}: {key} = {value!r} is not {_describe(kind)}.")


def _describe(kind: Any) -> str:
    if isinstance(kind, types.GenericAlias):
        kinds = [item for item in get_args(kind) if item is not Ellipsis]
        return f"a list of {'' if Ellipsis in get_args(kind) else f'{len(kinds)} '}{kinds[0].__name__} values"
    article = "an" if kind is int else "a"
    return f"{article} {kind.__name__}"


def _nearest(word: str, words: Any) -> str:
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
