"""What `prepare` did, in numbers and in words."""

from dataclasses import dataclass
from pathlib import Path

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
        names = {reason: tuple(fault.name for fault in self.faults if fault.reason is reason) for reason in Reason}
        return {reason: these for reason, these in names.items() if these}

    def count(self, reason: Reason) -> int:
        """How many faults have this reason."""
        return len(self.by_reason().get(reason, ()))

    def __str__(self) -> str:
        lines = [
            f"{self.photographs:,} photographs and {self.annotations:,} annotations ({self.layout} layout)",
            f"{self.boxes:,} boxes on {self.photographs_read:,} photographs with both",
            f"{self.pictures:,} pictures of {self.size}×{self.size}, crop {self.crop}, {self.classes} breeds"
            f": {self.training:,} for training, {self.heldout:,} held out",
        ]
        for reason, names in self.by_reason().items():
            more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
            lines.append(f"{reason.action}: {len(names):,} × {reason}: {', '.join(names[:_NAMES_SHOWN])}{more}")
        lines.append(f"{self.out} in {self.seconds:.1f} s, {self.photographs_per_second:,.0f} photographs a second")
        return "\n".join(lines)
