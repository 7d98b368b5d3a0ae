"""Checkpoints: one `.npz` without pickle that holds every variable training moves, the step and a score."""

import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.files import atomic_path
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN

FORMAT_VERSION = 1
_NAME = re.compile(r"step-(\d{8})\.npz")
_BEST = "best.npz"
_EXTRA = "extra."
_AVERAGE = "average."
# What a file that is cut or overwritten makes NumPy and zipfile raise; an OSError is the disk's, not the file's.
_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Checkpoints:
    """The folder of a run's checkpoints: `step-00001234.npz` (the newest `keep`) and `best.npz`.

    A file appears whole or not at all, whatever kills the process, and its content is guarded by the CRC of the zip.
    """

    folder: Path
    keep: int = 2

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
        self, gan: GAN, score: float | None = None, extras: Mapping[str, NDArray[np.float64]] | None = None
    ) -> Path:
        """Write the checkpoint of the current step; also as `best.npz` where `score` (lower is better) is the best.

        `extras` are arrays that come back from `restore_newest` with the variables.
        """
        values = {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}
        values |= {_EXTRA + name: array for name, array in (extras or {}).items()}
        path = self.folder / f"step-{int(values['step']):08d}.npz"
        # The best first: a process killed between the two repeats both after it resumes.
        if score is not None and np.isfinite(score):
            best = self.best_score()
            if best is None or score < best:
                _write(self.folder / _BEST, values, score)
        _write(path, values, score)
        for _, old in self.saved()[: -self.keep]:
            old.unlink()
        return path

    def best_score(self) -> float | None:
        """The score of `best.npz`, or None where nothing was scored yet. A damaged file is set aside."""
        best = self.folder / _BEST
        if not best.exists():
            return None
        try:
            return json.loads(str(_read(best, ["meta"])["meta"]))["score"]
        except DamagedCheckpoint as error:
            _set_aside(best, error)
            return None

    def restore_newest(self, gan: GAN) -> dict[str, NDArray[np.float64]] | None:
        """Restore the newest checkpoint that reads whole and return its extras; None where the folder has none.

        A damaged file is renamed to `*.damaged`, said on stderr, and the one before it is taken, `best.npz` last.

        Raises:
            DogganError: all of them are damaged, or they belong to another recipe.
        """
        files = [path for _, path in reversed(self.saved())]
        files += [path for path in [self.folder / _BEST] if path.exists()]
        for path in files:
            try:
                restore(gan, path)
                return _read_extras(path)
            except DamagedCheckpoint as error:
                _set_aside(path, error)
        if files:
            raise DogganError(f"Every checkpoint in {self.folder} is damaged; start a new run.")
        return None


class DamagedCheckpoint(DogganError):
    """A checkpoint that cannot be read whole."""


def restore(gan: GAN, path: Path) -> None:
    """Give every variable of `gan` the value it has in the checkpoint at `path`.

    Raises:
        DogganError: the file is damaged, belongs to other networks or optimizers, or lacks the average `gan` keeps.
    """
    if gan.average is not None and not has_average(path):
        raise DogganError(
            f"{path} holds no average of the generator, which this run is set to keep: a doggan without one wrote it. "
            'Start a new run; or, to continue without one, add "ema": {"half_life": 0.0} to "config" in the run\'s '
            "config.json."
        )
    variables = gan.saved_variables()
    _assign(variables, _read(path, list(variables)), path)


def restore_generator(generator: Any, path: Path, *, raw: bool = False) -> tuple[int, bool]:
    """Give a generator the values that samples are drawn with.

    They are those of the generator's average where the checkpoint has one, unless `raw`: the weights as trained.

    Returns:
        The step of the checkpoint at `path`, and whether the values are the average's.

    Raises:
        DogganError: the file is damaged, or belongs to another network.
    """
    with _opened(path) as file:  # once: a run that still trains replaces it, or deletes it
        averaged = not raw and _holds_average(file)
        owner = "average" if averaged else "generator"
        named = {f"{owner}.{i:03d}.{variable.name}": variable for i, variable in enumerate(generator.variables)}
        values = {key: file[key] for key in named if key in file.files}
        step = int(file["step"])
    _assign(named, values, path)
    return step, averaged


def has_average(path: Path) -> bool:
    """Whether the checkpoint at `path` holds an average of the generator.

    Raises:
        DogganError: the file is damaged.
    """
    with _opened(path) as file:
        return _holds_average(file)


def _holds_average(file: Any) -> bool:
    return any(name.startswith(_AVERAGE) for name in file.files)


def describe_weights(averaged: bool, bn_samples: int = 0) -> str:
    """What samples are drawn with, in words.

    Args:
        averaged: as `restore_generator` says.
        bn_samples: z that batch norm was re-estimated on; 0 where it was not.
    """
    weights = "averaged weights" if averaged else "weights as trained"
    return f"{weights}, batch norm re-estimated on {bn_samples:,} z" if bn_samples else weights


def _assign(variables: dict[str, Any], values: dict[str, np.ndarray], path: Path) -> None:
    for key, variable in variables.items():
        if key not in values or values[key].shape != tuple(variable.shape):
            found = f"has shape {values[key].shape}" if key in values else "is missing"
            raise DogganError(
                f"{path} belongs to another recipe: {key} {found} where the network has {tuple(variable.shape)}."
            )
    for key, variable in variables.items():
        variable.assign(values[key])


def _write(path: Path, values: dict[str, np.ndarray], score: float | None) -> None:
    meta = json.dumps({"format_version": FORMAT_VERSION, "score": score})
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, meta=np.array(meta), **values)  # type: ignore[arg-type]


def _read(path: Path, keys: list[str]) -> dict[str, np.ndarray]:
    """The arrays of `keys` that the file has."""
    with _opened(path) as file:
        return {key: file[key] for key in keys if key in file.files}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file as NumPy opens it; `meta` must be there. What is wrong with it while it is open is damage."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if json.loads(str(file["meta"]))["format_version"] > FORMAT_VERSION:
                raise DogganError(f"{path} was written by a newer doggan; update doggan to use it.")
            yield file
    except _UNREADABLE as error:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged ({error}).") from None


def _read_extras(path: Path) -> dict[str, NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as file:
        return {key.removeprefix(_EXTRA): file[key] for key in file.files if key.startswith(_EXTRA)}


def _set_aside(path: Path, error: DamagedCheckpoint) -> None:
    aside = path.with_suffix(".npz.damaged")
    path.replace(aside)
    print(f"{error} It is now {aside.name}, and the one before it is used.", file=sys.stderr)
