"""A folder of pictures, with or without classes, as an `ImageSet`."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.data.annotations import PHOTOGRAPH_SUFFIXES, BoundingBox, readable, source_id
from doggan.data.arguments import check_crop, check_holdout, check_size, check_workers
from doggan.data.crops import CropRule, cut, square, whole
from doggan.data.faults import Fault, Reason
from doggan.data.imageset import ImageSet
from doggan.data.layout import by_id, entries, is_photograph
from doggan.data.photos import PhotographError, open_photograph, upright
from doggan.data.split import split_of
from doggan.data.threads import map_in_order
from doggan.errors import DogganError

# The rules for boxes, given the whole picture as the box: its largest square, centred, or all of it, squashed.
FOLDER_CROPS: dict[str, CropRule] = {"center": square, "whole": whole}


def read_folder(
    source: str | os.PathLike[str],
    size: int = 64,
    crop: str = "center",
    holdout: float = 0.0,
    strict: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> tuple[ImageSet, tuple[Fault, ...]]:
    """The pictures of a folder as an image set, and what was left out of it.

    The pictures lie directly in the folder, and then they have no labels, or in folders in it, whose names are
    then the classes. Only these two levels are looked at, and in them the files whose names end as pictures' do
    (`annotations.PHOTOGRAPH_SUFFIXES`); hidden ones do not count, nor does a link back to the folder or out of
    it upwards. The ids are `name` or `class/name`, without the suffix, and the pictures are in their order; of
    two files with the same id the second is left out. Pictures turned by EXIF come out upright.

    Args:
        source: the folder.
        size: side of the pictures, one of `arguments.SIZES`; larger ones are averaged down, smaller ones
            enlarged by cubic interpolation.
        crop: a name in `FOLDER_CROPS`: "center" for the largest centred square, "whole" for the picture from
            edge to edge, squashed.
        holdout: share of the pictures, in [0, 1), that is held out, by their ids (`split.is_heldout`).
        strict: make the first thing that would be left out an error.
        workers: threads; as many as there are cores by default.
        progress: show a progress bar.

    Returns:
        (images, faults). The images are uint8 [N, size, size, C], 0 to 255: RGB (C = 3), or grey (C = 1) where
        every picture has three equal channels. Labels int32 [N] by sorted names of the classes that a picture
        shows, or None; boxes are what was cut out, in pixels of the picture as stored.

    Raises:
        DogganError: an argument is out of range; the folder is missing, cannot be listed, holds no pictures or
            holds them on both levels; none can be read; or, if `strict`, anything would be left out.
    """
    check_size(size)
    check_crop(crop, FOLDER_CROPS)
    check_holdout(holdout)
    check_workers(workers)
    source = Path(source)
    paths, faults, has_classes = _find(source)
    if strict and faults:
        raise _strict_error(faults[0])
    pictures: list[_Picture] = []
    for result in map_in_order(_Reader(size, FOLDER_CROPS[crop]), list(paths.items()), workers, progress):
        if isinstance(result, _Picture):
            pictures.append(result)
            continue
        if strict:
            raise _strict_error(result)
        faults.append(result)
    if not pictures:
        raise DogganError(
            f"{source}: not one of its {len(paths):,} pictures can be read, the first fault being {faults[0]}; "
            "replace them, or name another folder."
        )
    return _image_set(pictures, has_classes, holdout, crop), tuple(faults)


def _find(source: Path) -> tuple[dict[str, Path], list[Fault], bool]:
    """(id → path, files left out, whether the folders are classes)."""
    if not source.exists():
        raise DogganError(f"{source} does not exist; name the folder that holds the pictures.")
    if not source.is_dir():
        raise DogganError(f"{source} is a file; unpack it, or name the folder that holds it.")
    folders, files = entries(source)
    here = [path for path in files if is_photograph(path)]
    real = source.resolve()
    below = [
        path
        for folder in folders
        if not real.is_relative_to(folder.resolve())
        for path in entries(folder)[1]
        if is_photograph(path)
    ]
    if here and below:
        raise DogganError(
            f"{source} holds pictures directly ({here[0].name}) and in folders ({below[0].relative_to(source)}), so it "
            "is not clear whether the folders are classes; move the ones or the others away."
        )
    if not here and not below:
        raise DogganError(
            f"{source} holds no pictures ({', '.join(sorted(PHOTOGRAPH_SUFFIXES))}), neither directly nor in the "
            "folders in it; name the folder that does."
        )
    paths, faults = by_id(below, _class_and_name) if below else by_id(here)
    return paths, faults, bool(below)


def _class_and_name(path: Path) -> str:
    return f"{readable(path.parent.name)}/{source_id(path)}"


@dataclass(frozen=True)
class _Picture:
    pixels: NDArray[np.uint8]
    is_grey: bool
    source_id: str
    class_name: str
    region: BoundingBox


@dataclass(frozen=True)
class _Reader:
    """(id, path) → the picture or what is wrong with it; called from several threads at once."""

    size: int
    rule: CropRule

    def __call__(self, item: tuple[str, Path]) -> _Picture | Fault:
        name, path = item
        try:
            photograph = open_photograph(path)
            pixels = photograph.decode()
        except PhotographError as error:
            return Fault(Reason.UNREADABLE_PHOTOGRAPH, name, error.detail, path)
        height, width = pixels.shape[:2]
        region = self.rule(BoundingBox(0, 0, width, height), width, height)
        picture = upright(cut(pixels, region, self.size), photograph.orientation)
        is_grey = bool((picture == picture[..., :1]).all())
        return _Picture(picture, is_grey, name, readable(path.parent.name), region)


def _image_set(pictures: list[_Picture], has_classes: bool, holdout: float, crop: str) -> ImageSet:
    channels = 1 if all(picture.is_grey for picture in pictures) else 3
    shown = sorted({picture.class_name for picture in pictures}) if has_classes else []
    label = {name: index for index, name in enumerate(shown)}
    return ImageSet(
        images=np.stack([picture.pixels[..., :channels] for picture in pictures]),
        labels=np.array([label[picture.class_name] for picture in pictures], np.int32) if has_classes else None,
        class_names=tuple(shown),
        source_ids=np.array([picture.source_id for picture in pictures], np.str_),
        boxes=np.array([(r.xmin, r.ymin, r.xmax, r.ymax) for r in (p.region for p in pictures)], np.int32),
        split=split_of((picture.source_id for picture in pictures), holdout),
        crop=crop,
    )


def _strict_error(fault: Fault) -> DogganError:
    return DogganError(f"{fault.path or fault.name}: {fault}; mend or remove it, or prepare without strict.")
