"""CIFAR-10: Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009), in each form it is found in."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.data.annotations import BoundingBox
from doggan.data.archives import read_bounded, read_members
from doggan.data.arguments import check_holdout, check_size
from doggan.data.crops import cut
from doggan.data.imageset import ImageSet
from doggan.data.labelled import Part, join_parts
from doggan.data.layout import entries
from doggan.data.python_batch import PIXELS, BatchError, read_python_batch
from doggan.errors import DogganError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32

_RECORD = 1 + PIXELS
_TEST = "test_batch"
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), _TEST)
# Edition → what its files' names end with. The binary one comes first, since reading it takes less time.
_ENDINGS = {"cifar-10-batches-bin": ".bin", "cifar-10-batches-py": ""}
_ARCHIVES = {"cifar-10-binary": "cifar-10-batches-bin", "cifar-10-python": "cifar-10-batches-py"}
_PACKED = (".tar.gz", ".tgz", ".tar")
_RECORDS = (".bin", ".bin.gz")
_LARGEST_FILE = 60_000 * _RECORD  # were all pictures in one
_LARGEST_ARCHIVE = 200_000_000  # 60,000 pictures with their file names, and the tar's own headers
_FETCH = "fetch it with `doggan download cifar10`"


def read_cifar10(source: str | os.PathLike[str], size: int = 32, holdout: float = 0.0) -> ImageSet:
    """CIFAR-10 as an image set.

    The data batches come first, in order, each in the published order; the ids are `data_batch_1-00000` on. The
    test batch, where it is there, is held out.

    Args:
        source: `cifar-10-binary.tar.gz` or `cifar-10-python.tar.gz`; the folder that either unpacks to
            (`cifar-10-batches-bin`, `cifar-10-batches-py`), with all five data batches; a folder that holds
            one of these (were there several, the first of: the batches themselves, a folder of them, an
            archive, and of two editions the binary one); or one file of binary records (`.bin`, `.bin.gz`: a
            byte of label, then 3,072 of red, green and blue), or a folder of such files called
            `data_batch_*`.
        size: side of the pictures, one of `arguments.SIZES`; enlarged by cubic interpolation.
        holdout: share of the data batches' pictures, in [0, 1), that is held out as well.

    Returns:
        images uint8 [N, size, size, 3], RGB, 0 to 255; labels int32 [N], indices into `CLASS_NAMES`;
        boxes [0, 0, 32, 32].

    Raises:
        DogganError: an argument is out of range, or a file is missing, damaged, cut short, hostile or not
            CIFAR-10's.
    """
    check_size(size)
    check_holdout(holdout)
    return join_parts(list(_parts(Path(source))), CLASS_NAMES, size=size, resize=_resize, holdout=holdout)


def _resize(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return cut(picture, BoundingBox(0, 0, SIDE, SIDE), size)


# Finding the batches


def _parts(source: Path) -> Iterator[Part]:
    if source.is_dir():
        yield from _parts_of_folder(source)
    elif not source.exists():
        raise DogganError(f"{source} does not exist; name CIFAR-10's archive or folder, or {_FETCH}.")
    elif source.name.endswith(_PACKED):
        yield from _parts_of_archive(source)
    else:
        yield _part_of_file(source)


def _parts_of_folder(folder: Path) -> Iterator[Part]:
    places = [folder, *(folder / edition for edition in _ENDINGS if (folder / edition).is_dir())]
    for place in places:
        if paths := _batches_in(place):
            yield from (_part_of_file(path) for path in paths)
            return
    names = (name + packed for name in _ARCHIVES for packed in _PACKED)
    archive = next((folder / name for name in names if (folder / name).is_file()), None)
    if archive is None:
        raise DogganError(
            f"{folder} holds no CIFAR-10: neither cifar-10-binary.tar.gz or cifar-10-python.tar.gz nor data_batch_1 "
            f"was found in it; name the folder that has them, or {_FETCH}."
        )
    yield from _parts_of_archive(archive)


def _batches_in(folder: Path) -> list[Path]:
    """The files of one edition's batches, in order; or, for want of published ones, those of records."""
    for ending in (*_RECORDS, ""):
        paths = {name: folder / f"{name}{ending}" for name in _BATCHES}
        found = {name: path for name, path in paths.items() if path.is_file()}
        if found:
            _require_all(folder, found, ending)
            return list(found.values())
    files = [path for path in entries(folder)[1] if path.name.startswith("data_batch_")]
    plain = [path for path in files if path.name.endswith(".bin")]
    return plain or [path for path in files if path.name.endswith(".bin.gz")]


def _require_all(where: Path, found: dict[str, Path] | dict[str, bytes], ending: str) -> None:
    lacking = [name + ending for name in _BATCHES if name not in found and name != _TEST]
    if lacking:
        raise DogganError(f"{where} lacks {', '.join(lacking)}; add what is missing, or {_FETCH}.")


def _parts_of_archive(archive: Path) -> Iterator[Part]:
    wanted = {f"{edition}/{name}{_ENDINGS[edition]}": (name, _ENDINGS[edition])
              for edition in _ENDINGS for name in _BATCHES}  # fmt: skip
    found: dict[str, bytes] = {}
    ending = ""
    for member, content in read_members(archive, wanted, limit=_LARGEST_ARCHIVE):
        name, ending = wanted[member]
        if name in found:
            raise DogganError(f"{archive} holds {name} twice; get the archive elsewhere, or {_FETCH}.")
        found[name] = content
    _require_all(archive, found, ending)
    for name in filter(found.__contains__, _BATCHES):
        yield _part(name, found[name], is_python=not ending, where=f"{archive}, {name}{ending}")


# Reading a batch


def _part_of_file(path: Path) -> Part:
    is_python = path.name in _BATCHES
    if not (is_python or path.name.endswith(_RECORDS)):
        raise DogganError(
            f"{path} is no CIFAR-10 by its name; name a .tar.gz, .bin or .bin.gz, or one of data_batch_1 to _5."
        )
    name = path.name if is_python else path.name.removesuffix(".gz").removesuffix(".bin")
    return _part(name, read_bounded(path, _LARGEST_FILE), is_python, where=str(path))


def _part(name: str, data: bytes, is_python: bool, where: str) -> Part:
    try:
        pixels, labels = read_python_batch(data) if is_python else _read_records(data)
    except BatchError as error:
        raise DogganError(f"{where} is not a whole batch of CIFAR-10 ({error}); {_FETCH}.") from None
    images = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Part(name, images, labels, heldout=name == _TEST, where=where)


def _read_records(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if len(data) % _RECORD:
        raise BatchError(f"{len(data):,} bytes are no whole number of records of {_RECORD:,}")
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)
