"""Weights as Keras publishes them: found by their name, known by their hash."""

import hashlib
from pathlib import Path

from doggan.errors import DogganError
from doggan.metrics.inception import default_folders, files_named


def published_weights(path: str | Path | None, name: str, md5: str, remedy: str) -> Path:
    """The file of published weights, whole.

    Args:
        path: the file; None looks for `name` beneath the folders where the Inception weights are looked for too, and in
            Keras' own cache.
        name, md5: of the published file.
        remedy: where to get it, as the end of a sentence.

    Raises:
        DogganError: nothing is found, or the file is not the published one.
    """
    file = find_published(name, remedy) if path is None else Path(path)
    if not file.is_file():
        raise DogganError(f"There is no file {file}; give the path of {name}, or {remedy}.")
    found = md5_of(file)
    if found != md5:
        raise DogganError(f"{file} is not the {name} that Keras publishes (its MD5 is {found}); {remedy}.")
    return file


def find_published(name: str, remedy: str) -> Path:
    """The first file of that name beneath the default folders.

    Raises:
        DogganError: there is none.
    """
    folders = (*default_folders(), Path.home() / ".keras" / "models")
    for folder in folders:
        if found := files_named(folder, (name,)):
            return found[name]
    raise DogganError(
        f"The weights {name} are nowhere to be found (looked beneath {', '.join(map(str, folders))}); {remedy}, or "
        "give the path of the file."
    )


def md5_of(file: Path) -> str:
    """The MD5 of a file, which is what Keras states."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
