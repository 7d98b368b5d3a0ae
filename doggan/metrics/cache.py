"""Features kept between runs of the program, in the user's cache folder.

An entry holds the features of up to 1,000 pictures. Its name is a hash of everything they depend on: the pictures'
content, what was done to it, and the extractor's identity. It is written only where the bytes that were decoded are
those it is named after, and never where a file could not be had. So an entry is never wrong, only absent, and a
computation that was interrupted goes on after its last whole entry. That a file is no picture is remembered.
"""

import contextlib
import hashlib
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.files import atomic_path, cache_folder
from doggan.metrics.extractors import Extractor
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Part, Pictures

CHUNK = 1000  # pictures an entry
LIMIT = 4_000_000_000  # bytes; the competition's photographs take 170 MB and a submission 82

_VERSION = "doggan features 1"
_DIGEST = 32  # bytes of sha256 at the beginning of an entry; an .npz follows


@dataclass(frozen=True)
class Features:
    """Features float32 [n, D] and the index int64 [n] of the picture that each row belongs to."""

    rows: NDArray[np.float32]
    index: NDArray[np.int64]


class FeatureCache:
    """A folder of entries; several processes may use it at once.

    Args:
        folder: `features` in `doggan.files.cache_folder` by default.
        limit: bytes in all; beyond it the entries used longest ago are removed.

    Attributes:
        trouble: why entries could not be written, if they could not.
    """

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        self.folder = cache_folder() / "features" if folder is None else folder
        self.limit = limit
        self.trouble: str | None = None

    def get(self, key: str) -> Features | None:
        """The entry, or None where there is none or it is damaged."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        digest, content = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            return None
        with contextlib.suppress(OSError):  # a cache that may only be read keeps no order of use
            os.utime(path)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return Features(file["rows"], file["index"])

    def put(self, key: str, entry: Features) -> None:
        """Write the entry; where that is impossible, note it in `trouble` and go on without."""
        content = io.BytesIO()
        np.savez(content, rows=entry.rows, index=entry.index)
        try:
            with atomic_path(self._path(key)) as temporary:
                temporary.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())
            self._shrink()
        except OSError as error:
            self.trouble = f"features cannot be kept in {self.folder} ({error.strerror or error})"

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.features"

    def _shrink(self) -> None:
        used = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process may have removed or renamed it
                status = path.stat()
                used.append((status.st_mtime_ns, path, status.st_size))
        total = sum(size for _, _, size in used)
        for _, path, size in sorted(used):
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size


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
    entries = [None if cache is None or key is None else cache.get(key) for key in keys]
    missing = [i for i, entry in enumerate(entries) if entry is None]
    pace.skip(len(pictures) - sum(parts[i].stop - parts[i].start for i in missing))
    for i, part in zip(missing, _read_ahead(pictures, [parts[i] for i in missing]), strict=True):
        n = len(part.images)
        pace.skip(parts[i].stop - parts[i].start - n)
        rows = extractor.features(part.images, pace=pace) if n else np.empty((0, extractor.dimensions), np.float32)
        entries[i] = entry = Features(rows, part.index - parts[i].start)
        key = keys[i]
        if cache is not None and key is not None and key == _key(pictures, part.digest, extractor):
            cache.put(key, entry)
    found = [(part, entry) for part, entry in zip(parts, entries, strict=True) if entry is not None]
    if not found:
        return Features(np.empty((0, extractor.dimensions), np.float32), np.empty(0, np.int64))
    return Features(
        np.concatenate([entry.rows for _, entry in found]),
        np.concatenate([entry.index + part.start for part, entry in found]),
    )


def _key(pictures: Pictures, digest: str | None, extractor: Extractor) -> str | None:
    if digest is None:
        return None
    text = "\n".join((_VERSION, extractor.identity, pictures.preprocessing, digest))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _read_ahead(pictures: Pictures, parts: Iterable[slice]) -> Iterator[Part]:
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Part]] = deque()
        for part in parts:
            waiting.append(pool.submit(pictures.read, part))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
