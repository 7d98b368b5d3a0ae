"""Features kept between runs of the program, in the user's cache folder.

An entry holds the features of up to 1,000 pictures. Its name is a hash of everything they depend on: the pictures'
content, what was done to it, and the extractor's identity. It is written only where the bytes that were decoded are
those it is named after, and never where a file could not be had. So an entry is never wrong, only absent, and a
computation that was interrupted goes on after its last whole entry. That a file is no picture is remembered.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.cache import LIMIT, Cache, cache_key
from doggan.files import cache_folder
from doggan.metrics.extractors import Extractor
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Part, Pictures

CHUNK = 1000  # pictures an entry

_VERSION = "doggan features 1"


@dataclass(frozen=True)
class Features:
    """Features float32 [n, D] and the index int64 [n] of the picture that each row belongs to."""

    rows: NDArray[np.float32]
    index: NDArray[np.int64]


class FeatureCache(Cache):
    """The entries of features, each the rows and index of a `Features`; see `Cache`.

    Args:
        folder: `features` in `doggan.files.cache_folder` by default.
        limit: bytes in all; beyond it the entries used longest ago are removed.
    """

    suffix = ".features"
    holds = "features"

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        super().__init__(cache_folder() / "features" if folder is None else folder, limit)


def features_of(pictures: Pictures, extractor: Extractor, pace: Pace, cache: FeatureCache | None = None) -> Features:
    """The features of a set, from the cache as far as it has them.

    The next 1,000 pictures are read while the extractor works on these.

    Args:
        pictures: those that cannot be read are left out; files that may be there another time are then tried again.
        extractor: what computes.
        pace: counts `len(pictures)` images, or takes them off its total where they cost no time; may raise `TimeUp`.
        cache: where features are looked for and kept; None for neither.
    """
    parts = [slice(i, min(i + CHUNK, len(pictures))) for i in range(0, len(pictures), CHUNK)]
    keys = [None if cache is None else _key(pictures, pictures.digest(part), extractor) for part in parts]
    entries = [_entry(cache, key) for key in keys]
    missing = [i for i, entry in enumerate(entries) if entry is None]
    pace.skip(len(pictures) - sum(parts[i].stop - parts[i].start for i in missing))
    for i, part in zip(missing, _read_ahead(pictures, [parts[i] for i in missing]), strict=True):
        n = len(part.images)
        pace.skip(parts[i].stop - parts[i].start - n)
        rows = extractor.features(part.images, pace=pace) if n else np.empty((0, extractor.dimensions), np.float32)
        entries[i] = entry = Features(rows, part.index - parts[i].start)
        key = keys[i]
        if cache is not None and key is not None and key == _key(pictures, part.digest, extractor):
            cache.put(key, {"rows": entry.rows, "index": entry.index})
    found = [(part, entry) for part, entry in zip(parts, entries, strict=True) if entry is not None]
    if not found:
        return Features(np.empty((0, extractor.dimensions), np.float32), np.empty(0, np.int64))
    return Features(
        np.concatenate([entry.rows for _, entry in found]),
        np.concatenate([entry.index + part.start for part, entry in found]),
    )


def _entry(cache: FeatureCache | None, key: str | None) -> Features | None:
    arrays = None if cache is None or key is None else cache.get(key)
    return None if arrays is None else Features(arrays["rows"], arrays["index"])


def _key(pictures: Pictures, digest: str | None, extractor: Extractor) -> str | None:
    if digest is None:
        return None
    return cache_key(_VERSION, extractor.identity, pictures.preprocessing, digest)


def _read_ahead(pictures: Pictures, parts: Iterable[slice]) -> Iterator[Part]:
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Part]] = deque()
        for part in parts:
            waiting.append(pool.submit(pictures.read, part))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
