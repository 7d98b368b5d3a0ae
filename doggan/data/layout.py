"""Finding photographs and annotations in a folder, in either of the two published layouts."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from doggan.data.annotations import BREED_FOLDER, PHOTOGRAPH_SUFFIXES, source_id
from doggan.data.faults import Fault, Reason
from doggan.errors import DogganError

_MAX_DEPTH = 5  # /kaggle/input/competitions/generative-dog-images/all-dogs/all-dogs is 4 below /kaggle/input


class NoLayout(DogganError):
    """A folder without photographs or without annotations, as `find_layout` looks for them."""


@dataclass(frozen=True)
class Layout:
    """Where a source keeps its photographs and annotations.

    Attributes:
        kind: "stanford" (a folder per breed) or "kaggle" (one flat folder of photographs).
        photograph_folder, annotation_folder: the two folders found.
        photographs, annotations: id → path, in sorted order of the ids.
        faults: files whose id another file has already, which are left out.
    """

    kind: str
    photograph_folder: Path
    annotation_folder: Path
    photographs: dict[str, Path]
    annotations: dict[str, Path]
    faults: tuple[Fault, ...] = ()


def find_layout(source: str | os.PathLike[str]) -> Layout:
    """Look through `source` and the folders in it for Stanford Dogs.

    Photographs are `Images/<synset-breed>/*.jpg` (as published by Stanford) or `all-dogs/*.jpg` (as on
    Kaggle, where a second `all-dogs` holds that); annotations are `Annotation/<synset-breed>/<id>` for both.
    A folder counts when both its name (in upper or lower case) and its content fit, at any depth down to five
    folders below `source`; hidden files and folders do not count.

    Raises:
        NoLayout: `source` holds no photographs or no annotations.
        DogganError: it is missing, no folder or not readable, or holds more than one folder that could be meant.
    """
    source = Path(source)
    if not source.exists():
        raise DogganError(
            f"{source} does not exist; name the folder that holds the photographs and annotations, or fetch "
            "them with `doggan download stanford-dogs`."
        )
    if not source.is_dir():
        raise DogganError(f"{source} is a file; unpack it and name the folder it was unpacked to.")

    found: dict[str, list[Path]] = {"stanford": [], "kaggle": [], "annotation": []}
    for folder in _folders(source):
        kind = _PUBLISHED_NAMES.get(folder.name.lower())
        if kind and next(_FILES_OF[kind](folder), None) is not None:
            found[kind].append(folder)

    photograph_folder = _only_one(
        source,
        found["stanford"] + found["kaggle"],
        "photographs",
        "Images/<synset-breed>/*.jpg or all-dogs/*.jpg",
    )
    annotation_folder = _only_one(source, found["annotation"], "annotations", "Annotation/<synset-breed>/<id>")
    kind = "stanford" if photograph_folder in found["stanford"] else "kaggle"
    photographs, twice = by_id(_FILES_OF[kind](photograph_folder))
    annotations, twice_annotated = by_id(_FILES_OF["annotation"](annotation_folder))
    return Layout(kind, photograph_folder, annotation_folder, photographs, annotations, (*twice, *twice_annotated))


def is_photograph(path: Path) -> bool:
    """Whether its name ends as a picture's does, in upper or lower case."""
    return path.suffix.lower() in PHOTOGRAPH_SUFFIXES


def _flat_photographs(folder: Path) -> Iterator[Path]:
    return (path for path in entries(folder)[1] if is_photograph(path))


def _breed_photographs(folder: Path) -> Iterator[Path]:
    return (path for path in _breed_files(folder) if is_photograph(path))


def _annotation_files(folder: Path) -> Iterator[Path]:
    return (path for path in _breed_files(folder) if not is_photograph(path))


def _breed_files(folder: Path) -> Iterator[Path]:
    for breed in entries(folder)[0]:
        if BREED_FOLDER.fullmatch(breed.name):
            yield from entries(breed)[1]


_PUBLISHED_NAMES = {
    "images": "stanford",
    "all-dogs": "kaggle",
    "annotation": "annotation",
    "annotations": "annotation",
}
_FILES_OF: dict[str, Callable[[Path], Iterator[Path]]] = {
    "stanford": _breed_photographs,
    "kaggle": _flat_photographs,
    "annotation": _annotation_files,
}


def _folders(source: Path) -> Iterator[Path]:
    """`source` and the folders below it, level by level, each real folder once, breeds' folders left out."""
    queue = deque([(source, 0)])
    seen = set()
    while queue:
        folder, depth = queue.popleft()
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        yield folder
        if depth < _MAX_DEPTH:
            queue.extend((child, depth + 1) for child in entries(folder)[0] if not BREED_FOLDER.fullmatch(child.name))


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """(folders, files) directly in `folder`, each sorted by name, without hidden ones.

    A link that leads nowhere counts as a file, so that whoever opens it says so. Pipes and devices are neither.

    Raises:
        DogganError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda e: e.name)
            folders = [folder / entry.name for entry in entries if not _leads_nowhere(entry) and entry.is_dir()]
            return folders, [folder / entry.name for entry in entries if _leads_nowhere(entry) or entry.is_file()]
    except OSError as error:
        raise DogganError(f"{folder} cannot be listed ({error.strerror}); make it readable.") from None


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not Path(entry.path).exists()


def _only_one(source: Path, folders: list[Path], what: str, pattern: str) -> Path:
    if not folders:
        raise NoLayout(
            f"{source} holds no {what}: {pattern} was not found in it; unpack the published archive there, "
            "or fetch it with `doggan download stanford-dogs`."
        )
    if len(folders) > 1:
        names = " and ".join(str(folder) for folder in folders)
        raise DogganError(f"{source} holds more than one folder of {what}: {names}; name a folder that holds only one.")
    return folders[0]


def by_id(paths: Iterable[Path], name_of: Callable[[Path], str] = source_id) -> tuple[dict[str, Path], list[Fault]]:
    """(id → path in sorted order of the ids, the files whose id another has already)."""
    found: dict[str, Path] = {}
    faults = []
    for path in paths:
        name = name_of(path)
        if name in found:
            faults.append(Fault(Reason.TWICE, name, f"{path} beside {found[name]}", path))
        else:
            found[name] = path
    return dict(sorted(found.items())), faults
