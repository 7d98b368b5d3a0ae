"""A run is a folder; `Run` knows what lies where in it."""

import dataclasses
import importlib.metadata
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggan.config import Config
from doggan.data.classes import Classes
from doggan.errors import DogganError
from doggan.files import write_text
from doggan.recipes import as_override, config_from_dict
from doggan.runs.overrides import changes, identity, why_not
from doggan.training.checkpoints import Checkpoints

FORMAT_VERSION = 1
_PACKAGES = ("doggan", "tensorflow", "keras", "jax", "numpy", "opencv-python", "scipy")


@dataclass(frozen=True)
class Run:
    """One training run on disk.

    Attributes:
        folder: holds `config.json`, `metrics.csv`, `histograms.csv`, `losses.png`, `losses-epoch.png`, `verdicts.png`,
            `samples/` (a sheet an epoch, and `latest.png`), `samples.gif`, `checkpoints/`; where it is scored,
            `scores.json` and `scores.png`; where asked for, `tensorboard/`; where it was rolled back, `rollback.json`.
        config: as resolved when the run was made, with what `override` has changed since.
        image_shape: (height, width, channels) of the pictures the networks see.
        data_path: the prepared `.npz` it trains on.
        data_hash: sha256 of the training pictures' bytes, in conditional runs of their labels too.
        identity: of its checkpoints; None in runs of an older doggan.
        classes: that the networks are told; None where they are told none.
    """

    folder: Path
    config: Config
    image_shape: tuple[int, int, int]
    data_path: Path
    data_hash: str
    identity: str | None = None
    classes: Classes | None = None

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Config,
        image_shape: tuple[int, int, int],
        data_path: Path,
        data_hash: str,
        classes: Classes | None = None,
    ) -> "Run":
        """Make the folder and write config.json.

        Raises:
            DogganError: the folder already holds a run.
        """
        if (folder / "config.json").exists():
            raise DogganError(f"{folder} already holds a run; continue it with --resume, or choose another --out.")
        run = cls(folder, config, image_shape, data_path, data_hash, identity(config, data_hash), classes)
        record = {
            "format_version": FORMAT_VERSION,
            "config": dataclasses.asdict(config),
            "image_shape": image_shape,
            "data": {"path": str(data_path), "sha256": data_hash},
            "classes": None if classes is None else dataclasses.asdict(classes),
            "identity": run.identity,
            "versions": _versions(),
        }
        _write(folder, record)
        return run

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in an existing folder.

        Its configuration may name a module of networks (see `doggan.nets`), which is imported when they are built: open
        only runs that you trust as you would a program.

        Raises:
            DogganError: there is none, or it was written by a newer doggan.
        """
        folder = Path(folder)
        path = folder / "config.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if record["format_version"] > FORMAT_VERSION:
                raise DogganError(f"{path} was written by a newer doggan; update doggan to use this run.")
            height, width, channels = record["image_shape"]
            config = config_from_dict(record["config"], source=str(path))
            data = record["data"]
            told = record.get("classes")
            return cls(
                folder,
                config,
                (height, width, channels),
                Path(data["path"]),
                data["sha256"],
                record.get("identity"),
                None if told is None else Classes(tuple(told["names"]), tuple(told["counts"])),
            )
        except OSError:
            raise DogganError(f"{folder} is not a run: it has no config.json; start one with `doggan train`.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DogganError(f"{path} is not a run's configuration ({error!r}).") from None

    def draw_classes(self, n: int, seed: int) -> NDArray[np.int32] | None:
        """Classes int32 [n] for samples, as frequent as `sampling.classes` says; None where the run has none."""
        return None if self.classes is None else self.classes.draw(n, seed, self.config.sampling.classes)

    def find_classes(self, names: Sequence[str]) -> list[int]:
        """The labels of classes by their names; of all that have pictures where none is named, in conditional runs.

        Raises:
            DogganError: the run's networks are told no classes, know none of that name, or have never seen it.
        """
        if self.classes is None:
            if names:
                raise DogganError(f"The networks of {self.folder} are told no classes; leave out --class.")
            return []
        labels = [self.classes.find(name) for name in names]
        for label in labels:
            if self.classes.counts[label] == 0:
                raise DogganError(
                    f"{self.folder} was trained on no picture of {self.classes.names[label]}; choose another --class."
                )
        return labels or np.flatnonzero(self.classes.counts).tolist()

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's checkpoints."""
        return Checkpoints(self.folder / "checkpoints", self.config.train.keep, self.identity)

    @property
    def gif(self) -> Path:
        """The sample sheets through time."""
        return self.folder / "samples.gif"

    @property
    def scores(self) -> Path:
        """What its scores are; see `doggan.runs.scores.Comparison`."""
        return self.folder / "scores.json"

    def sheets(self) -> dict[int, Path]:
        """The sample sheets by epoch, in order."""
        found = ((re.fullmatch(r"epoch-(\d+)\.png", path.name), path) for path in (self.folder / "samples").glob("*"))
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def check_settings(self, config: Config) -> None:
        """Refuse to continue with another recipe.

        Raises:
            DogganError: names every setting that differs, and those of them that may be changed on purpose.
        """
        changed = changes(self.config, config)
        if not changed:
            return
        differences = [f"{key}: {old} → {new}" for key, (old, new) in changed.items()]
        safe = [as_override(key, new) for key, (_, new) in changed.items() if why_not(self.config, key) is None]
        options = " ".join(f"--override {setting}" for setting in safe)
        remedy = f"change what may be changed by `doggan train --resume {self.folder} {options}`, " if safe else ""
        raise DogganError(
            f"{self.folder} was started with other settings ({'; '.join(differences)}); resume it "
            f"without changing them, {remedy}or start a new run."
        )

    def override(self, config: Config, step: int) -> "Run":
        """The run with other settings, as `check_changes` allows them.

        They are written into config.json, with a record of what changed at which step; nothing is where none did.
        """
        changed = changes(self.config, config)
        if not changed:
            return self
        path = self.folder / "config.json"
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        record["config"] = dataclasses.asdict(config)
        settings = {key: {"from": old, "to": new} for key, (old, new) in changed.items()}
        record.setdefault("overrides", []).append({"step": step, "settings": settings})
        _write(self.folder, record)
        return dataclasses.replace(self, config=config)

    def check_pictures(self, data_hash: str) -> None:
        """Refuse to continue with other pictures.

        Raises:
            DogganError: the training pictures are not those the run was started with.
        """
        if data_hash != self.data_hash:
            raise DogganError(
                f"{self.folder} was trained on other pictures than these; resume it with the file it was started with "
                f"({self.data_path})."
            )


def next_folder(parent: Path, recipe: str) -> Path:
    """`parent`/NNNNN-recipe with the next free number."""
    numbers = [int(match[1]) for path in parent.glob("*") if (match := re.match(r"(\d{5})-", path.name))]
    return parent / f"{max(numbers, default=-1) + 1:05d}-{recipe}"


def _write(folder: Path, record: dict[str, Any]) -> None:
    write_text(folder / "config.json", json.dumps(record, indent=2) + "\n")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
