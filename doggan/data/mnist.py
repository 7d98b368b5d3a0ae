"""MNIST: LeCun, Cortes, Burges: The MNIST database of handwritten digits (1998), in either form it is found in."""

import os
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.data.archives import read_bounded
from doggan.data.arguments import check_holdout, check_size
from doggan.data.imageset import ImageSet
from doggan.data.labelled import Part, join_parts
from doggan.errors import DogganError

CLASS_NAMES = tuple("0123456789")
SIDE = 28

_MOST = 60_000  # pictures in the larger part
_NPZ = "mnist.npz"
_TRAIN, _TEST = ("train", "train"), ("test", "t10k")  # name of the part, beginning of its files' names
_MAGIC = {1: b"\x00\x00\x08\x01", 3: b"\x00\x00\x08\x03"}  # unsigned bytes in so many dimensions
_FETCH = "fetch it with `doggan download mnist`"


def read_mnist(source: str | os.PathLike[str], size: int = 32, holdout: float = 0.0) -> ImageSet:
    """MNIST as an image set: grey digits on black, enlarged bilinearly from 28×28.

    The training pictures come first, each part in the published order; the ids are `train-00000` and
    `test-00000` on. The published test pictures, where they are there, are held out.

    Args:
        source: a folder with the four published files (`train-images-idx3-ubyte` or `train-images.idx3-ubyte`
            and so on, with or without `.gz`; the two `t10k` files may be missing), or Keras' `mnist.npz`, or a
            folder that holds that.
        size: side of the pictures, one of `arguments.SIZES`.
        holdout: share of the training pictures, in [0, 1), that is held out as well.

    Returns:
        images uint8 [N, size, size, 1], 0 (paper) to 255 (ink); labels int32 [N], 0 to 9, the digits;
        boxes [0, 0, 28, 28].

    Raises:
        DogganError: an argument is out of range, or a file is missing, damaged, cut short or not MNIST's.
    """
    check_size(size)
    check_holdout(holdout)
    source = Path(source)
    if not source.exists():
        raise DogganError(f"{source} does not exist; name the folder that holds MNIST's files, or {_FETCH}.")
    if not source.is_dir():
        parts = _read_npz(source)
    elif _file(source, "train-images", 3) is None and (source / _NPZ).is_file():
        parts = _read_npz(source / _NPZ)
    else:
        parts = _read_idx_files(source)
    return join_parts(parts, CLASS_NAMES, size=size, resize=_resize, holdout=holdout)


def _resize(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture[..., 0], (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)[..., None]


# The published files


def _read_idx_files(folder: Path) -> list[Part]:
    parts = []
    for name, beginning in (_TRAIN, _TEST):
        images, labels = _file(folder, f"{beginning}-images", 3), _file(folder, f"{beginning}-labels", 1)
        if images is None and labels is None and name == "test":
            continue
        if images is None or labels is None:
            lacking = f"{beginning}-images-idx3-ubyte" if images is None else f"{beginning}-labels-idx1-ubyte"
            raise DogganError(f"{folder} lacks {lacking} (or that with .gz); add it, or {_FETCH}.")
        parts.append(
            Part(
                name,
                images=_read_idx(images, (SIDE, SIDE))[..., None],
                labels=_read_idx(labels, ()),
                heldout=name == "test",
                where=f"{images} and {labels.name}",
            )
        )
    return parts


def _file(folder: Path, what: str, dimensions: int) -> Path | None:
    """The published file in any of its spellings, unpacked rather than packed."""
    names = (f"{what}{mark}idx{dimensions}-ubyte{packed}" for packed in ("", ".gz") for mark in "-.")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array in a file of the idx format, each of its items of `shape`: uint8 [n, *shape].

    The format: two zero bytes, the type of the data (8: unsigned bytes), the number of dimensions, each
    dimension as a big-endian 32-bit integer, the data.
    """
    dimensions = 1 + len(shape)
    header = 4 + 4 * dimensions
    item = int(np.prod(shape, dtype=int))
    data = read_bounded(path, header + _MOST * item)
    if not data.startswith(_MAGIC[dimensions]):
        raise DogganError(
            f"{path} does not begin as an idx{dimensions} file of bytes does ({data[:4].hex(' ') or 'it is empty'}); "
            "fetch it again."
        )
    stated = tuple(int(number) for number in np.frombuffer(data[4:header].ljust(header - 4, b"\0"), ">u4"))
    if len(data) >= header and stated[1:] != shape:
        raise DogganError(f"{path} holds pictures of {stated[2]}×{stated[1]}, not 28×28; it is not MNIST's, get that.")
    if len(data) != header + stated[0] * item:
        problem = "is cut short" if len(data) < header + stated[0] * item else "has bytes behind its end"
        raise DogganError(
            f"{path} {problem}: {len(data):,} bytes where its {stated[0]:,} items take {header + stated[0] * item:,}; "
            "fetch it again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(-1, *shape)


# Keras' file


def _read_npz(path: Path) -> list[Part]:
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(member.file_size for member in packed.infolist())
        if unpacked > 2 * _MOST * (SIDE * SIDE + 8):  # labels of any integer type
            raise ValueError(f"it unpacks to {unpacked:,} bytes")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test") if name in file}
    # A header may state any shape, and NumPy asks for the memory before it reads.
    except (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DogganError(f"{path} is not Keras' {_NPZ} ({error}); name that, or {_FETCH}.") from None
    parts = []
    for name, _ in (_TRAIN, _TEST):
        images, labels = arrays.get(f"x_{name}"), arrays.get(f"y_{name}")
        if images is None and labels is None and name == "test":
            continue
        if images is None or labels is None:
            raise DogganError(f"{path} lacks x_{name} or y_{name}, so it is not Keras' {_NPZ}; get that, or {_FETCH}.")
        if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
            raise DogganError(
                f"{path}: x_{name} is {images.dtype} {list(images.shape)}, not uint8 [N, 28, 28]; get Keras' file."
            )
        if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
            raise DogganError(
                f"{path}: y_{name} is {labels.dtype} {list(labels.shape)}, not integers [N]; get Keras' file."
            )
        parts.append(Part(name, images[..., None], labels, name == "test", f"{path}, {name}"))
    return parts
