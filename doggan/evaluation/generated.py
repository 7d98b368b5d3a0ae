"""The generated pictures, from whatever they are kept in."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doggan.errors import DogganError
from doggan.metrics.pictures import PICTURE_SUFFIXES, Pixels, read_picture, squash
from doggan.metrics.protocols import RealSet
from doggan.sampling import sample_pictures
from doggan.submission import COUNT, read_pictures

if TYPE_CHECKING:
    import keras

_AT_A_TIME = 500  # pictures in memory as stored
_THREADS = 4


@dataclass(frozen=True)
class Sampled:
    """Where the pictures of a run come from.

    Attributes:
        checkpoint: as asked for: "best", "newest" or a number of steps.
        step: training steps of that checkpoint.
        seed: of z.
        weights: in words, as `doggan.runs.load_generator` gives them.
    """

    checkpoint: str
    step: int
    seed: int
    weights: str

    def __str__(self) -> str:
        return f"sampled from step {self.step:,} (checkpoint {self.checkpoint}, {self.weights}) with seed {self.seed}"


@dataclass(frozen=True)
class Generated:
    """Generated pictures of the size of the real ones.

    Attributes:
        images: uint8 [N, H, W, 3], RGB.
        names: of each, for figures; None for their numbers.
        n_skipped: files that could not be read.
        notes: sentences to print with the scores.
        sampled: what of a run they are; None for pictures taken as they were.
    """

    images: NDArray[np.uint8]
    names: tuple[str, ...] | None = None
    n_skipped: int = 0
    notes: tuple[str, ...] = ()
    sampled: Sampled | None = None


def read_generated(
    source: str | Path,
    real: RealSet,
    *,
    count: int = COUNT,
    seed: int = 0,
    checkpoint: str = "best",
    raw: bool = False,
    bn_samples: int | None = 0,
    progress: bool = False,
) -> Generated:
    """The pictures of a submission, a folder, an `.npz` or a run.

    By the protocols `kaggle` and `folder` pictures of another size are squashed like the real ones, and a note says
    so; by `crops`, and in a zip, they must have the size of the set's. Grey pictures get three equal channels, an alpha
    channel is dropped.

    Args:
        source: a zip of PNG pictures at any names, as `doggan.submission.read_pictures` takes it; a folder of PNG or
            JPEG pictures, taken in the order of their names; an `.npz` with uint8 [N, H, W, 1 or 3] under `images` or
            `arr_0`; or the folder of a run, whose generator is sampled.
        real: what they will be compared with.
        count, seed: of a run; see `doggan.sampling.generate`.
        checkpoint, raw, bn_samples: of a run; see `doggan.runs.load_generator`.
        progress: show bars while sampling.

    Raises:
        DogganError: `source` is none of these; fewer than two pictures can be read; they differ in size, have 16 bits a
            channel, or do not have the size of the crops.
    """
    source = Path(source)
    if not source.exists():
        raise DogganError(f"{source} does not exist; give a submission, a folder of pictures, an .npz or a run.")
    if source.is_dir() and (source / "config.json").exists():
        sampled, generator, classes = _load(source, count, seed, checkpoint, raw, bn_samples, progress)
        images = sample_pictures(generator, count, seed=seed, classes=classes, progress=progress)
        return replace(_fitted(source, images, real), sampled=sampled)
    if source.is_dir():
        return _from_folder(source, real)
    if source.suffix == ".npz":
        return _fitted(source, _from_npz(source), real)
    height, width = real.size
    if height != width:
        raise DogganError(f"{source} holds squares and the real pictures are {_size(real.size)}; give a folder.")
    pictures, names = read_pictures(source, height)
    return replace(_fitted(source, pictures, real), names=names)


def _load(
    folder: Path, count: int, seed: int, checkpoint: str, raw: bool, bn_samples: int | None, progress: bool
) -> tuple[Sampled, "keras.Model", NDArray[np.int32] | None]:
    from doggan import runs  # loads Keras, which the other sources do without

    run = runs.Run.open(folder)
    generator, step, weights = runs.load_generator(run, checkpoint, raw=raw, bn_samples=bn_samples, progress=progress)
    return Sampled(checkpoint, step, seed, weights), generator, run.draw_classes(count, seed)


def _from_npz(path: Path) -> NDArray[np.uint8]:
    try:
        opened = np.load(path, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array under the name of an .npz")
        with opened as file:
            images = file["images" if "images" in file else "arr_0"]
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DogganError(f"{path} holds no pictures under `images` or `arr_0` ({error}).") from None
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
        raise DogganError(f"{path} holds {images.dtype} {images.shape}; save pictures as uint8 [N, H, W, 1 or 3].")
    return images


def _from_folder(folder: Path, real: RealSet) -> Generated:
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    fit = _fit(real)
    first: tuple[Path, tuple[int, int]] | None = None
    images, names = [], []
    for path, picture in _read(paths):
        if picture is None:
            continue
        size = picture.shape[0], picture.shape[1]
        if first is None:
            first = path, size
            _require_size(path, size, real)
        elif size != first[1]:
            raise DogganError(
                f"{first[0]} is {_size(first[1])} and {path.name} is {_size(size)}; give pictures of one size."
            )
        images.append(fit(picture))
        names.append(path.stem)
    if first is None or len(images) < 2:
        raise DogganError(
            f"{folder} holds {len(images)} pictures (PNG, JPEG) that can be read and a score needs two; it is not "
            "the folder of a run either."
        )
    return Generated(np.stack(images), tuple(names), len(paths) - len(images), _squash_note(first[1], real))


def _read(paths: list[Path]) -> Iterator[tuple[Path, NDArray[np.uint8] | None]]:
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(paths), _AT_A_TIME):
            some = paths[start : start + _AT_A_TIME]
            yield from zip(some, pool.map(read_picture, some), strict=True)


def _fitted(source: Path, images: NDArray[np.uint8], real: RealSet) -> Generated:
    if len(images) < 2:
        raise DogganError(f"{source} gives {len(images)} pictures and a score needs two.")
    size = images.shape[1], images.shape[2]
    _require_size(source, size, real)
    colour = Pixels(images).images
    fitted = colour if size == real.size else np.stack([_fit(real)(image) for image in colour])
    return Generated(fitted, notes=_squash_note(size, real))


def _require_size(source: Path, size: tuple[int, int], real: RealSet) -> None:
    if real.protocol == "crops" and size != real.size:
        raise DogganError(
            f"{source} is {_size(size)} and the real pictures are {_size(real.size)}; prepare real ones of that "
            "size, or compare with a folder of photographs."
        )


def _fit(real: RealSet) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """What brings one picture to the real ones' size."""

    def fit(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture if picture.shape[:2] == real.size else squash(Image.fromarray(picture), real.size[0])

    return fit


def _squash_note(size: tuple[int, int], real: RealSet) -> tuple[str, ...]:
    if size == real.size:
        return ()
    return (f"the generated pictures are {_size(size)} and were squashed to {_size(real.size)}",)


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]} pixels"
