"""The submission: a zip of `0.png` … `9999.png`, 64×64 RGB, without folders. Written, checked, read back."""

import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.files import atomic_path

COUNT = 10_000
SIZE = 64

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
_LARGEST_PNG = 2**20  # bytes; the raw pixels of 64×64 RGB are 12,288
_NUMBER = re.compile(r"[0-9]{1,18}")
_PLAIN = re.compile(r"[\w.-]{1,60}", re.ASCII)
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first time a zip can name: equal pictures then give equal bytes

T = TypeVar("T")


@dataclass(frozen=True)
class SubmissionFile:
    """What was written: the file, how many pictures, and its size in bytes."""

    path: Path
    count: int
    n_bytes: int

    def __str__(self) -> str:
        return f"{self.path} holds {self.count:,} images in {self.n_bytes / 1e6:.1f} MB"


@dataclass(frozen=True)
class SubmissionCheck:
    """A submission that passed: the file, its pictures' number and side in pixels, its size in bytes."""

    path: Path
    count: int
    size: int
    n_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.path} is a valid submission: {self.count:,} different RGB PNG images of "
            f"{self.size}×{self.size} pixels, {self.n_bytes / 1e6:.1f} MB."
        )


def write_submission(
    batches: Iterable[NDArray[np.uint8]], path: str | Path, count: int = COUNT, size: int = SIZE
) -> SubmissionFile:
    """Encode pictures as PNG on all cores and store them in a zip, while the next batch is being made.

    There is no temporary folder and at most two batches wait in memory. The zip stores the PNG files without
    a second compression, which would gain nothing. The same pictures give the same bytes (with one version of
    OpenCV), and `path` appears only when it is complete.

    Args:
        batches: uint8 [B, size, size, 3], RGB; `count` pictures in all.
        path: the zip.
        count: how many pictures the submission must have.
        size: their side in pixels.

    Raises:
        DogganError: the pictures are not size×size RGB.
        ValueError: the batches do not hold exactly `count` pictures, or are not uint8.
        OSError: the file cannot be written.
    """
    workers = os.cpu_count() or 1
    written = 0
    with atomic_path(path) as temporary, ThreadPoolExecutor(workers) as pool:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            waiting: deque[list[Future[list[bytes]]]] = deque()
            for batch in batches:
                _require_pictures(batch, size)
                waiting.append([pool.submit(_encode, part) for part in np.array_split(batch, workers)])
                if len(waiting) > 1:
                    written = _store(archive, waiting.popleft(), written)
            while waiting:
                written = _store(archive, waiting.popleft(), written)
        if written != count:
            raise ValueError(f"the submission needs {count} images, and the batches hold {written}")
    return SubmissionFile(Path(path), written, Path(path).stat().st_size)


def check_submission(path: str | Path, count: int = COUNT, size: int = SIZE) -> SubmissionCheck:
    """Verify that `path` is a submission that will be accepted.

    Checked, in this order: the zip can be read; its members are exactly `0.png` to `count - 1`.png, each
    once, without folders (stricter than the competition, which took any names: so the zip has one order);
    each is a sound PNG (every chunk's CRC), size×size, 8-bit RGB, and decodes; no two show the same pixels.

    Returns:
        What was found; its `str` is one sentence.

    Raises:
        DogganError: one sentence that says what is wrong and with which member.
    """
    digests: list[bytes] = []

    def keep(index: int, pixels: NDArray[np.uint8]) -> None:
        digests[index] = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()

    with _opened(path) as archive:
        _require_names(path, archive, count)
        digests.extend([b""] * count)
        _for_each_image(path, archive, _numbered(count), size, keep)
    _require_different(path, digests)
    return SubmissionCheck(Path(path), count, size, Path(path).stat().st_size)


def read_submission(path: str | Path, count: int | None = None, size: int = SIZE) -> NDArray[np.uint8]:
    """The pictures of a submission in numeric order, for scoring.

    Everything that `check_submission` verifies holds, except that pictures may repeat.

    Args:
        path: the zip.
        count: how many pictures it must hold; None takes as many as there are, `0.png` onwards without a gap.
        size: their side in pixels.

    Returns:
        uint8 [N, size, size, 3], RGB.

    Raises:
        DogganError: as `check_submission`.
    """
    with _opened(path) as archive:
        n = len(archive.infolist()) if count is None else count
        _require_names(path, archive, n)
        images = np.empty((n, size, size, 3), np.uint8)
        _for_each_image(path, archive, _numbered(n), size, images.__setitem__)
    return images


