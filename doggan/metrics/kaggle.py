"""The competition's score of a submission: FID and memorization distance by the `kaggle` protocol.

The real set is every photograph, *uncropped*, squashed to 64×64: the demo kernels' way. A score from crops is
not comparable with it.
"""

import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doggan.errors import DogganError
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.inception import Inception
from doggan.metrics.memorization import memorization_distance, mifid
from doggan.metrics.pace import Pace

PROTOCOL = "kaggle"
SIDE = 64


class RealFeatures(NamedTuple):
    """Features of the photographs that could be read, and how many could not."""

    features: NDArray[np.float32]  # [N, 2048]
    n_skipped: int


@dataclass(frozen=True)
class Score:
    """What the competition's evaluator would say of a submission (its public score)."""

    fid: float
    memorization_distance: float
    mifid: float
    n_generated: int
    n_real: int
    n_skipped: int = 0  # photographs that could not be read
    protocol: str = PROTOCOL
    extractor: str = Inception.name

    def __str__(self) -> str:
        skipped = f", {self.n_skipped:,} unreadable left out" if self.n_skipped else ""
        return (
            f"MiFID {self.mifid:.4f} (FID {self.fid:.4f}, "
            f"memorization distance {self.memorization_distance:.4f}): "
            f"{self.extractor}, protocol {self.protocol}, "
            f"{self.n_generated:,} generated against {self.n_real:,} real images{skipped}"
        )


def score_submission(
    images: NDArray[np.uint8],
    real: Sequence[Path] | RealFeatures | NDArray[np.float32],
    inception: Inception,
    *,
    batch_size: int = 50,
    progress: bool = False,
    deadline: float | None = None,
) -> Score:
    """FID, memorization distance and MiFID of generated images against all photographs.

    Args:
        images: uint8 [N, 64, 64, 3], N ≥ 2.
        real: the photographs' paths, or their features from `real_features`.
        inception: the network.
        batch_size: images at a time, real or generated (the evaluator's 50).
        progress: whether to draw a bar.
        deadline: the `time.monotonic()` at which the features must be there. What follows takes
            about a minute and a half on two busy cores for 10,000 against 20,000 images.

    Raises:
        TimeUp: the features cannot be computed before the deadline; raised as soon as the speed shows it.
        DogganError: fewer than two photographs can be read.
    """
    if images.shape[1:] != (SIDE, SIDE, 3):
        raise ValueError(f"a submission's images are uint8 [N, {SIDE}, {SIDE}, 3], not {images.shape}")
    if isinstance(real, np.ndarray):
        real = RealFeatures(real, 0)
    n_photographs = 0 if isinstance(real, RealFeatures) else len(real)
    total = len(images) + n_photographs
    with Pace(total, "Inception features", progress=progress, deadline=deadline) as pace:
        generated = inception.features(images, batch_size=batch_size, pace=pace)
        if not isinstance(real, RealFeatures):
            real = _real_features(real, inception, batch_size, pace)
    features, n_skipped = real
    fid = frechet_distance(*statistics(features), *statistics(generated))
    distance = memorization_distance(generated, features)
    return Score(fid, distance, mifid(fid, distance), len(images), len(features), n_skipped)


def real_features(
    photographs: Sequence[Path],
    inception: Inception,
    *,
    batch_size: int = 50,
    progress: bool = False,
    deadline: float | None = None,
) -> RealFeatures:
    """Features of whole photographs squashed to 64×64 RGB by Pillow's antialiased Lanczos filter.

    A photograph that Pillow cannot read is skipped and counted. A few threads decode ahead of the network.

    Raises:
        TimeUp: it cannot be done before the deadline (a `time.monotonic()`).
        DogganError: fewer than two photographs can be read.
    """
    with Pace(len(photographs), "Inception features", progress=progress, deadline=deadline) as pace:
        return _real_features(photographs, inception, batch_size, pace)


def squashed(path: str | Path) -> NDArray[np.uint8] | None:
    """One photograph as the real set has it, uint8 [64, 64, 3], or None when it cannot be read."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError):
        return None


def _real_features(photographs: Sequence[Path], inception: Inception, batch_size: int, pace: Pace) -> RealFeatures:
    parts, n_skipped = [], 0
    for pictures in _read_ahead(photographs, batch_size):
        readable = [picture for picture in pictures if picture is not None]
        pace.skip(len(pictures) - len(readable))
        n_skipped += len(pictures) - len(readable)
        if readable:
            parts.append(inception.features(np.stack(readable), batch_size=batch_size, pace=pace))
    n = sum(map(len, parts))
    if n < 2:
        where = photographs[0].parent if len(photographs) else "the given folder"
        raise DogganError(
            f"Only {n} of {len(photographs)} photographs in {where} can be read and a score needs two; "
            "give the folder of the competition's photographs."
        )
    return RealFeatures(np.concatenate(parts), n_skipped)


def _read_ahead(photographs: Sequence[Path], batch_size: int) -> Iterator[list[NDArray[np.uint8] | None]]:
    """Pictures by the batch, the next batch being read while the caller works on this one."""
    batches = (photographs[i : i + batch_size] for i in range(0, len(photographs), batch_size))
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.map(squashed, batch) for batch in islice(batches, 1)]
        while waiting:
            current = waiting.pop()
            waiting = [pool.map(squashed, batch) for batch in islice(batches, 1)]
            yield list(current)
