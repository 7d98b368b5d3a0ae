"""Near-duplicates by equal hashes, in linear time: within the training pictures, and of samples with them.

Reference: Radford, Metz, Chintala 2016, section 4.1.1; see `doggan.explore.autoencoder`, which makes the hashes.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.cache import Cache
from doggan.data.imageset import TRAIN, ImageSet
from doggan.errors import DogganError
from doggan.explore.autoencoder import BITS, Hasher, Settings, shrunk, train_hasher
from doggan.explore.subject import Subject
from doggan.files import write_text
from doggan.metrics.pictures import Pixels
from doggan.plots.collision import Pair

_UNRELATED_PAIRS = 2000  # of training pictures drawn at random, to say which distances are doubtful
_DOUBTFUL = 1.0  # percentile of their distances
_AT_A_TIME = 1024  # pairs of pictures


@dataclass(frozen=True)
class Hashes:
    """What the hashes of training pictures are worth.

    Attributes:
        alive: bits that are not the same for all pictures, of 128.
        entropy: sum of the bits' own entropies: the hash has at most that many bits of information.
        nearest: in how many bits the two most alike of 2,000 pairs of unrelated training pictures differ. Formulas for
            the chance of equal hashes were tried, and were wrong by powers of ten since bits are not independent.
        empty: share of pictures with no active bit, whose equal hashes mean nothing; they never collide.
        doubtful: RMS distance in grey levels (0 to 255) below which one in a hundred pairs of unrelated training
            pictures lies: an equal hash beyond it is probably a false positive.
    """

    alive: int
    entropy: float
    nearest: int
    empty: float
    doubtful: float

    def __str__(self) -> str:
        text = (
            f"{self.alive} of {BITS} bits alive, at most {self.entropy:.0f} bits of information; of "
            f"{_UNRELATED_PAIRS:,} pairs of unrelated pictures the most alike differ in {self.nearest} bits"
        )
        if self.empty > 0:
            text += f"; {self.empty:.1%} of the pictures activate no bit and are left out"
        return text


@dataclass(frozen=True)
class Duplicates:
    """Groups of equal hashes in a set of pictures.

    Attributes:
        hashes: see there.
        group: int64 [N], the number of the group of each picture from 0, in the order of their first pictures; −1 for
            pictures without an equal.
        rms: float64 [N], root mean square distance in grey levels to the first picture of the group; NaN without one.
    """

    hashes: Hashes
    group: NDArray[np.int64]
    rms: NDArray[np.float64]

    @property
    def n_groups(self) -> int:
        return int(self.group.max(initial=-1)) + 1

    def members(self, group: int) -> NDArray[np.intp]:
        """The pictures of a group, in their order."""
        return np.flatnonzero(self.group == group)

    @property
    def repeats(self) -> NDArray[np.bool_]:
        """All but the first picture of each group, bool [N]."""
        repeats = self.group >= 0
        repeats[np.unique(self.group, return_index=True)[1]] = False
        return repeats

    @property
    def summary(self) -> str:
        """A short line."""
        groups = f"{self.n_groups:,} group{'' if self.n_groups == 1 else 's'} of equal hashes"
        return f"{groups}; {self.repeats.sum():,} of {len(self.group):,} pictures have that of an earlier one"

    def __str__(self) -> str:
        again = self.rms[self.repeats]
        text = self.summary
        if len(again):
            text += (
                f"; RMS distance {again.min():.1f} to {again.max():.1f} grey levels, "
                f"{(again > self.hashes.doubtful).sum():,} beyond {self.hashes.doubtful:.1f} and so doubtful"
            )
        return text


@dataclass(frozen=True)
class Collisions:
    """Samples with the hash of a training picture.

    Attributes:
        hashes: of the training pictures.
        sample, training: int64 [K], the samples and for each the training picture of its hash that is nearest.
        rms: float64 [K], their root mean square distances in grey levels.
        n_samples: N.
        n_heldout: held-out pictures.
        heldout: how many of them collide, which none of them can by copying.
        most_used: training picture that most samples collide with, and how many do; (−1, 0) where none does.
    """

    hashes: Hashes
    sample: NDArray[np.int64]
    training: NDArray[np.int64]
    rms: NDArray[np.float64]
    n_samples: int
    n_heldout: int
    heldout: int
    most_used: tuple[int, int]

    @property
    def summary(self) -> str:
        """A short line."""
        text = f"{len(self.sample):,} of {self.n_samples:,} samples"
        return text + (f"; {self.heldout:,} of {self.n_heldout:,} held-out pictures" if self.n_heldout else "")

    def __str__(self) -> str:
        n = len(self.sample)
        text = f"{n:,} of {self.n_samples:,} samples ({n / self.n_samples:.2%}) have the hash of a training picture"
        if n:
            text += (
                f", at {self.rms.min():.1f} to {self.rms.max():.1f} grey levels RMS, "
                f"{(self.rms > self.hashes.doubtful).sum():,} beyond {self.hashes.doubtful:.1f} and so doubtful; "
                f"{self.most_used[1]:,} of them that of one picture"
            )
        if self.n_heldout:
            share = self.heldout / self.n_heldout
            return f"{text}\n{self.heldout:,} of {self.n_heldout:,} held-out pictures ({share:.2%}) do"
        return f"{text}\nno held-out pictures, so nothing says how many would without copying"


def find_duplicates(
    images: NDArray[np.uint8],
    settings: Settings | None = None,
    *,
    cache: Cache | None = None,
    progress: bool = False,
) -> Duplicates:
    """Groups of near-duplicates among pictures uint8 [N, H, W, 1 or 3], on which the autoencoder is trained too.

    Args:
        images: at least two.
        settings: of the training.
        cache: where the autoencoder is kept after every epoch; None for nowhere.
        progress: whether to draw a bar.

    Raises:
        DogganError: there are fewer than two pictures, or the hashes tell none apart.
    """
    _, bits, hashes = _hashed(images, settings or Settings(), cache, progress)
    keys, group = _keys(bits), np.full(len(images), -1, np.int64)
    rms = np.full(len(images), np.nan)
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    groups = np.flatnonzero((counts > 1) & bits[first].any(axis=1))
    groups = groups[np.argsort(first[groups])]
    number = np.full(len(first), -1, np.int64)
    number[groups] = np.arange(len(groups))
    group[:] = number[inverse]
    members = np.flatnonzero(group >= 0)
    rms[members] = rms_distances(images[members], images, first[inverse[members]])
    return Duplicates(hashes, group, rms)


def find_collisions(
    subject: Subject, settings: Settings | None = None, *, cache: Cache | None = None, progress: bool = False
) -> Collisions:
    """Samples that have the hash of a training picture; the arguments are those of `find_duplicates`.

    Raises:
        DogganError: there are fewer than two training pictures, or the hashes tell none apart.
    """
    training = subject.training.images
    hasher, bits, hashes = _hashed(training, settings or Settings(), cache, progress)
    places: dict[bytes, list[int]] = {}
    for i, key in enumerate(_keys(bits)):
        if bits[i].any():
            places.setdefault(key.tobytes(), []).append(i)
    sample, nearest, rms = [], [], []
    for i, key in enumerate(_keys(hasher.bits(shrunk(subject.samples)))):
        found = np.array(places.get(key.tobytes(), []), np.int64)
        if len(found):
            distances = rms_distances(np.broadcast_to(subject.samples[i], (len(found), *subject.samples.shape[1:])),
                                      training, found)  # fmt: skip
            sample.append(i)
            nearest.append(int(found[distances.argmin()]))
            rms.append(float(distances.min()))
    heldout = subject.heldout.images
    collide = 0
    if len(heldout):
        collide = sum(key.tobytes() in places for key in _keys(hasher.bits(shrunk(heldout))))
    used = np.bincount(np.array(nearest, np.int64)) if nearest else np.zeros(0, np.int64)
    most_used = (int(used.argmax()), int(used.max())) if len(used) else (-1, 0)
    return Collisions(
        hashes,
        np.array(sample, np.int64),
        np.array(nearest, np.int64),
        np.array(rms, np.float64),
        len(subject.samples),
        len(heldout),
        collide,
        most_used,
    )


def rms_distances(
    pictures: NDArray[np.uint8], others: NDArray[np.uint8], index: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Root mean square differences in grey levels, float64 [n], of pictures [n, H, W, C] and `others[index]`.

    One of the two may be grey and the other in colour.
    """
    distances = np.empty(len(index))
    for start in range(0, len(index), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        difference = pictures[part].astype(np.float32) - others[index[part]].astype(np.float32)
        distances[part] = np.sqrt(np.mean(difference**2, axis=(1, 2, 3), dtype=np.float64))
    return distances


def deduplicated(data: ImageSet, duplicates: Duplicates) -> ImageSet:
    """An image set without the training pictures that repeat; its held-out pictures stay.

    Args:
        data: whose training pictures were looked at.
        duplicates: of `data.training()`.
    """
    keep = np.ones(len(data), bool)
    keep[np.flatnonzero(data.split == TRAIN)[duplicates.repeats]] = False
    return data.select(keep)


def write_duplicates(path: Path, names: NDArray[np.str_], duplicates: Duplicates) -> None:
    """Write a CSV with a line for each picture in a group: group, place in the set, source_id, rms, doubtful.

    Raises:
        OSError: the file cannot be written.
    """
    members = np.flatnonzero(duplicates.group >= 0)
    ordered = members[np.argsort(duplicates.group[members], kind="stable")].tolist()
    rows = ((duplicates.group[i], i, names[i], *_rms(duplicates.rms[i], duplicates.hashes)) for i in ordered)
    _write(path, ("group", "index", "source_id", "rms", "doubtful"), rows)


def write_collisions(path: Path, names: NDArray[np.str_], found: Collisions) -> None:
    """Write a CSV with a line for each sample that collides: its number, training picture, source_id, rms, doubtful.

    Raises:
        OSError: the file cannot be written.
    """
    pairs = zip(found.sample.tolist(), found.training.tolist(), found.rms.tolist(), strict=True)
    rows = ((sample, i, names[i], *_rms(rms, found.hashes)) for sample, i, rms in pairs)
    _write(path, ("sample", "index", "source_id", "rms", "doubtful"), rows)


def _rms(rms: float, hashes: Hashes) -> tuple[str, int]:
    return f"{rms:.2f}", int(rms > hashes.doubtful)


def _write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _keys(bits: NDArray[np.bool_]) -> NDArray[np.void]:
    """One value of 16 bytes for each row of bits, [N]."""
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(f"V{BITS // 8}").ravel()


def _hashed(
    images: NDArray[np.uint8], settings: Settings, cache: Cache | None, progress: bool
) -> tuple[Hasher, NDArray[np.bool_], Hashes]:
    if len(images) < 2:
        raise DogganError(f"{len(images)} training pictures have no duplicates; give a set of two or more.")
    small = shrunk(images)
    hasher = train_hasher(small, settings, cache, progress)
    bits = hasher.bits(small)
    on = bits.mean(axis=0)
    alive = (on > 0) & (on < 1)
    empty = float((~bits.any(axis=1)).mean())
    if not alive.any() or empty == 1:
        raise DogganError("All pictures have the same hash, so it says nothing; give pictures that differ, or more.")
    p = on[alive]
    entropy = float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum())
    rng = np.random.default_rng(settings.seed)
    first = rng.integers(0, len(images), _UNRELATED_PAIRS)
    second = (first + rng.integers(1, len(images), _UNRELATED_PAIRS)) % len(images)
    unrelated = np.concatenate([
        rms_distances(images[first[start : start + _AT_A_TIME]], images, second[start : start + _AT_A_TIME])
        for start in range(0, _UNRELATED_PAIRS, _AT_A_TIME)
    ])  # fmt: skip
    doubtful = float(np.percentile(unrelated, _DOUBTFUL))
    nearest = int((bits[first] != bits[second]).sum(axis=1).min())
    return hasher, bits, Hashes(int(alive.sum()), entropy, nearest, empty, doubtful)


