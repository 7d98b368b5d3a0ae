"""Reading photographs into RGB uint8, whatever form they come in."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from doggan.errors import DogganError

_ORIENTATION_TAG = 0x0112

# Markers of JPEG segments: start of a frame (which states the size), start of the scan, EXIF or XMP.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_APP1 = 0xE1

# Beside IMREAD_COLOR_RGB the "grayscale" flags only ask for the scale. IMREAD_REDUCED_COLOR_* holds the bit
# for BGR as well, which OpenCV 5 refuses together with RGB.
_READ_FLAGS = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
REDUCTIONS = tuple(_READ_FLAGS)


class PhotographError(DogganError):
    """The file cannot be decoded to a whole picture; `detail` says what was seen."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"{path} is truncated or not a picture ({detail}); replace or remove it.")
        self.detail = detail


@dataclass(frozen=True)
class EncodedPhotograph:
    """A file's bytes with what its header says; `decode` does the expensive part.

    Attributes:
        path: where it came from.
        data: uint8 [bytes].
        width, height: of the picture as stored, in pixels, before any turning by EXIF.
        orientation: the EXIF tag, 1 (upright) to 8; 1 where there is none.
        is_jpeg: whether a reduced decode saves time. Decided by content: one published `.jpg` is a PNG.
    """

    path: Path
    data: NDArray[np.uint8]
    width: int
    height: int
    orientation: int
    is_jpeg: bool

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as a viewer shows it."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    def decode(self, reduction: int = 1) -> NDArray[np.uint8]:
        """The picture as stored: uint8 [H, W, 3], RGB, 0 to 255, not turned by EXIF.

        Grey pictures get three equal channels, CMYK is converted, of 16 bits the upper 8 are kept, an alpha
        channel is dropped.

        Args:
            reduction: 1, 2, 4 or 8: decode at 1/reduction of the size, sides rounded up. For JPEG the inverse
                transform itself gives the small picture, which saves most of the time.

        Raises:
            PhotographError: the data end early or are damaged beyond decoding. (Damage that leaves a JPEG's
                length intact can decode to a picture with wrong blocks; libjpeg warns on stderr.)
        """
        # From memory, because OpenCV then refuses a truncated JPEG (from a file it fills the rest with grey),
        # and because its own file access fails on some names outside ASCII.
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | _READ_FLAGS[reduction]
        try:
            pixels = cv2.imdecode(self.data, flags)
        except cv2.error as error:
            raise PhotographError(self.path, f"OpenCV: {error.err}") from None
        if pixels is None:
            raise PhotographError(self.path, "its data end early or are damaged")
        return np.asarray(pixels, np.uint8)


def open_photograph(path: str | os.PathLike[str]) -> EncodedPhotograph:
    """Read a file and its header without decoding the pixels.

    Raises:
        PhotographError: the file cannot be opened, is empty, or is of no format that is known.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if size := _plain_jpeg_size(data):
            return EncodedPhotograph(path, np.frombuffer(data, np.uint8), *size, orientation=1, is_jpeg=True)
        with Image.open(io.BytesIO(data)) as header:
            orientation = header.getexif().get(_ORIENTATION_TAG, 1)
            width, height = header.size
            is_jpeg = header.format in ("JPEG", "MPO")
    except UnidentifiedImageError:
        raise PhotographError(path, "no known picture format" if data else "empty file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PhotographError(path, str(error)) from None
    return EncodedPhotograph(
        path=path,
        data=np.frombuffer(data, np.uint8),
        width=width,
        height=height,
        orientation=orientation if orientation in range(1, 9) else 1,
        is_jpeg=is_jpeg,
    )


def _plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG without EXIF or XMP; None for everything else, which Pillow looks into.

    Nearly every photograph is such a file, and these few lines take a tenth of Pillow's time for it. The
    header is a row of segments: FF, marker, length [2 bytes, itself included], content (ITU T.81, annex B).
    """
    size = None
    place = 2
    while data[:2] == b"\xff\xd8" and place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _SCAN:
            small = size is not None and 0 < size[0] * size[1] <= (Image.MAX_IMAGE_PIXELS or 0)
            return size if small else None
        if marker in _FRAMES:
            height, width = data[place + 5 : place + 7], data[place + 7 : place + 9]
            size = int.from_bytes(width, "big"), int.from_bytes(height, "big")
        if marker in (_APP1, 0xFF):
            return None
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """`pixels` [H, W, C] turned and mirrored as the EXIF orientation (1 to 8) asks, in memory order."""
    turned = {
        1: lambda: pixels,
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.swapaxes(0, 1),
        6: lambda: pixels[::-1].swapaxes(0, 1),
        7: lambda: pixels[::-1, ::-1].swapaxes(0, 1),
        8: lambda: pixels[:, ::-1].swapaxes(0, 1),
    }[orientation]()
    return np.ascontiguousarray(turned)


def read_photograph(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A whole photograph, upright: uint8 [H, W, 3], RGB, 0 to 255.

    Raises:
        PhotographError: the file cannot be opened, is truncated, or is not a picture.
    """
    photograph = open_photograph(path)
    return upright(photograph.decode(), photograph.orientation)