def read_pictures(path: str | Path, size: int = SIZE) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The pictures of a zip of PNG files at any names, as the competition took it, for scoring.

    Each must be as sound as in `check_submission`. They may lie in folders. Those whose names are numbers come first,
    in the order of the numbers, then the others in that of their names; for a submission of our own it is the order
    of `read_submission`. Hidden files (as macOS adds them) are passed over.

    Args:
        path: the zip.
        size: the side of the pictures in pixels.

    Returns:
        uint8 [N, size, size, 3], RGB, and their names without folder and suffix.

    Raises:
        DogganError: the zip cannot be read, has no pictures or one name twice, or holds something that is not such a
            PNG; one sentence that says what is wrong and with which member.
    """
    with _opened(path) as archive:
        members = [member.filename for member in archive.infolist() if not member.is_dir()]
        names = sorted((name for name in members if not PurePosixPath(name).name.startswith(".")), key=_order)
        if not names:
            raise DogganError(f"{path} is a zip without any files.")
        _require_once(path, names)
        images = np.empty((len(names), size, size, 3), np.uint8)
        _for_each_image(path, archive, names, size, images.__setitem__)
    return images, tuple(PurePosixPath(name).stem for name in names)


def _order(name: str) -> tuple[bool, int, str]:
    number = _NUMBER.fullmatch(PurePosixPath(name).stem)
    return number is None, int(number[0]) if number else 0, name


def _numbered(count: int) -> list[str]:
    return [f"{i}.png" for i in range(count)]


def _require_pictures(batch: NDArray[np.uint8], size: int) -> None:
    if batch.dtype != np.uint8 or batch.ndim != 4:
        raise ValueError(f"batches must be uint8 [B,H,W,C], not {batch.dtype} {batch.shape}")
    if batch.shape[1:] != (size, size, 3):
        height, width, channels = batch.shape[1:]
        raise DogganError(
            f"A submission needs {size}×{size} RGB images, but the generator makes {width}×{height} with "
            f"{channels} channel{'' if channels == 1 else 's'}: train on {size}×{size} colour crops."
        )


def _encode(images: NDArray[np.uint8]) -> list[bytes]:
    # OpenCV's default (run-length strategy, Sub filter) encodes crops of dogs 1.9 times as fast as zlib's
    # level 1 and 2.5 times as fast as level 6, for files 9% larger than level 6.
    return [cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes() for image in images]


def _store(archive: zipfile.ZipFile, parts: list[Future[list[bytes]]], first: int) -> int:
    """Append the encoded pictures as `first`.png onwards; returns the next number."""
    for part in parts:
        for data in part.result():
            member = zipfile.ZipInfo(f"{first}.png", _EARLIEST)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
            first += 1
    return first


@contextmanager
def _opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`; whatever goes wrong with the container becomes one sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise DogganError(f"{path} does not exist; make it with `doggan submit`.") from None
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):  # what a damaged directory makes of it
        empty = Path(path).stat().st_size == 0
        raise DogganError(f"{path} is {'empty' if empty else 'not a zip file, or a damaged one'}.") from None
    except OSError as error:
        raise DogganError(f"{path} cannot be read: {error.strerror or error}.") from None


def _shown(name: str) -> str:
    """A member's name, safe to print: quoted, control characters escaped, not longer than a line."""
    return ascii(name if len(name) <= 60 else name[:57] + "...")