def duplicate_pairs(training: ImageSet, duplicates: Duplicates, n: int) -> list[Pair]:
    """The first picture of a group beside the least like it, of `n` groups at even ranks of that distance."""
    pairs = []
    for group in range(duplicates.n_groups):
        members = duplicates.members(group)
        first, far = members[0], members[1:][duplicates.rms[members[1:]].argmax()]
        names = f"{training.source_ids[first]} = {training.source_ids[far]}"
        caption = f"{len(members)} pictures · {names}" if len(members) > 2 else names
        pictures = Pixels(training.images[[first, far]]).images
        pairs.append(Pair(pictures[0], pictures[1], float(duplicates.rms[far]), caption))
    return _spread(pairs, n)


def collision_pairs(subject: Subject, found: Collisions, n: int) -> list[Pair]:
    """Samples beside the training pictures that they collide with, `n` at even ranks of their distance."""
    pairs = []
    for sample, i, rms in zip(found.sample.tolist(), found.training.tolist(), found.rms.tolist(), strict=True):
        real = Pixels(subject.training.images[i : i + 1]).images[0]
        name = str(sample) if subject.generated.names is None else subject.generated.names[sample]
        pairs.append(Pair(subject.samples[sample], real, rms, f"{name} = {subject.training.source_ids[i]}"))
    return _spread(pairs, n)


def _spread(pairs: list[Pair], n: int) -> list[Pair]:
    pairs.sort(key=lambda pair: pair.rms)
    if len(pairs) <= n:
        return pairs
    return [pairs[i] for i in np.linspace(0, len(pairs) - 1, n).round().astype(int)]
