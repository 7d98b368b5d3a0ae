"""The data sets that can be prepared, by name.

A further one is a function that reads it into an `ImageSet`, and one more entry in `DATASETS`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doggan.data import prepare as stanford_dogs
from doggan.data.arguments import check_out
from doggan.data.cifar10 import read_cifar10
from doggan.data.crops import CROP_RULES
from doggan.data.faults import Fault
from doggan.data.folder import FOLDER_CROPS, read_folder
from doggan.data.imageset import HELDOUT, ImageSet
from doggan.data.mnist import read_mnist
from doggan.data.summary import DatasetSummary, PrepareSummary
from doggan.errors import DogganError

Read = Callable[..., tuple[ImageSet, tuple[Fault, ...]]]
"""(source, size=, holdout=, and what `Dataset.options` names) → the set, and what was left out of it."""


@dataclass(frozen=True)
class Dataset:
    """How a data set is prepared.

    Attributes:
        read: reads it; None for Stanford Dogs, which `prepare.prepare` reads and writes.
        stem: what the file to write is called by default, before the size; None to call it as the source.
        size: side of the pictures by default.
        crops: the crop rules that there are for it, the default first.
        options: the further options that it uses, as `prepare_dataset` has them.
    """

    read: Read | None
    stem: str | None
    size: int
    crops: tuple[str, ...]
    options: frozenset[str] = frozenset()


def _mnist(source: Path, **options: Any) -> tuple[ImageSet, tuple[Fault, ...]]:
    return read_mnist(source, **options), ()


def _cifar10(source: Path, **options: Any) -> tuple[ImageSet, tuple[Fault, ...]]:
    return read_cifar10(source, **options), ()


DATASETS: dict[str, Dataset] = {
    "stanford-dogs": Dataset(
        None, "dogs", 64, tuple(CROP_RULES), frozenset({"crop", "fast_decode", "strict", "workers", "progress"})
    ),
    "mnist": Dataset(_mnist, "mnist", 32, ("whole",)),
    "cifar10": Dataset(_cifar10, "cifar10", 32, ("whole",)),
    "folder": Dataset(read_folder, None, 64, tuple(FOLDER_CROPS), frozenset({"crop", "strict", "workers", "progress"})),
}


def prepare_dataset(
    name: str,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    size: int | None = None,
    crop: str | None = None,
    holdout: float = 0.0,
    fast_decode: bool = False,
    strict: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> PrepareSummary | DatasetSummary:
    """Read a data set and write it as an `ImageSet`.

    Args:
        name: a key of `DATASETS`.
        source: the folder or file that holds it; what may be in it, the reader of that set says.
        out: the `.npz` file to write, whole or not at all; `default_out` by default.
        size: side of the pictures, one of `arguments.SIZES`; the set's own by default.
        crop: one of the set's crop rules; its first by default.
        holdout: share of the pictures not published for testing, in [0, 1), that is held out, by their ids.
        fast_decode: see `prepare.prepare`.
        strict: make the first thing that would be left out an error.
        workers: threads; as many as there are cores by default.
        progress: show a progress bar where it takes long.

    Returns:
        Counts, faults and times; `str()` of it is a report in a few lines.

    Raises:
        DogganError: an unknown name; an argument that is out of range or that the set does not use; a `source`
            or `out` that cannot be used.
    """
    started = time.perf_counter()
    if name not in DATASETS:
        raise DogganError(f"There is no data set called {name!r}; choose from {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    _refuse_unused(name, dataset, fast_decode=fast_decode, strict=strict, workers=workers is not None)
    source = Path(source)
    size = dataset.size if size is None else size
    crop = dataset.crops[0] if crop is None else crop
    if crop not in dataset.crops:
        raise DogganError(f"The data set {name} has no crop {crop!r}; choose from {', '.join(dataset.crops)}.")
    out = default_out(name, source, size) if out is None else Path(out)
    possible = {"crop": crop, "fast_decode": fast_decode, "strict": strict, "workers": workers, "progress": progress}
    options: dict[str, Any] = {key: value for key, value in possible.items() if key in dataset.options}
    if dataset.read is None:
        return stanford_dogs.prepare(source, out, size=size, holdout=holdout, **options)
    check_out(out, default_out(name, source, size).name)
    images, faults = dataset.read(source, size=size, holdout=holdout, **options)
    images.save(out)
    heldout = int((images.split == HELDOUT).sum())
    return DatasetSummary(
        out=out,
        dataset=name,
        training=len(images) - heldout,
        heldout=heldout,
        classes=len(images.class_names),
        size=size,
        channels=images.image_shape[2],
        crop=crop,
        faults=faults,
        seconds=time.perf_counter() - started,
    )


def default_out(name: str, source: Path, size: int) -> Path:
    """The file in the current folder that is written unless another is named, such as `dogs64.npz`."""
    stem = DATASETS[name].stem or source.resolve().name or name
    return Path(f"{stem}{'-' if stem[-1].isdigit() else ''}{size}.npz")


def _refuse_unused(name: str, dataset: Dataset, **given: bool) -> None:
    """Raises DogganError for the options given that the data set does not use."""
    unused = [option for option, is_given in given.items() if is_given and option not in dataset.options]
    if unused:
        options = ", ".join(f"--{option.replace('_', '-')}" for option in unused)
        raise DogganError(f"The data set {name} does not use {options}; leave that out.")
