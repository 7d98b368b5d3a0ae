"""Reading and extracting files that came over the network packed, as if each were hostile."""

import gzip
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import IO, cast

from doggan.errors import DogganError

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile)
# What crafted headers make the standard readers raise, beside their own exceptions.
_MALFORMED = (ValueError, OverflowError, NotImplementedError)


class _Limited:
    """A reader that refuses to give more than `limit` bytes, however little they were compressed from."""

    def __init__(self, file: IO[bytes], limit: int, archive: Path) -> None:
        self._file, self._left, self._limit, self._archive = file, limit, limit, archive

    def read(self, size: int) -> bytes:
        block = self._file.read(min(size, self._left + 1))
        self._left -= len(block)
        if self._left < 0:
            raise _too_large(self._archive, self._limit)
        return block


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a file, unpacked where it is gzip (which its first bytes say, not its name).

    Args:
        path: the file.
        limit: the most bytes that it may hold or unpack to; no more than one beyond is ever read.

    Raises:
        DogganError: the file cannot be read, is damaged gzip, or holds more.
    """
    try:
        with path.open("rb") as file, _gunzipped(file) as plain:
            data = plain.read(limit + 1)
    except _DAMAGED as error:  # before OSError, which a broken gzip is as well
        raise DogganError(f"{path} is damaged gzip ({error}); fetch it again.") from None
    except OSError as error:
        raise DogganError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from None
    if len(data) > limit:
        raise DogganError(f"{path} holds more than the {limit:,} bytes that it may; it is another file, get it again.")
    return data


def read_members(archive: Path, wanted: Collection[str], *, limit: int) -> Iterator[tuple[str, bytes]]:
    """The (name, content) of the files called `wanted` in a tar (plain or gzip), in the archive's order.

    Nothing is written. Other members, and those that are no regular files, are passed over. When the last is
    given, the whole archive has been read and gzip's checksum has been found right.

    Args:
        archive: the file; its content, not its name, says what it is.
        wanted: full names of members.
        limit: the most bytes that the archive may unpack to, tar headers included.

    Raises:
        DogganError: the archive cannot be read, is damaged, is no tar, or unpacks to more.
    """
    try:
        with archive.open("rb") as file, _gunzipped(file) as plain:
            stream = _Limited(plain, limit, archive)
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as tar:
                for member in tar:
                    content = tar.extractfile(member) if _is_plain(member) and member.name in wanted else None
                    if content is not None:
                        yield member.name, content.read()
            while stream.read(1 << 20):
                pass
    except (*_DAMAGED, *_MALFORMED) as error:
        raise DogganError(f"{archive} is not a whole tar archive ({error}); delete it and fetch it again.") from error
    except OSError as error:
        raise DogganError(f"{archive} cannot be read ({error.strerror or error}); make it readable.") from None


@contextmanager
def _gunzipped(file: IO[bytes]) -> Iterator[IO[bytes]]:
    magic = file.read(2)
    file.seek(0)
    if magic == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=file) as plain:
            yield cast("IO[bytes]", plain)
    else:
        yield file


def extract(archive: Path, folder: Path, *, limit: int) -> None:
    """Extract a tar (plain or gzip) or zip archive into the existing `folder`.

    Only regular files and folders with relative names are taken: links, devices, sparse files, absolute
    names, "..", drive letters and backslashes are refused, the whole archive with them, and tar members pass
    the standard library's `data` filter (PEP 706) as well. What was extracted before the refusal stays in
    `folder`, so extract into a new folder and rename it when this returns.

    Args:
        archive: the file; its content, not its name, says what it is.
        folder: where the members go.
        limit: the most bytes that the archive may unpack to (tar headers included): the bound for
            decompression bombs.

    Raises:
        DogganError: the archive is hostile, damaged, encrypted or neither tar nor zip, or Python is too old.
        OSError: `folder` cannot be written, or the disk is full.
    """
    try:
        with archive.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic in (b"PK\x03\x04", b"PK\x05\x06"):
                _extract_zip(archive, file, folder, limit)
            elif magic.startswith(b"\x1f\x8b"):
                _extract_tar(archive, cast("IO[bytes]", gzip.GzipFile(fileobj=file)), folder, limit)
            else:
                _extract_tar(archive, file, folder, limit)
    except (*_DAMAGED, *_MALFORMED) as error:
        raise DogganError(
            f"{archive} is not a whole tar or zip archive ({error}); delete it and fetch it again."
        ) from error


def _extract_tar(archive: Path, file: IO[bytes], folder: Path, limit: int) -> None:
    if not hasattr(tarfile, "data_filter"):
        version = ".".join(map(str, sys.version_info[:3]))
        raise DogganError(f"Python {version} cannot extract {archive} safely; update to Python 3.11.4 or newer.")
    # Read as a stream, so that the limit holds for headers too, which tarfile reads into memory.
    stream = cast("IO[bytes]", _Limited(file, limit, archive))
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            _require_plain_name(archive, member.name)
            if not (_is_plain(member) or member.isdir()):
                raise _hostile(archive, member.name, "is neither a regular file nor a folder")
            tar.extract(member, folder, filter="data")


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a regular file that holds as many bytes in the archive as it says: a sparse one holds fewer."""
    return member.isreg() and not member.issparse() and member.size >= 0


def _extract_zip(archive: Path, file: IO[bytes], folder: Path, limit: int) -> None:
    with zipfile.ZipFile(file) as bundle:
        members = bundle.infolist()
        if sum(member.file_size for member in members) > limit:
            raise _too_large(archive, limit)
        for member in members:
            _require_plain_name(archive, member.filename)
            # The upper half is the Unix mode; zero where the archive was not made on Unix.
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _hostile(archive, member.filename, "is neither a regular file nor a folder")
            if member.flag_bits & 0x1:
                raise DogganError(f"{archive} is encrypted; give one that is not.")
            bundle.extract(member, folder)


def _require_plain_name(archive: Path, name: str) -> None:
    """Refuse a name that could point out of the folder. Windows' rules are a superset of POSIX's here."""
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts or "\\" in name or "\0" in name:
        raise _hostile(archive, name, "points out of the folder it is extracted to")


def _hostile(archive: Path, name: str, why: str) -> DogganError:
    return DogganError(f"{archive} is not extracted, because its member {name!r} {why}; get the archive elsewhere.")


def _too_large(archive: Path, limit: int) -> DogganError:
    return DogganError(
        f"{archive} is not extracted, because it unpacks to more than the {limit:,} bytes it should hold; "
        "get the archive elsewhere."
    )
