"""The nearest training pictures of samples, and how near is suspiciously near."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.cache import Cache, cache_key, kept
from doggan.data.imageset import hash_images
from doggan.errors import DogganError
from doggan.explore.subject import Subject
from doggan.files import write_text
from doggan.metrics.cache import FeatureCache, features_of
from doggan.metrics.extractors import EXTRACTORS, Extractor, load_extractor
from doggan.metrics.memorization import nearest
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Pixels
from doggan.metrics.pixel_distance import NORMS, nearest_pixels
from doggan.metrics.scores import check_features
from doggan.plots.neighbors import neighbors_figure

MEASURES = (*NORMS, *EXTRACTORS)
DEFAULT_MEASURES = ("l1", "l2", "inception")
SUSPICIOUS = 0.01  # of pictures that the generator never saw

_BLOCK = 1000  # samples whose neighbours are kept together
_PIXELS = {"l1": "mean absolute difference", "l2": "root mean square difference"}


@dataclass(frozen=True)
class Neighbors:
    """The nearest training picture of each sample by one measure.

    Attributes:
        measure: one of `MEASURES`.
        label: what the distance is, with its unit, for axes.
        distance: float64 [N], NaN where a sample has no distance (features of zeros).
        index: int64 [N] into the training pictures, −1 there.
        heldout: float64 [M], the same distances of held-out pictures; None where there are none.
        threshold: the distance that `SUSPICIOUS` of the held-out pictures fall below; NaN without them.
        share: of samples nearer to a training picture than that; NaN without held-out pictures. A generator that
            memorises nothing has about `SUSPICIOUS`, or less where it leaves much out.
    """

    measure: str
    label: str
    distance: NDArray[np.float64]
    index: NDArray[np.int64]
    heldout: NDArray[np.float64] | None

    @property
    def threshold(self) -> float:
        return float("nan") if self.heldout is None else float(np.nanquantile(self.heldout, SUSPICIOUS))

    @property
    def share(self) -> float:
        return float("nan") if self.heldout is None else float(np.mean(self.distance < self.threshold))

    def __str__(self) -> str:
        """The figures in a line."""
        median = f"{self.measure}: median distance {np.nanmedian(self.distance):.4g}"
        if self.heldout is None:
            return f"{median} ({self.label})"
        return (
            f"{median}, of held-out pictures {np.nanmedian(self.heldout):.4g}; {self.share:.1%} of samples are nearer "
            f"than {self.threshold:.4g}, as {SUSPICIOUS:.0%} of held-out pictures are ({self.label})"
        )


def find_neighbors(
    samples: NDArray[np.uint8],
    training: NDArray[np.uint8],
    heldout: NDArray[np.uint8] | None = None,
    *,
    measures: Sequence[str] = DEFAULT_MEASURES,
    weights: str | Path | None = None,
    cache: Cache | None = None,
    features: FeatureCache | None = None,
    progress: bool = False,
) -> list[Neighbors]:
    """The nearest training picture of each sample, by each measure.

    Held-out pictures say how near pictures lie that were not copied: one that the generator never saw may look like one
    that it saw, too. By pixels a blurred picture is near to everything, so a large share there says little without the
    pictures; by features it says more.

    Blocks of the distances exist at a time: beside the pictures and their features (and the network that makes these)
    it takes less than 400 MB for pictures 64×64, whatever their number.

    Args:
        samples, training, heldout: uint8 [N, H, W, C], [M, H, W, C], [L, H, W, C], C = 1 or 3, N and M > 0; None, or
            L = 0, without held-out pictures.
        measures: names of `MEASURES`: by pixels, or by 1 − |cosine| of an extractor's features.
        weights: the file of the one extractor that reads weights.
        cache: keeps the neighbours by pixels of 1,000 samples at a time; None computes all.
        features: keeps features; None computes all.
        progress: show bars.

    Raises:
        DogganError: a measure does not exist or is named twice, or its weights are not to be had.
    """
    for measure in measures:
        if measure not in MEASURES or list(measures).count(measure) > 1:
            raise DogganError(f"Give each measure once, of {', '.join(MEASURES)}, not {','.join(measures)}.")
    reading = [measure for measure in measures if measure not in (*NORMS, "random")]
    if weights is not None and len(reading) != 1:
        raise DogganError(f"{weights} is of one network, and the measures name {', '.join(reading) or 'none'}.")
    extractors = {
        measure: load_extractor(measure, weights if measure in reading else None)
        for measure in measures
        if measure not in NORMS
    }
    sets = [Pixels(images).images for images in (samples, training)]
    if heldout is not None and len(heldout):
        sets.append(Pixels(heldout).images)
    found = []
    for measure in measures:
        if measure in NORMS:
            distances = _by_pixels(sets, measure, cache, progress)
            label = f"{_PIXELS[measure]}, levels of 255"
        else:
            distances = _by_features(sets, extractors[measure], features, progress)
            label = f"1 − |cosine|, {extractors[measure].name}"
        (distance, index), *others = distances
        found.append(Neighbors(measure, label, distance, index, others[0][0] if others else None))
    return found


def _by_pixels(
    sets: Sequence[NDArray[np.uint8]], norm: str, cache: Cache | None, progress: bool
) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    fake, true, *others = sets
    learned = hash_images(true)
    found = []
    with tqdm(
        total=sum(map(len, (fake, *others))), desc=f"nearest by {norm}", unit="image", disable=not progress
    ) as bar:
        for rows in (fake, *others):
            parts = []
            for start in range(0, len(rows), _BLOCK):
                block = rows[start : start + _BLOCK]

                def compute(block: NDArray[np.uint8] = block) -> dict[str, NDArray[np.generic]]:
                    distance, index = nearest_pixels(block, true, norm)
                    return {"distance": distance, "index": index}

                parts.append(kept(cache, cache_key("neighbors 1", norm, hash_images(block), learned), compute))
                bar.update(len(block))
            distance, index = (np.concatenate([part[name] for part in parts]) for name in ("distance", "index"))
            found.append((distance, index))
    return found


def _by_features(
    sets: Sequence[NDArray[np.uint8]], extractor: Extractor, cache: FeatureCache | None, progress: bool
) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    with Pace(sum(map(len, sets)), f"{extractor.name} features", progress=progress) as pace:
        fake, true, *others = [features_of(Pixels(images), extractor, pace, cache).rows for images in sets]
    check_features(extractor, generated=fake, training=true)
    return [nearest(rows, true) for rows in (fake, *others)]


def shown(found: Neighbors, n: int) -> NDArray[np.intp]:
    """Samples for a picture: the nearest half of `n` to a training picture, then as many at even ranks of the rest."""
    order = np.argsort(found.distance, kind="stable")  # NaN comes last
    order = order[: np.count_nonzero(found.index >= 0)]
    first = order[: min(n - n // 2, len(order))]
    rest = order[len(first) :]
    return np.concatenate([first, rest[np.linspace(0, len(rest) - 1, min(n // 2, len(rest))).round().astype(int)]])


def draw_neighbors(
    subject: Subject, path: Path, table: Path | None = None, *, n: int = 12, **options: Any
) -> list[Neighbors]:
    """Find the neighbours of a subject's samples, draw `n` of them, and write all of them into `table`.

    Args:
        subject: samples and real pictures.
        path, table: the PNG and the CSV to write; None writes no CSV.
        n: samples on the picture, chosen by the first measure; see `shown`.
        options: of `find_neighbors`.

    Raises:
        DogganError: as `find_neighbors`.
        OSError: a file cannot be written.
    """
    training = subject.training
    found = find_neighbors(subject.samples, training.images, subject.heldout.images, **options)
    title = f"{subject.name}: {len(subject.samples):,} samples against {len(training):,} training pictures"
    neighbors_figure(path, subject.samples, training.images, found, shown(found[0], n), title)
    if table is not None:
        lines = ["sample,measure,distance,suspicious,source_id"]
        for each in found:
            for i, (distance, j) in enumerate(zip(each.distance, each.index, strict=True)):
                name = training.source_ids[j] if j >= 0 else ""
                lines.append(f"{i},{each.measure},{distance:.6g},{int(distance < each.threshold)},{name}")
        write_text(table, "\n".join(lines) + "\n")
    return found
