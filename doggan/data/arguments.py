"""What every way to prepare a data set asks of its arguments, before the work begins."""

import os
from collections.abc import Iterable
from pathlib import Path

from doggan.errors import DogganError

SIZES = (32, 40, 48, 64, 80, 96, 128)


def check_size(size: int) -> None:
    """Raises DogganError unless pictures of this side are made."""
    if size not in SIZES:
        raise DogganError(f"size {size} is not one of {', '.join(map(str, SIZES))}; choose one of them.")


def check_crop(crop: str, rules: Iterable[str]) -> None:
    """Raises DogganError unless `crop` is one of `rules`."""
    if crop not in rules:
        raise DogganError(f"crop {crop!r} is not one of {', '.join(rules)}; choose one of them.")


def check_holdout(holdout: float) -> None:
    """Raises DogganError unless `holdout` is a share in [0, 1)."""
    if not 0 <= holdout < 1:
        raise DogganError(f"holdout {holdout} is not a share in [0, 1); 0.1 holds out a tenth.")


def check_workers(workers: int | None) -> None:
    """Raises DogganError for a number of threads below 1; None is every core."""
    if workers is not None and workers < 1:
        raise DogganError(f"workers {workers} is not at least 1; leave it out to use every core.")


def check_out(out: Path, example: str) -> None:
    """Raises DogganError where no file can be written at `out`; `example` is a name for one."""
    if out.is_dir():
        raise DogganError(f"{out} is a folder; name a file in it, such as {out / example}.")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise DogganError(f"{out} cannot be written, since {folder} is not a writable folder; name another.")
