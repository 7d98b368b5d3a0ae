"""What generated pictures are compared with. A score without its protocol says nothing.

`kaggle`: every photograph of the competition, whole, squashed to 64×64 pixels by Pillow's Lanczos filter, as the
demo kernels prepare the real set (`resize((64, 64), ANTIALIAS)`, all images used). It is what the public score was.

`crops`: the crops of a prepared `ImageSet`, what the generator was trained on. It says how well the generator does
what it was asked to do.

The two must never be compared with each other: a photograph of a dog in a garden and the square around that dog are
different pictures with different statistics. By the `kaggle` protocol a perfect generator of crops is punished for
the gardens it never saw, and models trained on the whole photographs scored far better there than on crops.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from doggan.data.imageset import HELDOUT, TRAIN, ImageSet, hash_images
from doggan.data.layout import find_layout
from doggan.errors import DogganError
from doggan.metrics.pictures import Pictures, Pixels, Squashed

KAGGLE_SIDE = 64
SPLITS = ("train", "heldout", "all")

_PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_STANFORD_ID = re.compile(r"n\d{8}_\d+")


@dataclass(frozen=True)
class RealSet:
    """Real pictures and how they were made.

    Attributes:
        protocol: "kaggle" or "crops".
        description: the protocol as printed in every score's line; of crops their hash, crop rule and split as well.
        pictures: the set.
        size: (height, width) of each in pixels.
    """

    protocol: str
    description: str
    pictures: Pictures
    size: tuple[int, int]


def open_real(path: str | Path, split: str = "train") -> RealSet:
    """The real set at `path`: a folder of photographs for `kaggle`, the `.npz` of an `ImageSet` for `crops`.

    Args:
        path: of the folder or the file.
        split: which pictures of the `ImageSet`, one of `SPLITS`.

    Raises:
        DogganError: there is nothing usable at `path`.
    """
    path = Path(path)
    if path.is_dir():
        return kaggle_set(find_photographs(path))
    return crops_set(ImageSet.load(path), split, path)


def kaggle_set(photographs: list[Path]) -> RealSet:
    """The real set of the `kaggle` protocol."""
    return RealSet("kaggle", "kaggle", Squashed(photographs, KAGGLE_SIDE), (KAGGLE_SIDE, KAGGLE_SIDE))


def crops_set(images: ImageSet, split: str = "train", source: str | Path = "The image set") -> RealSet:
    """The real set of the `crops` protocol: one split of `images`, named by the first 8 digits of its hash.

    Raises:
        DogganError: the split has fewer than two pictures; the sentence names `source`.
    """
    wanted = {"train": (TRAIN,), "heldout": (HELDOUT,), "all": (TRAIN, HELDOUT)}[split]
    chosen = images.select(np.isin(images.split, wanted))
    if len(chosen) < 2:
        raise DogganError(
            f"{source} has {len(chosen)} pictures in the split {split!r} and a score needs two; choose another split."
        )
    name = {"train": "training split", "heldout": "held-out split", "all": "all"}[split]
    rule = images.crop or "crop rule unknown"
    description = f"crops {hash_images(chosen.images)[:8]} ({rule}, {name})"
    pictures = Pixels(chosen.images, [str(name) for name in chosen.source_ids])
    height, width, _ = images.image_shape
    return RealSet("crops", description, pictures, (height, width))


def find_photographs(folder: str | Path) -> list[Path]:
    """The photographs of Stanford Dogs in `folder`, in either layout; else every picture in and below it.

    Raises:
        DogganError: there are fewer than two, or one of Stanford's photographs is there twice.
    """
    folder = Path(folder)
    try:
        return list(find_layout(folder).photographs.values())
    except DogganError:  # no annotations, perhaps: a score needs none
        pictures = sorted(path for path in _files(folder) if path.suffix.lower() in _PICTURE_SUFFIXES)
    if len(pictures) < 2:
        raise DogganError(
            f"{folder} holds {len(pictures)} pictures (.jpg, .png) and a score needs two; give the folder of the "
            "competition's photographs."
        )
    by_id: dict[str, Path] = {}
    for path in pictures:
        if _STANFORD_ID.fullmatch(path.stem) and by_id.setdefault(path.stem, path) is not path:
            raise DogganError(
                f"{folder} holds the photograph {path.stem} twice, as {by_id[path.stem]} and {path}; give a folder "
                "that holds each once."
            )
    return pictures


def _files(folder: Path) -> list[Path]:
    """Every file in and below `folder` that is not hidden."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return found
