"""Where files of our own go, and writing files so that a reader never sees half of one."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".unfinished-"


def cache_folder() -> Path:
    """The user's cache of this package: $DOGGAN_CACHE, else doggan/ in $XDG_CACHE_HOME or ~/.cache. Not made here."""
    own = os.environ.get("DOGGAN_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "doggan"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    The replacement is `os.replace` within one folder, so a reader, or a process killed at any moment, finds
    either the old file or the new one. The content is flushed to the disk before the rename. Folders that
    are missing are made. The temporary name keeps the suffix of `path`, since writers choose a format by it.

    Raises:
        OSError: the folder cannot be made or written; it names `path` where a write raised it.
    """
    path = Path(path)
    if path.is_dir():  # said now, not when hours of work are to take its place
        raise IsADirectoryError(errno.EISDIR, "Is a folder; name a file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{_PREFIX}{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not say whose write failed
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove what a killed process left of `atomic_path` below `folder`; nobody else may be writing there."""
    for path in Path(folder).rglob(f"{_PREFIX}*"):
        if path.is_file():
            path.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
