"""`ImageSet`: the one form in which pictures travel through the package, and its file."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.files import atomic_path

FORMAT_VERSION = 1
TRAIN, HELDOUT = 0, 1


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one size with what is known of each.

    Attributes:
        images: uint8 [N, H, W, C], RGB (C = 3) or grey (C = 1), 0 to 255.
        labels: int32 [N], an index into `class_names`, or None where there are no classes.
        class_names: one name per class, in label order; empty without labels.
        source_ids: str [N], the photograph each picture was taken from (several may share one).
        boxes: int32 [N, 4], xmin, ymin, xmax, ymax in pixels of the photograph: the half-open region that was
            cut out, in the frame that its annotation uses (as a rule that of the file as stored, before EXIF
            turns it); zeros where there was no larger photograph.
        split: uint8 [N], 0 for training (`TRAIN`) and 1 for held-out (`HELDOUT`) pictures.
        crop: the rule the pictures were cut out by ("square", ...), or "" where none is known.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32] | None
    class_names: tuple[str, ...]
    source_ids: NDArray[np.str_]
    boxes: NDArray[np.int32]
    split: NDArray[np.uint8]
    crop: str = ""

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or min(shape[1:3]) < 1:
            raise ValueError(f"images must be uint8 [N,H,W,1 or 3], not {self.images.dtype} {shape}")
        n = len(self.images)
        if self.labels is not None and (self.labels.shape != (n,) or self.labels.dtype != np.int32):
            raise ValueError(f"labels must be int32 [{n}], not {self.labels.dtype} {self.labels.shape}")
        if self.labels is not None and not np.isin(self.labels, range(len(self.class_names))).all():
            raise ValueError(f"labels reach outside the {len(self.class_names)} class names")
        for name, expected in {"source_ids": (n,), "boxes": (n, 4), "split": (n,)}.items():
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name} must have shape {expected}, not {getattr(self, name).shape}")
        if not np.issubdtype(self.boxes.dtype, np.integer):
            raise ValueError(f"boxes must be whole pixels, not {self.boxes.dtype}")
        if self.split.dtype != np.uint8 or not np.isin(self.split, (TRAIN, HELDOUT)).all():
            raise ValueError("split must be uint8, 0 for training and 1 for held-out pictures")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every picture."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice) -> "ImageSet":
        """The pictures at `index` (anything NumPy takes along the first axis), classes kept."""
        return replace(
            self,
            images=self.images[index],
            labels=None if self.labels is None else self.labels[index],
            source_ids=self.source_ids[index],
            boxes=self.boxes[index],
            split=self.split[index],
        )

    def training(self) -> "ImageSet":
        """The pictures that training may see."""
        return self.select(self.split == TRAIN)

    def heldout(self) -> "ImageSet":
        """The pictures that training never sees."""
        return self.select(self.split == HELDOUT)

    def save(self, path: str | Path) -> None:
        """Write an `.npz` (atomically, without pickle): this class's fields and `format_version`."""
        arrays: dict[str, Any] = {
            "format_version": np.int32(FORMAT_VERSION),
            "images": self.images,
            "class_names": np.array(self.class_names, dtype=np.str_),
            "source_ids": self.source_ids.astype(np.str_),
            "boxes": self.boxes,
            "split": self.split,
            "crop": np.array(self.crop, dtype=np.str_),
        }
        if self.labels is not None:
            arrays["labels"] = self.labels
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "ImageSet":
        """Read what `save` wrote.

        Raises:
            DogganError: the file is missing, is not an image set, or is of a newer format.
        """
        path = Path(path)
        try:
            opened = np.load(path, allow_pickle=False)
            if not isinstance(opened, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            with opened as file:
                version = int(file["format_version"])
                if version > FORMAT_VERSION:
                    raise DogganError(
                        f"{path} has format version {version}, newer than this doggan knows; update doggan."
                    )
                return cls(
                    images=file["images"],
                    labels=file.get("labels"),
                    class_names=tuple(str(name) for name in file["class_names"]),
                    source_ids=file["source_ids"],
                    boxes=file["boxes"],
                    split=file["split"],
                    crop=str(file["crop"]) if "crop" in file else "",  # older files do not say
                )
        except FileNotFoundError:
            raise DogganError(f"{path} does not exist; make it with `doggan prepare`.") from None
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DogganError(
                f"{path} is not an image set written by `doggan prepare` ({error}); make it again."
            ) from None


def hash_images(images: NDArray[np.uint8], labels: NDArray[np.int32] | None = None) -> str:
    """sha256 of the pictures' shape and bytes, and of the labels where they matter too."""
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    if labels is not None:
        digest.update(labels.astype("<i4").tobytes())
    return digest.hexdigest()
