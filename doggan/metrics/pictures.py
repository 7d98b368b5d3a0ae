"""Sets of pictures as a score sees them: of one size, RGB, read a part at a time, with a digest of the content."""

import hashlib
import io
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from doggan.data.imageset import hash_images
from doggan.errors import DogganError

_THREADS = 4
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24  # offset of IHDR's bit depth (PNG specification, section 11.2.1)


@dataclass(frozen=True)
class Part:
    """Pictures uint8 [n, H, W, 3], RGB, and the index int64 [n] of each in its set; unreadable ones are missing."""

    images: NDArray[np.uint8]
    index: NDArray[np.int64]


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

    def digest(self, part: slice) -> str:
        """sha256 of the content behind `part`."""
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
        return Part(self.images[part], np.arange(len(self), dtype=np.int64)[part])


class Squashed:
    """Whole photographs, squashed to squares when read.

    Args:
        paths: the files; those that Pillow cannot read are left out.
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

    def digest(self, part: slice) -> str:
        with ThreadPoolExecutor(_THREADS) as pool:
            return hashlib.sha256(b"".join(pool.map(_file_digest, self.paths[part]))).hexdigest()

    def read(self, part: slice) -> Part:
        with ThreadPoolExecutor(_THREADS) as pool:
            pictures = list(pool.map(partial(squashed, side=self.side), self.paths[part]))
        readable = [(i, picture) for i, picture in enumerate(pictures, part.start) if picture is not None]
        images = np.empty((len(readable), self.side, self.side, 3), np.uint8)
        for image, (_, picture) in zip(images, readable, strict=True):
            image[:] = picture
        return Part(images, np.array([i for i, _ in readable], np.int64))


def squash(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The evaluator's resize: uint8 [side, side, 3], by Pillow's antialiased Lanczos filter, aspect ignored."""
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


def squashed(path: Path, side: int) -> NDArray[np.uint8] | None:
    """One photograph as `squash` makes it, or None when it cannot be read."""
    image = _opened(path)
    return None if image is None else squash(image, side)


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """One picture as stored, uint8 [H, W, 3]; None when it cannot be read.

    Grey gets three equal channels; a palette is looked up, and an alpha channel dropped, not blended.

    Raises:
        DogganError: it is a PNG of 16 bits a channel, which nobody asks for and which converters treat differently.
    """
    image = _opened(path)
    if image is None:
        return None
    with path.open("rb") as file:
        header = file.read(_PNG_DEPTH + 1)
    if header.startswith(_PNG_SIGNATURE) and header[_PNG_DEPTH] == 16:
        raise DogganError(f"{path} has 16 bits a channel; save the pictures with 8.")
    return np.asarray(image.convert("RGB"))


def _opened(path: Path) -> Image.Image | None:
    """The decoded picture, or None."""
    try:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError):
        return None
    return image


def _file_digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:  # nor can it be decoded then
        return bytes(32)
