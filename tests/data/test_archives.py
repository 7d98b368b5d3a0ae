"""Extraction: what must come out does, and nothing hostile reaches the disk."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from doggan.data.archives import extract, read_bounded, read_members
from doggan.errors import DogganError

LIMIT = 1_000_000


def make_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for info, data in members:
            info.size = len(data) or info.size
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def make_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "tree"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def nothing_escapes(tmp_path: Path, folder: Path):
    """Whatever the archive does, only the folder it is extracted to may change."""
    outside = tmp_path / "outside.txt"
    outside.write_text("untouched")

    def others() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if folder not in path.parents and path.suffix != ".tar"}

    before = others()
    yield
    assert others() - {tmp_path / "a.zip", tmp_path / "a.tgz"} == before
    assert outside.read_text() == "untouched"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_is_extracted(tmp_path, folder, mode):
    directory = member("Images/n02085620-Chihuahua", tarfile.DIRTYPE)
    picture = member("Images/n02085620-Chihuahua/n02085620_7.jpg")
    archive = make_tar(tmp_path / "any.name", (directory, b""), (picture, b"jpeg"), mode=mode)
    extract(archive, folder, limit=LIMIT)
    assert (folder / "Images/n02085620-Chihuahua/n02085620_7.jpg").read_bytes() == b"jpeg"


def test_zip_is_extracted(tmp_path, folder):
    extract(make_zip(tmp_path / "any.name", ("all-dogs/ü n.jpg", b"jpeg")), folder, limit=LIMIT)
    assert (folder / "all-dogs/ü n.jpg").read_bytes() == b"jpeg"


def test_exactly_the_limit_is_allowed_and_one_byte_more_is_not(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar", (member("a"), b"x" * 5000))
    extract(archive, folder, limit=archive.stat().st_size)
    with pytest.raises(DogganError, match="unpacks to more than"):
        extract(archive, folder, limit=archive.stat().st_size - 1)


@pytest.mark.usefixtures("nothing_escapes")
@pytest.mark.parametrize(
    "hostile",
    [
        member("../escaped"),
        member("a/../../escaped"),
        member("a\\..\\..\\escaped"),
        member("/escaped"),
        member("C:/escaped"),
        member("C:escaped"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "inside"),
        member("link", tarfile.LNKTYPE, "../outside.txt"),
        member("device", tarfile.CHRTYPE),
        member("device", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}",
)
def test_hostile_tar_members_are_refused(tmp_path, folder, hostile):
    archive = make_tar(tmp_path / "a.tar", (member("good"), b"good"), (hostile, b""))
    with pytest.raises(DogganError, match=r"a\.tar is not extracted, because its member") as caught:
        extract(archive, folder, limit=LIMIT)
    assert repr(hostile.name) in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["good"]


@pytest.mark.usefixtures("nothing_escapes")
def test_writing_through_a_link_is_refused(tmp_path, folder):
    archive = make_tar(
        tmp_path / "a.tar",
        (member("door", tarfile.SYMTYPE, "../.."), b""),
        (member("door/outside.txt"), b"overwritten"),
    )
    with pytest.raises(DogganError, match="'door' is neither a regular file nor a folder"):
        extract(archive, folder, limit=LIMIT)


def test_an_old_link_in_the_folder_is_not_followed_out_of_it(tmp_path, folder):
    (folder / "door").symlink_to(tmp_path)
    archive = make_tar(tmp_path / "a.tar", (member("door/escaped"), b"overwritten"))
    with pytest.raises(DogganError, match="outside the destination"):
        extract(archive, folder, limit=LIMIT)
    assert not (tmp_path / "escaped").exists()


def test_tar_bomb_is_stopped_early(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tgz", (member("zeros"), bytes(50_000_000)), mode="w:gz")
    assert archive.stat().st_size < 100_000
    with pytest.raises(DogganError, match="unpacks to more than the 1,000,000 bytes"):
        extract(archive, folder, limit=LIMIT)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LIMIT


def test_bomb_in_a_tar_header_is_stopped(tmp_path, folder):
    archive = tmp_path / "a.tgz"
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(50_000_000)))
    with pytest.raises(DogganError, match="unpacks to more than"):
        extract(archive, folder, limit=LIMIT)


def sparse_tar(path: Path) -> Path:
    """A member of half a kilobyte that claims to be a file of 4 GB."""
    info = tarfile.TarInfo("sparse")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"%011o\0" % (1 << 32)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    path.write_bytes(bytes(header[:512]) + bytes(1024))
    return path


def test_sparse_tar_member_is_refused(tmp_path, folder):
    archive = sparse_tar(tmp_path / "a.tar")
    with pytest.raises(DogganError, match="'sparse' is neither"):
        extract(archive, folder, limit=LIMIT)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("nothing_escapes")
@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/escaped", "C:/escaped", "a\\..\\b"])
def test_zip_slip_is_refused(tmp_path, folder, name):
    archive = make_zip(tmp_path / "a.zip", (name, b"bad"))
    with pytest.raises(DogganError, match="points out of the folder"):
        extract(archive, folder, limit=LIMIT)
    assert list(folder.iterdir()) == []


def test_zip_link_is_refused(tmp_path, folder):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DogganError, match="'link' is neither a regular file nor a folder"):
        extract(make_zip(tmp_path / "a.zip", (link, b"/etc/passwd")), folder, limit=LIMIT)


def test_zip_bomb_is_refused_before_anything_is_written(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("small", b"x"), ("zeros", bytes(20_000_000)))
    with pytest.raises(DogganError, match="unpacks to more than"):
        extract(archive, folder, limit=LIMIT)
    assert list(folder.iterdir()) == []


def test_zip_that_lies_about_its_size_is_stopped(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("zeros", bytes(5_000_000)))
    data = archive.read_bytes()
    archive.write_bytes(data.replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DogganError, match="not a whole tar or zip"):
        extract(archive, folder, limit=LIMIT)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10


def test_encrypted_zip_is_refused(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("secret", b"x"))
    data = bytearray(archive.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DogganError, match="is encrypted"):
        extract(archive, folder, limit=LIMIT)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("make", ["tar", "tgz", "zip"])
def test_truncated_archives_are_refused(tmp_path, folder, make, keep):
    data = os.urandom(20_000)
    archive = tmp_path / f"a.{make}"
    if make == "zip":
        make_zip(archive, ("a", data))
    else:
        make_tar(archive, (member("a"), data), mode="w:gz" if make == "tgz" else "w")
    archive.write_bytes(archive.read_bytes()[: int(keep * 20_000)])
    with pytest.raises(DogganError, match="is not a whole tar or zip archive"):
        extract(archive, folder, limit=LIMIT)


@pytest.mark.parametrize("content", [b"", b"<html>log in first</html>", b"\x1f\x8bnot gzip", b"PK\x03\x04x"])
def test_what_is_no_archive_is_refused(tmp_path, folder, content):
    (tmp_path / "page.tar").write_bytes(content)
    with pytest.raises(DogganError, match=r"page\.tar is not a whole tar or zip archive"):
        extract(tmp_path / "page.tar", folder, limit=LIMIT)


def test_python_without_the_data_filter_says_so(tmp_path, folder, monkeypatch):
    archive = make_tar(tmp_path / "a.tar", (member("a"), b"x"))
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DogganError, match=r"update to Python 3\.11\.4"):
        extract(archive, folder, limit=LIMIT)


# Reading without extracting


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_are_read_by_name_and_others_passed_over(tmp_path, mode):
    names = ("a/one", "a/other", "a/two")
    archive = make_tar(tmp_path / "any.name", *((member(name), name.encode()) for name in names), mode=mode)
    assert list(read_members(archive, {"a/two", "a/one"}, limit=LIMIT)) == [("a/one", b"a/one"), ("a/two", b"a/two")]
    assert list(read_members(archive, {"one"}, limit=LIMIT)) == []


def test_members_that_are_no_plain_files_are_passed_over(tmp_path):
    link = make_tar(tmp_path / "a.tar", (member("link", tarfile.SYMTYPE, "/etc/passwd"), b""))
    assert list(read_members(link, {"link"}, limit=LIMIT)) == []
    assert list(read_members(sparse_tar(tmp_path / "b.tar"), {"sparse"}, limit=LIMIT)) == []


def test_the_limit_and_the_checksum_cover_what_is_passed_over(tmp_path):
    archive = make_tar(tmp_path / "a.tgz", (member("a"), b"x"), (member("b"), bytes(50_000)), mode="w:gz")
    with pytest.raises(DogganError, match="unpacks to more than"):
        list(read_members(archive, {"a"}, limit=40_000))
    archive.write_bytes(archive.read_bytes()[:-8] + bytes(8))
    with pytest.raises(DogganError, match=r"a\.tgz is not a whole tar archive \(CRC check failed"):
        list(read_members(archive, {"a"}, limit=LIMIT))


@pytest.mark.parametrize("packed", [False, True])
def test_a_bounded_file_is_read_plain_or_unpacked(tmp_path, packed):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"x" * 1000) if packed else b"x" * 1000)
    assert read_bounded(path, 1000) == b"x" * 1000
    with pytest.raises(DogganError, match="a holds more than the 999 bytes"):
        read_bounded(path, 999)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DogganError, match=r"absent cannot be read \(No such file or directory\)"):
        read_bounded(tmp_path / "absent", 10)
    with pytest.raises(DogganError, match=r"absent cannot be read \(No such file or directory\)"):
        list(read_members(tmp_path / "absent", {"a"}, limit=10))
