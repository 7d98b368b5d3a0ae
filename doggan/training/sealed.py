"""A sealed `.npz`: arrays by name without pickle, facts about them, and a checksum of every byte of the file."""

import errno
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from doggan.errors import DogganError
from doggan.files import atomic_path

FORMAT_VERSION = 2  # 1 had no seal
_META = "meta"
_SEAL = b"sha256:"
_DIGEST = 64  # characters
_CHUNK = 1 << 20
# What a file that is cut or overwritten makes NumPy and zipfile raise.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
# An OSError is the disk's and not the file's, but for these: an offset before its beginning, a folder of its name, and
# a sector that cannot be read.
_UNREADABLE_NUMBERS = (errno.EINVAL, errno.EISDIR, errno.EIO)


class DamagedCheckpoint(DogganError):
    """A checkpoint that cannot be read whole."""


def write_sealed(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts (what JSON can say) to `path`, atomically.

    Two things guard what is written. The zip keeps a CRC-32 of each array, which its tools can check, but neither of
    the names nor of what NumPy must know to read an array to its end. The seal, which is the zip's comment and so the
    file's last bytes, holds a SHA-256 of every byte before it: whatever is cut off, flipped or overwritten, is seen
    before anything is read.

    Raises:
        OSError: the file cannot be written; what was at `path` is still there.
    """
    meta = json.dumps({"format_version": FORMAT_VERSION, **facts})
    with atomic_path(path) as temporary, temporary.open("w+b") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {_META: np.array(meta), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
            archive.comment = _SEAL + bytes(_DIGEST)
        size = file.tell() - _DIGEST
        digest = _digest(file, size)
        file.seek(size)
        file.write(digest)


@contextmanager
def open_sealed(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The arrays by name, read when asked for, and the facts.

    What is wrong with the file is damage, whether it is found on opening it or while it is open. A file of the first
    format, which has no seal, is read through once for its CRCs.

    Raises:
        DamagedCheckpoint: the file cannot be read, or its content is not what was written.
        DogganError: a newer doggan wrote it.
        OSError: the file is not there, or not to be opened.
    """
    try:
        with path.open("rb") as opened:
            sealed = _is_sealed(opened)
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                facts = json.loads(str(file[_META]))
                version = facts["format_version"]
                if version > FORMAT_VERSION:
                    raise DogganError(f"{path} was written by a newer doggan; update doggan to use it.")
                if not sealed and version > 1:
                    raise ValueError("its seal is missing")
                if not sealed and file.zip.testzip() is not None:
                    raise ValueError("its content does not fit its checksums")
                yield file, facts
    except _UNREADABLE as error:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged ({error}).") from None
    except OSError as error:
        if error.errno not in _UNREADABLE_NUMBERS:
            raise
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged ({error.strerror}).") from None


def _is_sealed(file: BinaryIO) -> bool:
    """Whether there is a seal; one that is broken is a ValueError."""
    size = file.seek(0, 2) - _DIGEST
    file.seek(max(0, size - len(_SEAL)))
    seal, digest = file.read(len(_SEAL)), file.read(_DIGEST)
    if seal != _SEAL:
        return False
    if digest != _digest(file, size):
        raise ValueError("its content does not fit its checksum")
    return True


def _digest(file: BinaryIO, size: int) -> bytes:
    """SHA-256, in hexadecimal, of the first `size` bytes."""
    file.seek(0)
    sha256 = hashlib.sha256()
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        sha256.update(chunk)
        size -= len(chunk)
    return sha256.hexdigest().encode()
