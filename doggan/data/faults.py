"""What can be wrong with a photograph, its annotation or a box, and what is done about it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """Why something in the source was not used as it stands. The text is what the summary prints."""

    NO_PHOTOGRAPH = "annotation without a photograph"
    NO_ANNOTATION = "photograph without an annotation"
    TWICE = "second file with the same id"
    UNREADABLE_PHOTOGRAPH = "photograph that is truncated or not a picture"
    BROKEN_ANNOTATION = "annotation that is not well-formed XML"
    UNSAFE_ANNOTATION = "annotation that declares XML entities"
    NO_OBJECT = "annotation without an object"
    BOX_NOT_A_NUMBER = "box whose corners are not numbers"
    BOX_INVERTED = "inverted box"
    BOX_EMPTY = "empty box"
    BOX_OUTSIDE = "box wholly outside the photograph"
    BOX_CLAMPED = "box reaching outside the photograph"
    SIZE_DIFFERS = "annotation that states another size than the photograph's"

    @property
    def action(self) -> str:
        """What happens to the thing: it is "skipped", "clamped" to the photograph, or "kept" and reported."""
        return {Reason.BOX_CLAMPED: "clamped", Reason.SIZE_DIFFERS: "kept"}.get(self, "skipped")


@dataclass(frozen=True)
class Fault:
    """One thing that was skipped, clamped or kept with a remark.

    Attributes:
        reason: why.
        name: the id of the photograph, followed by "object k" (from 1) where a box is meant.
        detail: what was seen, to help find it; may be empty.
        path: the file at fault, where it is not the annotation (or, for want of one, the photograph) of that id.
    """

    reason: Reason
    name: str
    detail: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" + (f" ({self.detail})" if self.detail else "")
