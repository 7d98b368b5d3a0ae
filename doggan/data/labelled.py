"""Published sets of small labelled pictures: from their parts to one `ImageSet`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggan.data.imageset import HELDOUT, ImageSet
from doggan.data.split import split_of
from doggan.errors import DogganError

Resize = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""(one picture uint8 [H, W, C], side) → uint8 [side, side, C]."""


@dataclass(frozen=True)
class Part:
    """Pictures that are published together.

    Attributes:
        name: what the ids of its pictures begin with.
        images: uint8 [n, H, W, C].
        labels: integers [n], from 0.
        heldout: whether they are published for testing.
        where: the file or files, for messages.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.integer]
    heldout: bool
    where: str


def join_parts(
    parts: Sequence[Part], class_names: tuple[str, ...], *, size: int, resize: Resize, holdout: float
) -> ImageSet:
    """One image set of all parts in their order, every picture whole and `size` wide and high.

    The id of picture i of a part is `<name>-<i>`, with five digits. Pictures published for testing are held
    out; `holdout` is the share of the others that is held out as well, by their ids (`split.is_heldout`).

    Raises:
        DogganError: a part has no pictures, another number of labels than of pictures, or a label without a name.
    """
    for part in parts:
        _check(part, len(class_names))
    height, width, channels = parts[0].images.shape[1:]
    count = sum(len(part.images) for part in parts)
    images = np.empty((count, size, size, channels), np.uint8)
    place = 0
    for part in parts:
        for picture in part.images:
            images[place] = resize(picture, size)
            place += 1
    ids = [[f"{part.name}-{i:05d}" for i in range(len(part.images))] for part in parts]
    split = [
        np.full(len(names), HELDOUT, np.uint8) if part.heldout else split_of(names, holdout)
        for part, names in zip(parts, ids, strict=True)
    ]
    return ImageSet(
        images=images,
        labels=np.concatenate([part.labels for part in parts]).astype(np.int32),
        class_names=class_names,
        source_ids=np.array([name for names in ids for name in names], np.str_),
        boxes=np.tile(np.array([0, 0, width, height], np.int32), (count, 1)),
        split=np.concatenate(split),
        crop="whole",
    )


def _check(part: Part, classes: int) -> None:
    if len(part.images) != len(part.labels):
        raise DogganError(
            f"{part.where}: {len(part.images):,} pictures and {len(part.labels):,} labels do not belong together; get "
            "both from the same place."
        )
    if not len(part.images):
        raise DogganError(f"{part.where}: there is not one picture in it; fetch it again.")
    least, most = int(part.labels.min()), int(part.labels.max())
    if least < 0 or most >= classes:
        raise DogganError(
            f"{part.where}: a label is {least if least < 0 else most}, and there are classes 0 to {classes - 1}; get "
            "the file again."
        )
