"""Arrays kept between runs of the program, in the user's cache folder, so that long work goes on where it stopped."""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggan.files import atomic_path, cache_folder

LIMIT = 4_000_000_000  # bytes; the features of the competition's photographs take 170 MB and of a submission 82

_DIGEST = 32  # bytes of sha256 at the beginning of an entry; an .npz follows


class Cache:
    """A folder of entries; several processes may use it at once.

    An entry's name is a hash of everything that its arrays depend on (`cache_key`), so it is never wrong, only absent.

    Args:
        folder: where the entries are; it is made when the first one is written.
        limit: bytes in all; beyond it the entries used longest ago are removed.

    Attributes:
        trouble: why entries could not be written, if they could not.
    """

    suffix = ".arrays"
    holds = "what was computed"

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self.trouble: str | None = None

    def get(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of the entry by their names, or None where there is no entry or it is damaged."""
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
            return dict(file)

    def put(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the entry; where that is impossible, note it in `trouble` and go on without."""
        content = io.BytesIO()
        np.savez(content, **dict(arrays))  # type: ignore[arg-type]
        try:
            with atomic_path(self._path(key)) as temporary:
                temporary.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())
            self._shrink()
        except OSError as error:
            self.trouble = f"{self.holds} cannot be kept in {self.folder} ({error.strerror or error})"

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{self.suffix}"

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


class ExploreCache(Cache):
    """Parts of what `doggan explore` computes, in the folder `explore` of `doggan.files.cache_folder`."""

    def __init__(self) -> None:
        super().__init__(cache_folder() / "explore", limit=1_000_000_000)


def cache_key(*parts: object) -> str:
    """The name of an entry: a hash of what its arrays depend on, each part by its `str`."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:40]


def kept(
    cache: Cache | None, key: str, compute: Callable[[], Mapping[str, NDArray[Any]]]
) -> Mapping[str, NDArray[Any]]:
    """The entry of that key; where there is none it is computed, and put there."""
    found = None if cache is None else cache.get(key)
    if found is not None:
        return found
    arrays = compute()
    if cache is not None:
        cache.put(key, arrays)
    return arrays
