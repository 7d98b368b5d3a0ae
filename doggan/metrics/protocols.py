"""What generated pictures are compared with. A score without its protocol says nothing.

`kaggle`: every photograph of the competition, whole, squashed to 64×64 pixels by Pillow's Lanczos filter, as the
demo kernels prepare the real set (`resize((64, 64), ANTIALIAS)`, all images used). It is what the public score was:
FID / (m + 1e-15) where the memorization distance m is below 0.1. A part of the photographs is `kaggle` too; the count
in the score's line tells.

`folder`: the same, done to pictures that are not the competition's photographs: their files do not have the names
that Stanford gave, or they were cut out and shrunk already.

`crops`: the crops of a prepared `ImageSet`, what the generator was trained on. It says how well the generator does
what it was asked to do.

Scores by different protocols must never be compared with each other: a photograph of a dog in a garden and the square
around that dog are different pictures with different statistics. By the `kaggle` protocol a perfect generator of crops
is punished for the gardens it never saw, and models trained on the whole photographs scored far better there than on
crops.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from doggan.data.annotations import PHOTOGRAPH_ID
from doggan.data.imageset import HELDOUT, TRAIN, ImageSet, hash_images
from doggan.data.layout import NoLayout, find_layout
from doggan.errors import DogganError
from doggan.metrics.pictures import PICTURE_SUFFIXES, Pictures, Pixels, Squashed, stored_size

KAGGLE_SIDE = 64
SPLITS = ("train", "heldout", "all")

_NEARLY_ALL = 0.99
_LARGEST_CROP = 128  # pixels; sets that were cut out for training are rarely larger, and all of one size


@dataclass(frozen=True)
class RealSet:
    """Real pictures and how they were made.

    Attributes:
        protocol: "kaggle", "folder" or "crops".
        description: the protocol as printed in every score's line; of crops their hash, crop rule and split as well.
        pictures: the set.
        size: (height, width) of each in pixels.
        training: what the memorization distance is to, where that is another set; None for `pictures`.
        distance_to: what the pictures that the distance is to are called in its line, "training" or "real".
    """

    protocol: str
    description: str
    pictures: Pictures
    size: tuple[int, int]
    training: Pictures | None = None
    distance_to: str = "training"


def open_real(path: str | Path, split: str | None = None) -> RealSet:
    """The real set at `path`: a folder for `kaggle` or `folder`, the `.npz` of an `ImageSet` for `crops`.

    Args:
        path: of the folder or the file.
        split: which pictures of the `ImageSet`, one of `SPLITS`; None for "train". A folder has no splits.

    Raises:
        DogganError: there is nothing usable at `path`, or it is a folder and a split is asked for.
    """
    path = Path(path)
    if not path.is_dir():
        return crops_set(ImageSet.load(path), split or "train", path)
    if split is not None:
        raise DogganError(f"{path} is a folder and has no split {split!r}; leave it out, or give a prepared .npz.")
    return folder_set(find_photographs(path))


def folder_set(pictures: list[Path]) -> RealSet:
    """The real set of files: `kaggle` where they are the competition's photographs or a part of them, else `folder`."""
    if _are_stanfords(pictures):
        return kaggle_set(pictures)
    squashed = Squashed(pictures, KAGGLE_SIDE)
    description = f"folder (whole pictures squashed to {KAGGLE_SIDE}×{KAGGLE_SIDE})"
    return RealSet("folder", description, squashed, (KAGGLE_SIDE, KAGGLE_SIDE), distance_to="real")


def kaggle_set(photographs: list[Path]) -> RealSet:
    """The real set of the `kaggle` protocol."""
    return RealSet("kaggle", "kaggle", Squashed(photographs, KAGGLE_SIDE), (KAGGLE_SIDE, KAGGLE_SIDE))


def crops_set(images: ImageSet, split: str = "train", source: str | Path = "The image set") -> RealSet:
    """The real set of the `crops` protocol: one split of `images`, named by the first 8 digits of its hash.

    The memorization distance of the held-out split is to the training split, that of all pictures to all of them.

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
    height, width, _ = images.image_shape
    training = _pixels(images.training()) if split == "heldout" else None
    distance_to = "real" if split == "all" else "training"
    return RealSet("crops", description, _pixels(chosen), (height, width), training, distance_to)


def _pixels(images: ImageSet) -> Pixels:
    return Pixels(images.images, [str(name) for name in images.source_ids])


def find_photographs(folder: str | Path) -> list[Path]:
    """The photographs of Stanford Dogs in `folder`, in either layout; else every picture in and below it.

    Raises:
        DogganError: there are fewer than two, one of Stanford's photographs is there twice, or the folders of Stanford
            Dogs are there more than once.
    """
    folder = Path(folder)
    try:
        return list(find_layout(folder).photographs.values())
    except NoLayout:  # no annotations, perhaps, and a score needs none
        pictures = sorted(path for path in _files(folder) if path.suffix.lower() in PICTURE_SUFFIXES)
    if len(pictures) < 2:
        raise DogganError(
            f"{folder} holds {len(pictures)} pictures (.jpg, .png) and a score needs two; give the folder of the "
            "competition's photographs."
        )
    by_id: dict[str, Path] = {}
    for path in pictures:
        if PHOTOGRAPH_ID.fullmatch(path.stem) and by_id.setdefault(path.stem, path) is not path:
            raise DogganError(
                f"{folder} holds the photograph {path.stem} twice, as {by_id[path.stem]} and {path}; give a folder "
                "that holds each once."
            )
    return pictures


def _are_stanfords(pictures: list[Path]) -> bool:
    """Whether (nearly) all bear an id of Stanford's, and their sizes are those of photographs and not of crops."""
    named = sum(PHOTOGRAPH_ID.fullmatch(path.stem) is not None for path in pictures)
    if named < _NEARLY_ALL * len(pictures):
        return False
    sizes = (size for path in pictures if (size := stored_size(path)) is not None)
    first = next(sizes, None)
    # Of photographs the first or the second one tells.
    return first is not None and (max(first) > _LARGEST_CROP or any(size != first for size in sizes))


def _files(folder: Path) -> list[Path]:
    """Every file in and below `folder` that is not hidden."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return found
