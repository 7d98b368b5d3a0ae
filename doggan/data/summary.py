"""What preparing a data set did, in numbers and in words."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from doggan.data.faults import Fault, Reason

_NAMES_SHOWN = 10


@dataclass(frozen=True)
class PrepareSummary:
    """Counts, faults and times of one `prepare`.

    Attributes:
        out: the file written.
        layout: "stanford" or "kaggle".
        photographs, annotations: files found.
        photographs_read: those that have both, which are opened.
        boxes: objects in the annotations of the photographs read.
        pictures: crops written, of which `training` and `heldout`.
        classes: breeds that a picture shows.
        size: side of the pictures.
        crop: name of the crop rule.
        faults: all that was skipped, clamped or kept with a remark.
        seconds: from the call to the file.
    """

    out: Path
    layout: str
    photographs: int
    annotations: int
    photographs_read: int
    boxes: int
    pictures: int
    training: int
    heldout: int
    classes: int
    size: int
    crop: str
    faults: tuple[Fault, ...]
    seconds: float

    @property
    def photographs_per_second(self) -> float:
        return self.photographs_read / self.seconds

    def by_reason(self) -> dict[Reason, tuple[str, ...]]:
        """The names of what was at fault, for each reason that occurred, in the order of `Reason`."""
        return names_by_reason(self.faults)

    def count(self, reason: Reason) -> int:
        """How many faults have this reason."""
        return len(self.by_reason().get(reason, ()))

    def as_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON has; of faults their names by reason."""
        return _as_dict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.photographs:,} photographs and {self.annotations:,} annotations ({self.layout} layout)",
            f"{self.boxes:,} boxes on {self.photographs_read:,} photographs with both",
            f"{self.pictures:,} pictures of {self.size}×{self.size}, crop {self.crop}, {self.classes} breeds"
            f": {self.training:,} for training, {self.heldout:,} held out",
        ]
        lines += _fault_lines(self.faults)
        lines.append(f"{self.out} in {self.seconds:.1f} s, {self.photographs_per_second:,.0f} photographs a second")
        return "\n".join(lines)


@dataclass(frozen=True)
class DatasetSummary:
    """Counts, faults and times of preparing a data set other than Stanford Dogs.

    Attributes:
        out: the file written.
        dataset: its name, a key of `datasets.DATASETS`.
        training, heldout: pictures written of either split.
        classes: those that a picture shows; 0 where pictures have no labels.
        size: side of the pictures.
        channels: 1 (grey) or 3 (RGB).
        crop: name of the crop rule.
        faults: all that was left out.
        seconds: from the call to the file.
    """

    out: Path
    dataset: str
    training: int
    heldout: int
    classes: int
    size: int
    channels: int
    crop: str
    faults: tuple[Fault, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON has; of faults their names by reason."""
        return _as_dict(self)

    def __str__(self) -> str:
        pictures = self.training + self.heldout
        colours = "grey" if self.channels == 1 else "RGB"
        classes = f"{self.classes} {'class' if self.classes == 1 else 'classes'}" if self.classes else "no labels"
        lines = [
            f"{pictures:,} {colours} pictures of {self.size}×{self.size} ({self.dataset}), crop {self.crop}, {classes}"
            f": {self.training:,} for training, {self.heldout:,} held out",
            *_fault_lines(self.faults),
            f"{self.out} in {self.seconds:.1f} s, {pictures / self.seconds:,.0f} pictures a second",
        ]
        return "\n".join(lines)


def _as_dict(summary: "PrepareSummary | DatasetSummary") -> dict[str, Any]:
    told = {field.name: getattr(summary, field.name) for field in fields(summary)}
    faults = {reason.name.lower(): list(names) for reason, names in names_by_reason(summary.faults).items()}
    return told | {"out": str(summary.out), "faults": faults}


def names_by_reason(faults: Sequence[Fault]) -> dict[Reason, tuple[str, ...]]:
    """The names of what was at fault, for each reason that occurred, in the order of `Reason`."""
    names = {reason: tuple(fault.name for fault in faults if fault.reason is reason) for reason in Reason}
    return {reason: these for reason, these in names.items() if these}


def _fault_lines(faults: Sequence[Fault]) -> list[str]:
    lines = []
    for reason, names in names_by_reason(faults).items():
        more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
        lines.append(f"{reason.action}: {len(names):,} × {reason}: {', '.join(names[:_NAMES_SHOWN])}{more}")
    return lines
