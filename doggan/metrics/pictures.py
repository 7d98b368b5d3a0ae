"""Sets of pictures as a score sees them: of one size, RGB, read a part at a time, with a digest of the content."""

import hashlib
import io
import struct
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from doggan.data.imageset import hash_images
from doggan.errors import DogganError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})  # of what a folder is searched for

_THREADS = 4
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24  # offset of IHDR's bit depth (PNG specification, section 11.2.1)
# What Pillow raises for what is no picture, or a damaged one. Of bytes that are in memory OSError says that, too.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Part:
    """Some pictures of a set, as they were read; unreadable ones are missing.

    Attributes:
        images: uint8 [n, H, W, 3], RGB.
        index: int64 [n], of each in its set.
        digest: as `Pictures.digest`, of the very content that `images` were made from.
    """

    images: NDArray[np.uint8]
    index: NDArray[np.int64]
    digest: str | None


class Pictures(Protocol):
    """A set of pictures.

    Attributes:
        preprocessing: what `read` does to the content that `digest` covers; for caches.
    """

    @property
    def preprocessing(self) -> str: ...
    def __len__(self) -> int: ...
    def name(self, i: int) -> str:
        """What picture `i` is called in figures."""
        ...

    def digest(self, part: slice) -> str | None:
        """sha256 of the content behind `part`; None where a file does not give its content, which it may do later."""
        ...

    def read(self, part: slice) -> Part:
        """The pictures of `part` that can be read."""
        ...


class Pixels:
    """Pictures that are in memory.

    Args:
        images: uint8 [N, H, W, 1 or 3]; grey ones get three equal channels.
        names: one for each; their numbers by default.
    """

    preprocessing = "none"

    def __init__(self, images: NDArray[np.uint8], names: Sequence[str] | None = None) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise ValueError(f"images must be uint8 [N, H, W, 1 or 3], not {images.dtype} {images.shape}")
        self.images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        self._names = names

    def __len__(self) -> int:
        return len(self.images)

    def name(self, i: int) -> str:
        return str(i) if self._names is None else str(self._names[i])

    def digest(self, part: slice) -> str:
        return hash_images(self.images[part])

    def read(self, part: slice) -> Part:
        return Part(self.images[part], np.arange(len(self), dtype=np.int64)[part], self.digest(part))


class Squashed:
    """Whole photographs, squashed to squares when read.

    Args:
        paths: the files; those that cannot be read are left out.
        side: in pixels.
    """

    def __init__(self, paths: Sequence[Path], side: int) -> None:
        self.paths, self.side = paths, side
        # Pillow's version, because its decoders and its resize are part of the result.
        self.preprocessing = f"RGB, {side}x{side} by Lanczos, Pillow {PIL.__version__}"

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, i: int) -> str:
        return self.paths[i].stem

    def digest(self, part: slice) -> str | None:
        with ThreadPoolExecutor(_THREADS) as pool:
            return _joint(pool.map(lambda path: _digest(_content(path)), self.paths[part]))

    def read(self, part: slice) -> Part:
        """The pictures of `part` that can be read.

        Raises:
            DogganError: one has 16 bits a channel; see `read_picture`.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            read = list(pool.map(self._read, self.paths[part]))
        readable = [(i, picture) for i, (picture, _) in enumerate(read, part.start) if picture is not None]
        images = np.empty((len(readable), self.side, self.side, 3), np.uint8)
        for image, (_, picture) in zip(images, readable, strict=True):
            image[:] = picture
        return Part(images, np.array([i for i, _ in readable], np.int64), _joint(digest for _, digest in read))

    def _read(self, path: Path) -> tuple[NDArray[np.uint8] | None, bytes | None]:
        """The picture, and the digest of the bytes that it was made from."""
        data = _content(path)
        image = _decoded(data, path)
        return None if image is None else squash(image, self.side), _digest(data)


def squash(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The evaluator's resize: uint8 [side, side, 3], by Pillow's antialiased Lanczos filter, aspect ignored."""
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


def stored_size(path: Path) -> tuple[int, int] | None:
    """(width, height) in pixels by the file's header, or None when it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.size
    except _UNREADABLE:
        return None


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """One picture as stored, uint8 [H, W, 3]; None when it cannot be read.

    Grey gets three equal channels; a palette is looked up, and an alpha channel dropped, not blended.

    Raises:
        DogganError: it is a PNG of 16 bits a channel, which nobody asks for and which converters treat differently.
    """
    image = _decoded(_content(path), path)
    return None if image is None else np.asarray(image.convert("RGB"))


def _content(path: Path) -> bytes | None:
    """The file's bytes; None where it is missing or the disk fails."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _decoded(data: bytes | None, path: Path) -> Image.Image | None:
    """The picture in the bytes of `path`, or None."""
    if data is None:
        return None
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except _UNREADABLE:
        return None
    if data.startswith(_PNG_SIGNATURE) and data[_PNG_DEPTH] == 16:
        raise DogganError(f"{path} has 16 bits a channel; save the pictures with 8.")
    return image


def _digest(data: bytes | None) -> bytes | None:
    return None if data is None else hashlib.sha256(data).digest()


def _joint(digests: Iterable[bytes | None]) -> str | None:
    """One digest of many, or None where one is missing."""
    joint = hashlib.sha256()
    for digest in digests:
        if digest is None:
            return None
        joint.update(digest)
    return joint.hexdigest()
