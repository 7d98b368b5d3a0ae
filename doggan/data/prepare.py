"""`prepare`: photographs and annotations in, one `ImageSet` file out."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.data.annotations import (
    Annotation,
    AnnotationError,
    BoundingBox,
    class_names,
    parse_annotation,
)
from doggan.data.arguments import check_crop, check_holdout, check_out, check_size, check_workers
from doggan.data.crops import CROP_RULES, clamp_box, cut, cut_reduced, whole
from doggan.data.faults import Fault, Reason
from doggan.data.imageset import HELDOUT, ImageSet
from doggan.data.layout import Layout, find_layout
from doggan.data.photos import REDUCTIONS, EncodedPhotograph, PhotographError, open_photograph, upright
from doggan.data.split import split_of
from doggan.data.summary import PrepareSummary
from doggan.data.threads import map_in_order
from doggan.errors import DogganError


def prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: int = 64,
    crop: str = "square",
    holdout: float = 0.0,
    fast_decode: bool = False,
    strict: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> PrepareSummary:
    """Cut every dog out of its photograph and write the pictures as an `ImageSet`.

    The pictures are in order of (photograph's id, object in the file), and the file is the same whatever the
    number of workers. The classes are the breeds that at least one picture shows, in order of their synsets.
    What is wrong with the source is skipped, clamped or kept as `faults.Reason` says, and named in the
    summary.

    The boxes are taken to be in the frame of the picture as stored: who drew them in 2011 saw it so, because
    neither browsers nor Matlab applied the EXIF orientation then. Only where the size that the annotation
    states is the turned picture's alone, they are in the upright frame. Either way the pictures come out
    upright.

    Args:
        source: a folder that holds Stanford Dogs as published or as on Kaggle (see `find_layout`).
        out: the `.npz` file to write; it is replaced whole or not at all.
        size: side of the pictures, one of `arguments.SIZES`.
        crop: a name in `CROP_RULES`. "whole" gives one picture per photograph, the others one per object.
        holdout: share of the photographs, in [0, 1), whose pictures are marked as held out. Which they are is
            a fixed function of the id alone.
        fast_decode: decode a JPEG at half, quarter or eighth scale where every crop stays at least `size`
            wide and high. Faster; the pictures differ a little.
        strict: make the first thing that would be skipped, clamped or kept with a remark an error.
        workers: threads; as many as there are cores by default.
        progress: show a progress bar.

    Returns:
        Counts, faults and times; `str()` of it is a report in a few lines.

    Raises:
        DogganError: an argument is out of range, `source` or `out` cannot be used, not one picture could be
            cut, or, if `strict`, anything is wrong with the source.
    """
    started = time.perf_counter()
    out = Path(out)
    _check_arguments(size, crop, holdout, workers, out)
    layout = find_layout(source)
    faults = [*layout.faults, *_unpaired(layout)]
    if strict and faults:
        raise _strict_error(faults[0], layout)

    ids = [name for name in layout.photographs if name in layout.annotations]
    reader = _Reader(layout, size, crop, fast_decode)
    pictures: list[_Picture] = []
    objects = 0
    for result in map_in_order(reader, ids, workers, progress):
        faults.extend(result.faults)
        if strict and result.faults:
            raise _strict_error(result.faults[0], layout)
        pictures.extend(result.pictures)
        objects += result.objects
    if not pictures:
        raise DogganError(_nothing_left(source, faults))

    image_set = _image_set(pictures, layout, holdout, crop)
    image_set.save(out)
    heldout = int((image_set.split == HELDOUT).sum())
    return PrepareSummary(
        out=out,
        layout=layout.kind,
        photographs=len(layout.photographs),
        annotations=len(layout.annotations),
        boxes=objects,
        pictures=len(pictures),
        training=len(pictures) - heldout,
        heldout=heldout,
        classes=len(image_set.class_names),
        size=size,
        crop=crop,
        photographs_read=len(ids),
        faults=tuple(faults),
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Picture:
    pixels: NDArray[np.uint8]
    source_id: str
    region: BoundingBox
    folder: str


@dataclass(frozen=True)
class _Result:
    """What one photograph gave."""

    pictures: list[_Picture]
    objects: int
    faults: list[Fault]


@dataclass(frozen=True)
class _Reader:
    """One photograph and its annotation → its pictures; called from several threads at once."""

    layout: Layout
    size: int
    crop: str
    fast_decode: bool

    def __call__(self, name: str) -> _Result:
        try:
            annotation = parse_annotation(self.layout.annotations[name])
        except AnnotationError as error:
            return _Result([], 0, [error.fault])
        try:
            photograph = open_photograph(self.layout.photographs[name])
            return self._cut_all(annotation, photograph)
        except PhotographError as error:
            fault = Fault(Reason.UNREADABLE_PHOTOGRAPH, name, error.detail)
            return _Result([], annotation.objects, [*annotation.faults, fault])

    def _cut_all(self, annotation: Annotation, photograph: EncodedPhotograph) -> _Result:
        stated = (annotation.width, annotation.height)
        stored = (photograph.width, photograph.height)
        boxes_are_upright = stated != stored and stated == photograph.upright_size
        width, height = stated if boxes_are_upright else stored
        regions, faults = self._regions(annotation, width, height)
        if 0 not in stated and stated != (width, height):
            seen = f"{stated[0]}×{stated[1]} stated, {width}×{height} seen"
            faults.append(Fault(Reason.SIZE_DIFFERS, annotation.source_id, seen))
        if not regions:
            return _Result([], annotation.objects, faults)

        # Turning would bring the part of a pixel that a reduction leaves at the far edges to the near ones.
        reduction = 1 if boxes_are_upright else self._reduction(regions, photograph)
        pixels = photograph.decode(reduction)
        orientation = photograph.orientation
        if boxes_are_upright:
            pixels, orientation = upright(pixels, orientation), 1
        folder = f"{annotation.synset}-{annotation.breed}"
        pictures = []
        for region in regions:
            if reduction == 1:
                picture = cut(pixels, region, self.size)
            else:
                picture = cut_reduced(pixels, region, self.size, reduction)
            pictures.append(_Picture(upright(picture, orientation), annotation.source_id, region, folder))
        return _Result(pictures, annotation.objects, faults)

    def _regions(self, annotation: Annotation, width: int, height: int) -> tuple[list[BoundingBox], list[Fault]]:
        rule = CROP_RULES[self.crop]
        if rule is whole:
            return [BoundingBox(0, 0, width, height)], []
        faults = list(annotation.faults)
        if annotation.objects == 0:
            faults.append(Fault(Reason.NO_OBJECT, annotation.source_id))
        regions = []
        for number, box in annotation.boxes:
            clamped = clamp_box(box, width, height)
            if clamped != box:
                reason = Reason.BOX_OUTSIDE if clamped is None else Reason.BOX_CLAMPED
                detail = f"{box.xmin}, {box.ymin}, {box.xmax}, {box.ymax} in {width}×{height}"
                faults.append(Fault(reason, f"{annotation.source_id} object {number}", detail))
            if clamped is not None:
                regions.append(rule(clamped, width, height))
        return regions, faults

    def _reduction(self, regions: list[BoundingBox], photograph: EncodedPhotograph) -> int:
        """The strongest reduction at which no region is smaller than the picture made of it."""
        if not (self.fast_decode and photograph.is_jpeg):
            return 1
        shortest = min(min(region.width, region.height) for region in regions)
        return max(reduction for reduction in REDUCTIONS if reduction == 1 or shortest >= reduction * self.size)


def _image_set(pictures: list[_Picture], layout: Layout, holdout: float, crop: str) -> ImageSet:
    # Names are decided over all breeds annotated, so that they do not depend on which pictures came through.
    names = class_names(path.parent.name for path in layout.annotations.values())
    shown = sorted({picture.folder for picture in pictures})
    label = {folder: index for index, folder in enumerate(shown)}
    regions = [picture.region for picture in pictures]
    return ImageSet(
        images=np.stack([picture.pixels for picture in pictures]),
        labels=np.array([label[picture.folder] for picture in pictures], np.int32),
        class_names=tuple(names[folder] for folder in shown),
        source_ids=np.array([picture.source_id for picture in pictures], np.str_),
        boxes=np.array([(r.xmin, r.ymin, r.xmax, r.ymax) for r in regions], np.int32),
        split=split_of((picture.source_id for picture in pictures), holdout),
        crop=crop,
    )


def _unpaired(layout: Layout) -> list[Fault]:
    alone = [
        (Reason.NO_ANNOTATION, layout.photographs, layout.annotations),
        (Reason.NO_PHOTOGRAPH, layout.annotations, layout.photographs),
    ]
    return [Fault(reason, name) for reason, names, others in alone for name in names if name not in others]


def _check_arguments(size: int, crop: str, holdout: float, workers: int | None, out: Path) -> None:
    check_size(size)
    check_crop(crop, CROP_RULES)
    check_holdout(holdout)
    check_workers(workers)
    check_out(out, "dogs64.npz")


def _strict_error(fault: Fault, layout: Layout) -> DogganError:
    # A box's fault is named "<id> object <k>", and an id may hold that word too.
    name = fault.name if fault.name in layout.photographs else fault.name.rpartition(" object ")[0] or fault.name
    files = layout.photographs if fault.reason in _ABOUT_PHOTOGRAPHS else layout.annotations
    path = fault.path or files.get(name) or files.get(fault.name)
    return DogganError(f"{path or fault.name}: {fault}; mend or remove it, or prepare without strict.")


_ABOUT_PHOTOGRAPHS = (Reason.NO_ANNOTATION, Reason.UNREADABLE_PHOTOGRAPH)


def _nothing_left(source: str | os.PathLike[str], faults: list[Fault]) -> str:
    first = f", the first of {len(faults)} faults being {faults[0]}" if faults else ""
    return f"{source}: not one picture could be cut{first}; check that photographs and boxes belong together."
