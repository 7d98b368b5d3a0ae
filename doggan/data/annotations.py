"""Annotations of Stanford Dogs: one XML file per photograph, one box per dog."""

import math
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError
from xml.etree.ElementTree import fromstring as parse_plain

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring as parse_guarded

from doggan.data.faults import Fault, Reason
from doggan.errors import DogganError

PHOTOGRAPH_ID = re.compile(r"n\d{8}_\d+")  # as published and as drawn
BREED_FOLDER = re.compile(r"(?P<synset>n\d{8})-(?P<breed>.+)")


@dataclass(frozen=True)
class BoundingBox:
    """A rectangle in pixels of the photograph: columns xmin to xmax - 1, rows ymin to ymax - 1."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int

    @property
    def width(self) -> int:
        return self.xmax - self.xmin

    @property
    def height(self) -> int:
        return self.ymax - self.ymin


@dataclass(frozen=True)
class Annotation:
    """What one XML file says.

    Attributes:
        source_id: the photograph's id, such as "n02085620_7": the name of the file itself.
        synset: WordNet id of the breed, such as "n02085620", from the folder.
        breed: the breed's name, such as "Chihuahua", from the folder; hyphens and underscores as published.
        width, height: the photograph's size in pixels as the file states it; 0 where it states none.
        objects: how many objects the file holds.
        boxes: (number of the object from 1, box) of each object whose box is usable, in the file's order.
            Boxes may reach outside the photograph.
        faults: the objects whose box is not usable, with the reason.
    """

    source_id: str
    synset: str
    breed: str
    width: int
    height: int
    objects: int
    boxes: tuple[tuple[int, BoundingBox], ...]
    faults: tuple[Fault, ...] = ()


class AnnotationError(DogganError):
    """The whole file is unusable; `fault` says why."""

    def __init__(self, path: Path, fault: Fault) -> None:
        super().__init__(f"{path}: {fault.reason} ({fault.detail}); mend it or remove it.")
        self.fault = fault


class _BoxError(ValueError):
    """The box of one object is unusable."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def source_id(path: Path) -> str:
    """The photograph's id for the path of a photograph (any suffix) or an annotation (no suffix, or `.xml`).

    Composed and decomposed accents give the same id, because archives unpacked on different systems differ in
    that; bytes that are not UTF-8 are escaped, so that every id can be printed and saved.
    """
    return readable(path.stem if path.suffix.lower() in PHOTOGRAPH_SUFFIXES | {".xml"} else path.name)


def readable(name: str) -> str:
    """The name of a file or folder, as `source_id` gives it: precomposed, and escaped where it is not UTF-8."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


PHOTOGRAPH_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


def parse_annotation(path: str | os.PathLike[str]) -> Annotation:
    """Read one annotation file.

    The id is the file's own name and the breed that of its folder (`n02085620-Chihuahua/n02085620_7`): the
    `<folder>` and `<filename>` tags are not read, since 624 of the published files say `%s` there.

    Raises:
        AnnotationError: the file is not well-formed XML with an `<annotation>` root, declares entities (the
            "billion laughs" and external entities), or cannot be opened; or its folder is not named
            `<synset>-<breed>`.
    """
    path = Path(path)
    name = source_id(path)
    folder = BREED_FOLDER.fullmatch(path.parent.name)
    if folder is None:
        raise AnnotationError(path, Fault(Reason.BROKEN_ANNOTATION, name, "its folder is not named <synset>-<breed>"))
    try:
        data = path.read_bytes()
        # A document type, where entities are declared, can only come before the root element. The published
        # files begin with theirs, so the fast parser is safe for them.
        root = parse_plain(data) if data.startswith(b"<annotation>") else parse_guarded(data)
    except DefusedXmlException as error:
        raise AnnotationError(path, Fault(Reason.UNSAFE_ANNOTATION, name, type(error).__name__)) from None
    except (ParseError, OSError, LookupError, ValueError) as error:
        raise AnnotationError(path, Fault(Reason.BROKEN_ANNOTATION, name, str(error))) from None
    if root.tag != "annotation":
        raise AnnotationError(path, Fault(Reason.BROKEN_ANNOTATION, name, f"its root is <{root.tag}>"))

    objects = root.findall("object")
    boxes, faults = [], []
    for number, element in enumerate(objects, start=1):
        try:
            boxes.append((number, _bounding_box(element)))
        except _BoxError as error:
            faults.append(Fault(error.reason, f"{name} object {number}", error.detail))
    return Annotation(
        source_id=name,
        synset=folder["synset"],
        breed=folder["breed"],
        width=_stated_size(root, "width"),
        height=_stated_size(root, "height"),
        objects=len(objects),
        boxes=tuple(boxes),
        faults=tuple(faults),
    )


def class_names(folders: Iterable[str]) -> dict[str, str]:
    """The class name of each breed folder, in sorted order of the folders, which is the order of the synsets.

    The name is the folder's without its synset (`n02085620-Chihuahua` → `Chihuahua`). Two folders that would
    share a name, which the published 120 do not, keep their synsets.
    """
    ordered = sorted(set(folders))
    short = {folder: readable(folder).partition("-")[2] for folder in ordered}
    shared = {name for name in short.values() if list(short.values()).count(name) > 1}
    return {folder: readable(folder) if name in shared else name for folder, name in short.items()}


def _bounding_box(element: Element) -> BoundingBox:
    corners = [_corner(element, tag) for tag in ("xmin", "ymin", "xmax", "ymax")]
    box = BoundingBox(*corners)
    detail = f"{box.xmin}, {box.ymin}, {box.xmax}, {box.ymax}"
    if box.width < 0 or box.height < 0:
        raise _BoxError(Reason.BOX_INVERTED, detail)
    if box.width == 0 or box.height == 0:
        raise _BoxError(Reason.BOX_EMPTY, detail)
    return box


def _corner(element: Element, tag: str) -> int:
    text = element.findtext(f"bndbox/{tag}")
    if text is None:
        raise _BoxError(Reason.BOX_NOT_A_NUMBER, f"no <{tag}>")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _BoxError(Reason.BOX_NOT_A_NUMBER, f"<{tag}> is {text.strip()!r}")
    return round(value)


def _stated_size(root: Element, tag: str) -> int:
    text = (root.findtext(f"size/{tag}") or "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else 0
