"""Checkpoints: one sealed `.npz` that holds every variable training moves, and the step; of the best, its score."""

import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN
from doggan.training.sealed import DamagedCheckpoint, open_sealed, write_sealed

_NAME = re.compile(r"step-(\d{8})(-within)?\.npz")
_BEST = "best.npz"
_EXTRA = "extra."
_AVERAGE = "average."
_HISTOGRAM = "histogram."  # counts over an epoch, which older checkpoints lack


class ForeignCheckpoint(DogganError):
    """A checkpoint of another run."""


@dataclass(frozen=True)
class Checkpoints:
    """The folder of a run's checkpoints: `step-00001234.npz` at ends of epochs, the newest `keep` of them and the
    newest that is certainly sound; `step-00001250-within.npz`, the newest one elsewhere since then; and `best.npz`.

    A file appears whole or not at all, whatever kills the process, and a checksum guards every byte of it (see
    `doggan.training.sealed`).

    Attributes:
        folder: where they are.
        keep: how many of the newest at ends of epochs.
        identity: of the run. It is written into every checkpoint, and one with another is not restored; None for
            neither. Older checkpoints have none, and pass.
    """

    folder: Path
    keep: int = 2
    identity: str | None = None

    def saved(self) -> list[tuple[int, Path]]:
        """(step, file) of every numbered checkpoint, oldest first."""
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*.npz")]
        return sorted((int(match[1]), path) for match, path in found if match)

    def find(self, which: str = "best") -> Path:
        """The file of "best" (the newest where none was scored), "newest", or a step number.

        Raises:
            DogganError: there is no such checkpoint.
        """
        best, saved = self.folder / _BEST, dict(self.saved())
        if which == "best" and best.exists():
            return best
        if which in ("best", "newest") and saved:
            return saved[max(saved)]
        if which.isdigit() and int(which) in saved:
            return saved[int(which)]
        have = [str(step) for step in saved] + (["best"] if best.exists() else [])
        raise DogganError(f"{self.folder} has no checkpoint {which!r}; it has {', '.join(have) or 'none at all'}.")

    def save(
        self,
        gan: GAN,
        extras: Mapping[str, NDArray[np.float64]] | None = None,
        *,
        within: bool = False,
        sound: int | None = None,
    ) -> Path:
        """Write the checkpoint of the current step, and delete those that need not be kept any longer.

        Args:
            gan: what is saved.
            extras: arrays that come back from `restore` with the variables.
            within: the step is not the end of an epoch, or of one whose checkpoint is to be kept.
            sound: a step up to which training will be found sound whatever is found later; the newest end of an epoch
                up to there is kept. None keeps none for that.
        """
        values = _values(gan, extras)
        path = self.folder / f"step-{int(values['step']):08d}{'-within' * within}.npz"
        write_sealed(path, values, {"run": self.identity})
        saved = self.saved()
        ends = [(step, old) for step, old in saved if not _is_within(old)]
        kept = [saved[-1], *ends[-self.keep :]]
        if sound is not None:
            kept += [end for end in ends if end[0] <= sound][-1:]
        for old in saved:
            if old not in kept:
                old[1].unlink()
        return path

    def save_best(self, gan: GAN, score: float, extras: Mapping[str, NDArray[np.float64]] | None = None) -> bool:
        """Write `best.npz` if `score` (lower is better) is a number and better than the one of what is there.

        Returns:
            Whether it was written.
        """
        best = self.best()
        if not np.isfinite(score) or (best is not None and score >= best[1]):
            return False
        write_sealed(self.folder / _BEST, _values(gan, extras), {"score": score, "run": self.identity})
        return True

    def best(self) -> tuple[int, float] | None:
        """Step and score of `best.npz`; None where nothing was scored yet. A file that cannot be used is set aside."""
        best = self.folder / _BEST
        if not best.exists():
            return None
        try:
            with open_sealed(best) as (file, facts):
                _check_run(best, facts, self.identity)
                return None if facts.get("score") is None else (int(file["step"]), facts["score"])
        except (DamagedCheckpoint, ForeignCheckpoint) as error:
            _set_aside(best, error, "and the next one that is scored takes its place")
            return None

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole and this run's; None where the folder has none.

        A damaged file is renamed to `*.damaged` and another run's to `*.foreign`, said on stderr, and the one before
        it is taken, `best.npz` last.

        Raises:
            DogganError: none of them can be used; also where they were all set aside before.
        """
        best = self.folder / _BEST
        files = [path for _, path in reversed(self.saved())] + [best] * best.exists()
        for path in files:
            try:
                with open_sealed(path) as (_, facts):
                    _check_run(path, facts, self.identity)
                return path
            except (DamagedCheckpoint, ForeignCheckpoint) as error:
                _set_aside(path, error, "and the one before it is used")
        if files or any(self.folder.glob("*.npz.damaged*")) or any(self.folder.glob("*.npz.foreign*")):
            raise DogganError(f"Every checkpoint in {self.folder} is damaged or another run's; start a new run.")
        return None


def restore(gan: GAN, path: Path, identity: str | None = None) -> dict[str, NDArray[np.float64]]:
    """Give every variable of `gan` the value it has in the checkpoint at `path`, and return the extras.

    The histograms of D's verdicts, which older checkpoints lack, begin anew where they are missing.

    Args:
        gan, path: what is restored, and from where.
        identity: of the run that the checkpoint must be of, as far as it says; None does not ask.

    Raises:
        DogganError: the file is damaged, belongs to another run, to other networks or optimizers, or lacks the average
            that `gan` keeps. Nothing was assigned then.
    """
    variables = gan.saved_variables()
    with open_sealed(path) as (file, facts):
        _check_run(path, facts, identity)
        if gan.average is not None and not _holds_average(file.files):
            raise DogganError(
                f"{path} holds no average of the generator, which this run is set to keep: a doggan without one wrote "
                'it. Start a new run; or, to continue without one, add "ema": {"half_life": 0.0} to "config" in the '
                "run's config.json."
            )
        values = {key: file[key] for key in variables if key in file.files}
        extras = {key.removeprefix(_EXTRA): file[key] for key in file.files if key.startswith(_EXTRA)}
    empty = {key: np.zeros(tuple(variables[key].shape)) for key in variables if key.startswith(_HISTOGRAM)}
    _assign(variables, empty | values, path)
    return extras


def examine(path: Path, identity: str | None = None) -> tuple[int, bool] | None:
    """The step of a checkpoint, and whether all it holds of networks and optimizers are finite numbers.

    None for one that cannot be used: damaged, or another run's.
    """
    try:
        with open_sealed(path) as (file, facts):
            _check_run(path, facts, identity)
            names = [name for name in file.files if name != "meta" and not name.startswith(_EXTRA)]
            return int(file["step"]), all(np.isfinite(file[name]).all() for name in names)
    except (DamagedCheckpoint, ForeignCheckpoint):
        return None


def restore_generator(generator: Any, path: Path, *, raw: bool = False) -> tuple[int, bool]:
    """Give a generator the values that samples are drawn with.

    They are those of the generator's average where the checkpoint has one, unless `raw`: the weights as trained.

    Returns:
        The step of the checkpoint at `path`, and whether the values are the average's.

    Raises:
        DogganError: the file is damaged, or belongs to another network.
    """
    with open_sealed(path) as (file, _):  # once: a run that still trains replaces it, or deletes it
        averaged = not raw and _holds_average(file.files)
        owner = "average" if averaged else "generator"
        named = {f"{owner}.{i:03d}.{variable.name}": variable for i, variable in enumerate(generator.variables)}
        values = {key: file[key] for key in named if key in file.files}
        step = int(file["step"])
    _assign(named, values, path)
    return step, averaged


def restore_discriminator(discriminator: Any, path: Path) -> int:
    """Give a discriminator the values it has in the checkpoint at `path`, and return its step.

    Raises:
        DogganError: the file is damaged, or belongs to another network.
    """
    named = {f"discriminator.{i:03d}.{variable.name}": variable for i, variable in enumerate(discriminator.variables)}
    with open_sealed(path) as (file, _):
        values = {key: file[key] for key in named if key in file.files}
        step = int(file["step"])
    _assign(named, values, path)
    return step


def has_average(path: Path) -> bool:
    """Whether the checkpoint at `path` holds an average of the generator.

    Raises:
        DogganError: the file is damaged.
    """
    with open_sealed(path) as (file, _):
        return _holds_average(file.files)


def _holds_average(names: Iterable[str]) -> bool:
    return any(name.startswith(_AVERAGE) for name in names)


def describe_weights(averaged: bool, bn_samples: int = 0) -> str:
    """What samples are drawn with, in words.

    Args:
        averaged: as `restore_generator` says.
        bn_samples: z that batch norm was re-estimated on; 0 where it was not.
    """
    weights = "averaged weights" if averaged else "weights as trained"
    return f"{weights}, batch norm re-estimated on {bn_samples:,} z" if bn_samples else weights


def _values(gan: GAN, extras: Mapping[str, NDArray[np.float64]] | None) -> dict[str, np.ndarray]:
    values = {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}
    return values | {_EXTRA + name: array for name, array in (extras or {}).items()}


def _assign(variables: dict[str, Any], values: dict[str, np.ndarray], path: Path) -> None:
    for key, variable in variables.items():
        if key not in values or values[key].shape != tuple(variable.shape):
            found = f"has shape {values[key].shape}" if key in values else "is missing"
            raise DogganError(
                f"{path} belongs to another recipe: {key} {found} where the network has {tuple(variable.shape)}."
            )
    for key, variable in variables.items():
        variable.assign(values[key])


def _is_within(path: Path) -> bool:
    return path.stem.endswith("-within")


def _check_run(path: Path, facts: Mapping[str, Any], identity: str | None) -> None:
    if identity is not None and facts.get("run") not in (None, identity):
        raise ForeignCheckpoint(f"The checkpoint {path} is another run's.")


def _set_aside(path: Path, error: DamagedCheckpoint | ForeignCheckpoint, instead: str) -> None:
    name = f"{path.name}.{'damaged' if isinstance(error, DamagedCheckpoint) else 'foreign'}"
    names = (name if i == 1 else f"{name}-{i}" for i in itertools.count(1))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.replace(aside)
    print(f"{error} It is now {aside.name}, {instead}.", file=sys.stderr)