def _require_names(path: str | Path, archive: zipfile.ZipFile, count: int) -> None:
    """The members are exactly 0.png … count - 1, each once."""
    names = [member.filename for member in archive.infolist()]
    if not names:
        raise DogganError(f"{path} is a zip without any files.")
    for name in names:
        if "/" in name or "\\" in name:
            raise DogganError(
                f"{path} holds {_shown(name)}: the images must lie at the top of the zip, not in a folder."
            )
    _require_once(path, names)
    if count > len(names) + COUNT:  # far from a submission: no need to name what is missing
        raise DogganError(f"{path} holds {len(names):,} files and should hold {count:,}.")
    expected = {f"{i}.png" for i in range(count)}
    unexpected = [name for name in names if name not in expected]
    missing = [f"{i}.png" for i in range(count) if f"{i}.png" not in archive.NameToInfo]
    if unexpected:
        others = f" (and {len(unexpected) - 1:,} more such files)" if len(unexpected) > 1 else ""
        raise DogganError(
            f"{path} holds {_shown(unexpected[0])}, which is not one of 0.png to {count - 1}.png{others}."
        )
    if missing:
        raise DogganError(
            f"{path} holds {len(names):,} of {count:,} images: {missing[0]} is missing"
            + (f", and {len(missing) - 1:,} more." if len(missing) > 1 else ".")
        )


def _require_once(path: str | Path, names: list[str]) -> None:
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DogganError(f"{path} holds {_shown(name)} {times} times.")


def _for_each_image(
    path: str | Path,
    archive: zipfile.ZipFile,
    names: list[str],
    size: int,
    keep: Callable[[int, NDArray[np.uint8]], None],
) -> None:
    """Decode every picture on all cores and hand it with its place in `names` to `keep`; the first bad one raises."""

    def work(numbers: range) -> None:
        for i in numbers:
            try:
                keep(i, _decode(_read_member(archive, names[i]), size))
            except _BadImageError as error:
                shown = names[i] if _PLAIN.fullmatch(names[i]) else _shown(names[i])
                raise DogganError(f"{path}: {shown} {error}.") from None

    with ThreadPoolExecutor() as pool:
        parts = [range(i, min(i + 250, len(names))) for i in range(0, len(names), 250)]
        jobs = [pool.submit(work, part) for part in parts]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _BadImageError(Exception):
    """The rest of a sentence that begins with the member's name."""


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.flag_bits & 0x1:
        raise _BadImageError("is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _BadImageError("is packed by a method other than store or deflate")
    if member.file_size > _LARGEST_PNG:
        raise _BadImageError(f"unpacks to {member.file_size:,} bytes, more than any such PNG needs")
    try:
        return archive.read(member)  # never more than file_size bytes, whatever the stream holds
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, zlib.error, EOFError) as error:
        raise _BadImageError(f"is damaged in the zip ({error})") from None


def _decode(data: bytes, size: int) -> NDArray[np.uint8]:
    """The pixels uint8 [size, size, 3], RGB, of a PNG file.

    Every chunk's CRC is verified here, because decoders differ in which of them they look at.
    """
    if not data:
        raise _BadImageError("is empty")
    if not data.startswith(_SIGNATURE):
        raise _BadImageError("is not a PNG file")
    kinds = _chunk_kinds(data)
    if kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
        raise _BadImageError("is a truncated or damaged PNG file")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if (width, height) != (size, size):
        raise _BadImageError(f"is {width}×{height} pixels, not {size}×{size}")
    if (depth, colour) != (8, 2):
        raise _BadImageError(f"is {depth}-bit {_COLOUR_TYPES.get(colour, 'of unknown mode')}, not 8-bit RGB")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape != (size, size, 3):
        raise _BadImageError("is a PNG file that cannot be decoded")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _chunk_kinds(data: bytes) -> list[bytes]:
    """The four-letter kinds of a PNG file's chunks, up to IEND (PNG specification, section 5.3)."""
    kinds: list[bytes] = []
    start = len(_SIGNATURE)
    while not kinds or kinds[-1] != b"IEND":
        if start + 12 > len(data):
            raise _BadImageError("is a truncated PNG file")
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            raise _BadImageError("is a truncated PNG file")
        if zlib.crc32(data[start + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise _BadImageError("is a damaged PNG file (wrong checksum)")
        kinds.append(data[start + 4 : start + 8])
        start = end + 4
    return kinds


def _require_different(path: str | Path, digests: list[bytes]) -> None:
    """No two pictures are the same (by a 128-bit digest of their pixels)."""
    first: dict[bytes, int] = {}
    copies = [(i, first[digest]) for i, digest in enumerate(digests) if first.setdefault(digest, i) != i]
    if copies:
        i, j = copies[0]
        others = f"; {len(copies):,} of the {len(digests):,} images are copies" if len(copies) > 1 else ""
        raise DogganError(f"{path}: {i}.png shows the same image as {j}.png{others}.")
