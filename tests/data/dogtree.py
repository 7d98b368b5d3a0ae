"""A tiny Stanford-Dogs tree on disk, for the tests of `doggan.data`."""

from pathlib import Path

import cv2
import numpy as np

CHIHUAHUA, BLENHEIM, PAPILLON = (
    "n02085620-Chihuahua",
    "n02086646-Blenheim_spaniel",
    "n02086910-papillon",
)


def picture(width=120, height=90, seed=0):
    """Smooth coloured noise, uint8 [height, width, 3], RGB: places differ, and JPEG changes it little."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (4, 5, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def xml(boxes, size=(120, 90), tags="%s"):
    """An annotation in the published form; `boxes` are tuples of anything."""
    objects = "".join(
        "<object><name>dog</name><bndbox>"
        f"<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    return (
        f"<annotation><folder>{tags}</folder><filename>{tags}</filename>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


class Tree:
    """Writes photographs and annotations below `root`, in the layout `kind`: "stanford" or "kaggle"."""

    def __init__(self, root: Path, kind: str = "kaggle") -> None:
        self.root, self.kind = root, kind

    def photograph_path(self, name, breed=CHIHUAHUA, suffix=".jpg"):
        folder = self.root / ("all-dogs/all-dogs" if self.kind == "kaggle" else f"Images/{breed}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}{suffix}"

    def annotation_path(self, name, breed=CHIHUAHUA):
        folder = self.root / ("annotation/Annotation" if self.kind == "kaggle" else "Annotation") / breed
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def photograph(self, name, data=None, breed=CHIHUAHUA, **kwargs):
        """Write a photograph: `data` as it is, or `picture(**kwargs)` as JPEG of quality 95."""
        if data is None:
            data = cv2.imencode(".jpg", picture(**kwargs)[..., ::-1])[1].tobytes()
        path = self.photograph_path(name, breed)
        path.write_bytes(data)
        return path

    def annotation(self, name, boxes=((20, 10, 80, 70),), breed=CHIHUAHUA, **kwargs):
        """Write an annotation: `boxes` as tuples, or the whole text as a string."""
        path = self.annotation_path(name, breed)
        path.write_text(boxes if isinstance(boxes, str) else xml(boxes, **kwargs), encoding="utf-8")
        return path

    def dog(self, name, boxes=((20, 10, 80, 70),), breed=CHIHUAHUA, **kwargs):
        """A good photograph with its annotation."""
        self.photograph(name, breed=breed, **kwargs)
        self.annotation(name, boxes, breed)
