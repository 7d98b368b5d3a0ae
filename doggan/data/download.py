"""Getting the published data: data sets, and the Inception network that the scores are computed with.

Nothing here runs unless it is asked for by name; importing this module opens no connection.
"""

import errno
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from doggan.data.archives import extract
from doggan.data.sources import SOURCES, Archive, Kaggle, Published
from doggan.data.transfer import fetch, sha256_of
from doggan.errors import DogganError
from doggan.files import write_text

MANIFEST = "download.json"
"""Written into a downloaded folder last of all: what it was made from, and by it that the folder is whole."""


def download(
    name: str,
    dest: str | os.PathLike[str],
    *,
    source: str = "official",
    progress: bool = True,
    base_url: str | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Download the data set `name` and return the folder that holds it.

    That folder is `dest/name`, except for Kaggle data without archives, which stays in kagglehub's own
    folder. It appears by one rename when everything in it has been fetched, checked and extracted; until then
    the archives and their unfinished parts lie in `dest/name.download`, and the same call goes on from there.
    A folder that an earlier call has finished from the same source is returned at once.

    Args:
        name: a key of `SOURCES`.
        dest: the folder to download into; made when missing.
        source: a key of `SOURCES[name]`.
        progress: show a progress bar for each archive.
        base_url: fetch the archives from under this address (a mirror's) by their published file names;
            lengths and checksums must still be the published ones.
        say: told, line by line, what is done.

    Raises:
        DogganError: an unknown name or source, no network, a file that is not the published one, a hostile
            archive, a full disk, a foreign folder or one from another source in the way, or no kagglehub, key or
            permission for Kaggle.
    """
    chosen = _source(name, source)
    if base_url is not None and isinstance(chosen, Kaggle):
        raise DogganError("Kaggle has no mirrors; leave out the base address, or choose another source.")
    folder = Path(dest) / name
    try:
        if _is_whole(folder, source):
            say(f"{folder} is already downloaded and verified.")
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(chosen, Kaggle):
            return _from_kaggle(chosen, folder, source, say)
        return _from_archives(chosen, folder, source, base_url, progress, say)
    except KeyboardInterrupt:
        say("Interrupted; the same command goes on from here.")
        raise
    except OSError as error:
        raise _disk_error(error, folder) from error


def _source(name: str, source: str) -> Published | Kaggle:
    if name not in SOURCES:
        raise DogganError(f"There is no download called {name!r}; choose from {', '.join(SOURCES)}.")
    if source not in SOURCES[name]:
        raise DogganError(f"{name} has no source called {source!r}; choose from {', '.join(SOURCES[name])}.")
    return SOURCES[name][source]


def _is_whole(folder: Path, source: str) -> bool:
    """Whether an earlier download from `source` finished `folder`; False where there is none.

    Raises:
        DogganError: something else is in the way, or what another source publishes, which may hold less.
    """
    if not folder.exists():
        return False
    with suppress(FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if all((folder / path).exists() for path in manifest["contents"]):
            if manifest["source"] == source:
                return True
            raise DogganError(
                f"{folder} is already downloaded, but from the source {manifest['source']!r}; move it away or "
                f"give another folder to have the one from {source!r}."
            )
    raise DogganError(
        f"{folder} is there but is not a whole download; move it away or delete it, or give another folder."
    )


def _from_archives(
    published: Published,
    folder: Path,
    source: str,
    base_url: str | None,
    progress: bool,
    say: Callable[[str], None],
) -> Path:
    staging = _staging(folder)
    _require_space(published.archives, staging)
    record: dict[str, dict[str, str | int]] = {}
    contents = {**published.contents, **{archive.name: None for archive in published.archives if archive.is_kept}}
    for archive in published.archives:
        url = archive.url if base_url is None else f"{base_url.rstrip('/')}/{archive.name}"
        say(f"Fetching {url} ({archive.size / 1e6:,.1f} MB)")
        digest = fetch(url, staging / archive.name, size=archive.size, sha256=archive.sha256, progress=progress)
        if archive.sha256 is None:
            say(
                f"{archive.name} has the published length and sha256 {digest}; its contents are checked when extracted."
            )
        record[archive.name] = {"url": url, "size": archive.size, "sha256": digest}
    with _new_tree(staging) as tree:
        try:
            for archive in published.archives:
                if archive.is_kept:
                    shutil.copyfile(staging / archive.name, tree / archive.name)
                    continue
                say(f"Extracting {archive.name}")
                extract(staging / archive.name, tree, limit=archive.unpacked)
            _check_contents(tree, contents, folder.name)
        except DogganError:
            # Without a checksum a wrong archive looks right to the next call, which would fail on it forever.
            for archive in published.archives:
                if archive.sha256 is None:
                    (staging / archive.name).unlink(missing_ok=True)
            raise
        return _finish(tree, folder, source, contents, record, say)


def _from_kaggle(kaggle: Kaggle, folder: Path, source: str, say: Callable[[str], None]) -> Path:
    say(f"Asking Kaggle for the {kaggle.kind} {kaggle.handle}")
    received = _ask_kagglehub(kaggle)
    archives = sorted(received.glob("*.zip"))
    if not archives:
        _check_contents(received, kaggle.contents, folder.name)
        say(f"Kaggle's files are in {received}")
        return received
    with _new_tree(_staging(folder)) as tree:
        for archive in archives:
            # As Kaggle's own machines lay them out: all-dogs/all-dogs/…, annotation/Annotation/….
            target = tree / archive.stem.lower()
            target.mkdir()
            say(f"Extracting {archive.name}")
            extract(archive, target, limit=kaggle.unpacked)
        _check_contents(tree, kaggle.contents, folder.name)
        record: dict[str, dict[str, str | int]] = {
            archive.name: {
                "handle": kaggle.handle,
                "size": archive.stat().st_size,
                "sha256": sha256_of(archive),
            }
            for archive in archives
        }
        contents = kaggle.contents or {archive.stem.lower(): None for archive in archives}
        return _finish(tree, folder, source, contents, record, say)


def _ask_kagglehub(kaggle: Kaggle) -> Path:
    """Let kagglehub fetch the files into its own cache, and return the folder."""
    try:
        kagglehub = importlib.import_module("kagglehub")
        exceptions = importlib.import_module("kagglehub.exceptions")
    except ImportError as error:
        raise DogganError(
            f"Kaggle's downloader cannot be imported ({error}); install it with `pip install 'doggan[kaggle]'`."
        ) from error
    try:
        return Path(getattr(kagglehub, f"{kaggle.kind}_download")(kaggle.handle))
    except (exceptions.UnauthenticatedError, exceptions.CredentialError) as error:
        raise DogganError(
            "Kaggle wants to know who asks: create a key at https://www.kaggle.com/settings and put it into "
            "~/.kaggle/kaggle.json, or set KAGGLE_USERNAME and KAGGLE_KEY."
        ) from error
    # requests' exceptions are OSErrors; a kaggle.json that is not JSON is a ValueError.
    except (
        OSError,
        ValueError,
        exceptions.BackendError,
        exceptions.NotFoundError,
        exceptions.DataCorruptionError,
        exceptions.KaggleEnvironmentError,
    ) as error:
        page = {"competition": "competitions", "dataset": "datasets"}[kaggle.kind]
        address = f"https://www.kaggle.com/{page}/{kaggle.handle}"
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
            raise DogganError(
                f"Kaggle refuses {kaggle.handle} to this key; check the key, and accept the rules at {address}."
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DogganError(f"Kaggle did not hand out {address} ({reason}); mend that or use another source.") from error


def _check_contents(tree: Path, contents: Mapping[str, str | None], name: str) -> None:
    for path, sha256 in contents.items():
        if not (tree / path).exists():
            raise DogganError(f"{name} came without {path}, so it is not what was published; get it elsewhere.")
        if sha256 is not None and (digest := sha256_of(tree / path)) != sha256:
            raise DogganError(
                f"{path} of {name} does not have the published checksum (sha256 {digest} instead of "
                f"{sha256}), so it is not used; run the command again, and if it repeats, get the file "
                "elsewhere."
            )


def _finish(
    tree: Path,
    folder: Path,
    source: str,
    contents: Mapping[str, str | None],
    record: Mapping[str, Mapping[str, str | int]],
    say: Callable[[str], None],
) -> Path:
    """Write the manifest into the complete `tree`, make it `folder` by a rename, and drop the archives."""
    manifest = {"name": folder.name, "source": source, "contents": list(contents), "archives": record}
    write_text(tree / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    # mkdtemp makes folders that only their owner may read.
    umask = os.umask(0)
    os.umask(umask)
    tree.chmod(0o777 & ~umask)
    tree.replace(folder)
    shutil.rmtree(folder.with_name(f"{folder.name}.download"))
    say(f"{folder} is downloaded and verified.")
    return folder


def _staging(folder: Path) -> Path:
    """The folder for unfinished work, beside the final one so that a rename moves between them."""
    staging = folder.with_name(f"{folder.name}.download")
    staging.mkdir(exist_ok=True)
    return staging


@contextmanager
def _new_tree(staging: Path) -> Iterator[Path]:
    """Yield a new folder to extract into, which is removed afterwards unless it was renamed."""
    tree = Path(tempfile.mkdtemp(prefix="tree-", dir=staging))
    try:
        yield tree
    finally:
        if tree.exists():
            shutil.rmtree(tree)


def _require_space(archives: tuple[Archive, ...], staging: Path) -> None:
    here = sum(file.stat().st_size for file in staging.iterdir() if file.is_file())
    needed = sum(archive.size + archive.unpacked for archive in archives) - here
    free = shutil.disk_usage(staging).free
    if free < needed:
        raise DogganError(
            f"{staging.parent} has {free / 1e9:.2f} GB free, but {needed / 1e9:.2f} GB are needed for the "
            "archives and what they unpack to; free some space, or give a folder on another disk."
        )


def _disk_error(error: OSError, folder: Path) -> DogganError:
    where = error.filename or folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DogganError(
            f"The disk of {where} is full; free some space and run the same command again, which goes on from here."
        )
    return DogganError(f"{where} cannot be used ({error.strerror or error}); give another folder.")
