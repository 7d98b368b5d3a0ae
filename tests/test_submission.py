"""The zip: independent readers read it, its bytes repeat, and every way to be wrong has its sentence."""

import io
import struct
import threading
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from doggan.errors import DogganError
from doggan.submission import check_submission, read_pictures, read_submission, write_submission

N = 20


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (N, 64, 64, 3), dtype=np.uint8)


def png(pixels, mode=None, kind="PNG"):
    """A picture encoded by Pillow."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


@pytest.fixture
def write_zip(tmp_path, images):
    """Write a submission with Pillow and zipfile, some members replaced ({name: bytes, or None for none})."""

    def write(changes=(), **options):
        members = {f"{i}.png": png(image) for i, image in enumerate(images)} | dict(changes)
        path = tmp_path / "images.zip"
        with zipfile.ZipFile(path, "w", **options) as archive:
            for name, data in members.items():
                if data is not None:
                    archive.writestr(name, data)
        return path

    return write


def refused(path, count=N):
    """The sentence with which `check_submission` refuses `path`."""
    with pytest.raises(DogganError) as error:
        check_submission(path, count)
    sentence = str(error.value)
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_written_zip_reads_back_with_other_libraries(tmp_path, images):
    path = tmp_path / "new" / "images.zip"
    summary = write_submission([images[:7], images[7:8], images[8:]], path, N)
    assert (summary.count, summary.n_bytes) == (N, path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{i}.png" for i in range(N)]
        assert {m.compress_type for m in archive.infolist()} == {zipfile.ZIP_STORED}
        for i in range(N):
            with Image.open(archive.open(f"{i}.png")) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 64))
                np.testing.assert_array_equal(np.asarray(image), images[i])
    assert [p.name for p in path.parent.iterdir()] == ["images.zip"]
    assert str(N) in str(summary)


def test_same_pictures_give_the_same_bytes(tmp_path, images):
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    write_submission([images], one, N)
    write_submission(np.array_split(images, 6), other, N)
    assert one.read_bytes() == other.read_bytes()


def test_at_most_two_batches_wait(tmp_path, monkeypatch, images):
    """A batch is made while earlier ones are encoded, and no further ahead than that."""
    made, stored, ahead = 0, 0, []
    original = zipfile.ZipFile.writestr

    def writestr(self, *args):
        nonlocal stored
        stored += 1
        return original(self, *args)

    def batches():
        nonlocal made
        for start in range(0, N, 2):
            ahead.append(made - stored)
            made += 2
            yield images[start : start + 2]

    monkeypatch.setattr(zipfile.ZipFile, "writestr", writestr)
    write_submission(batches(), tmp_path / "images.zip", N)
    assert max(ahead) == 2  # pictures: one batch of two is being encoded while the next is asked for


@pytest.mark.parametrize("n", [N - 1, N + 1])
def test_wrong_number_leaves_nothing(tmp_path, images, n):
    with pytest.raises(ValueError, match=f"needs {n} images, and the batches hold {N}"):
        write_submission([images], tmp_path / "images.zip", n)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_writing_keeps_the_old_zip(tmp_path, images):
    path = tmp_path / "images.zip"
    write_submission([images], path, N)
    before, threads = path.read_bytes(), threading.active_count()

    def batches():
        yield images[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_submission(batches(), path, N)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert threading.active_count() == threads


def test_pictures_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "images.zip"
    with pytest.raises(DogganError, match="needs 64×64 RGB images, but the generator makes 64×64 with 1 channel:"):
        write_submission([np.zeros((2, 64, 64, 1), np.uint8)], path, 2)
    with pytest.raises(DogganError, match="makes 48×32 with 3 channels"):
        write_submission([np.zeros((2, 32, 48, 3), np.uint8)], path, 2)
    with pytest.raises(ValueError, match="uint8"):
        write_submission([np.zeros((2, 64, 64, 3), np.float32)], path, 2)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_good_zip_of_another_writer_passes(write_zip, images, compression):
    path = write_zip(compression=compression)
    assert "valid submission: 20 different RGB PNG images of 64×64 pixels" in str(check_submission(path, N))
    np.testing.assert_array_equal(read_submission(path), images)
    np.testing.assert_array_equal(read_submission(path, N), images)


def test_full_size_numbers_are_read_in_numeric_order(tmp_path):
    n = 1002  # as text, 1000 would come before 2
    images = np.zeros((n, 64, 64, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(n), 256)
    path = tmp_path / "images.zip"
    write_submission([images], path, n)
    assert check_submission(path, n).count == n
    np.testing.assert_array_equal(read_submission(path), images)


def test_interlaced_png_passes(write_zip, images):
    """Adam7 (method 1) is PNG too; made from the specification's seven passes, each row with filter 0."""
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes for row in images[3][y::dy, x::dx])
    path = write_zip({"3.png": raw_png((64, 64, 8, 2, 0, 0, 1), zlib.compress(rows))})
    check_submission(path, N)
    np.testing.assert_array_equal(read_submission(path)[3], images[3])


def raw_png(header, data):
    """A PNG file from the values of its header and the bytes of its IDAT chunk, all checksums right."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_missing_file(tmp_path):
    assert "does not exist; make it with `doggan submit`" in refused(tmp_path / "images.zip")


def test_folder_instead_of_file(tmp_path):
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b"PK not a zip", "is not a zip file")])
def test_no_zip(tmp_path, content, says):
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    assert says in refused(path)


def test_truncated_zip(write_zip):
    path = write_zip()
    path.write_bytes(path.read_bytes()[:-100])
    assert "is not a zip file, or a damaged one" in refused(path)


def test_zip_without_files(tmp_path):
    path = tmp_path / "images.zip"
    zipfile.ZipFile(path, "w").close()
    assert "is a zip without any files" in refused(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("images/", "holds 'images/': the images must lie at the top of the zip, not in a folder"),
        ("images/0.png", "not in a folder"),
        ("../../etc/0.png", "not in a folder"),
        ("/0.png", "not in a folder"),
        ("..\\0.png", "not in a folder"),
        ("20.png", "holds '20.png', which is not one of 0.png to 19.png"),
        ("00.png", "not one of"),
        ("1.PNG", "not one of"),
        ("-1.png", "not one of"),
        ("١.png", "holds '\\u0661.png'"),
        ("Thumbs.db", "not one of"),
        ("\x1b[2J.png", "holds '\\x1b[2J.png'"),
        ("a" * 5000, "aaa...'"),
    ],
)
def test_strange_names(write_zip, images, name, says):
    assert says in refused(write_zip({name: png(images[0])}))


def test_several_strange_names_are_counted(write_zip):
    sentence = refused(write_zip({"a.txt": b"", "b.txt": b"", "c.txt": b""}))
    assert "holds 'a.txt', which is not one of 0.png to 19.png (and 2 more such files)." in sentence


def test_missing_images(write_zip):
    assert "holds 19 of 20 images: 7.png is missing." in refused(write_zip({"7.png": None}))
    assert "holds 18 of 20 images: 7.png is missing, and 1 more." in refused(write_zip({"7.png": None, "9.png": None}))
    assert "holds 20 of 10,000 images: 20.png is missing, and 9,979 more." in refused(write_zip(), 10_000)


def test_gap_is_refused_when_reading_as_many_as_there_are(write_zip):
    with pytest.raises(DogganError, match=r"'19.png', which is not one of 0.png to 18.png"):
        read_submission(write_zip({"7.png": None}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_twice(tmp_path, images):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in (0, 1, 1):
            archive.writestr(f"{i}.png", png(images[i]))
    assert "holds '1.png' 2 times" in refused(path, 2)


def test_pictures_at_any_names(tmp_path, images):
    """Numbers in their order, then the others; folders and hidden files do not count."""
    path = tmp_path / "images.zip"
    order = ["b/10.png", "a.png", "2.png", "x/9.PNG", "007.png", "Z.png", "ä.png", "9" * 5000 + ".png"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("x")
        archive.writestr("__MACOSX/._2.png", b"of macOS")
        for i, name in enumerate(order):
            archive.writestr(name, png(images[i]))
    pictures, names = read_pictures(path)
    assert names == ("2", "007", "9", "10", "9" * 5000, "Z", "a", "ä")
    np.testing.assert_array_equal(pictures, images[[2, 4, 3, 0, 7, 5, 1, 6]])


def test_pictures_of_a_submission_are_read_alike(write_zip):
    path = write_zip()
    pictures, names = read_pictures(path)
    np.testing.assert_array_equal(pictures, read_submission(path))
    assert names == tuple(str(i) for i in range(N))


def refused_pictures(path):
    with pytest.raises(DogganError) as error:
        read_pictures(path)
    return str(error.value)


def test_pictures_at_any_names_are_checked_as_strictly(write_zip, images, tmp_path):
    for make, says in BAD_MEMBERS.values():
        path = write_zip({"13.png": None, "dog 13\x1b.png": make(images[13])}, compression=zipfile.ZIP_DEFLATED)
        assert f"images.zip: 'dog 13\\x1b.png' {says}" in refused_pictures(path)
    assert ": notes.txt is not a PNG file." in refused_pictures(write_zip({"notes.txt": b"x"}))
    assert "does not exist" in refused_pictures(tmp_path / "absent.zip")
    with zipfile.ZipFile(tmp_path / "hidden.zip", "w") as archive:
        archive.writestr(".hidden.png", png(images[0]))
    assert "is a zip without any files" in refused_pictures(tmp_path / "hidden.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_pictures_at_any_names_once(tmp_path, images):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for _ in range(2):
            archive.writestr("dog.png", png(images[0]))
    assert "holds 'dog.png' 2 times" in refused_pictures(tmp_path / "images.zip")


def broken_crc(data):
    """The byte before IEND belongs to the IDAT chunk's checksum."""
    return data[:-13] + bytes([data[-13] ^ 1]) + data[-12:]


BAD_MEMBERS = {
    "empty": (lambda x: b"", "is empty"),
    "jpeg": (lambda x: png(x, kind="JPEG"), "is not a PNG file"),
    "small": (lambda x: png(x[:32, :48]), "is 48×32 pixels, not 64×64"),
    "huge header": (lambda x: raw_png((2**30, 2**30, 8, 2, 0, 0, 0), b""), "is 1073741824×1073741824 pixels"),
    "grey": (lambda x: png(x, "L"), "is 8-bit grey, not 8-bit RGB"),
    "alpha": (lambda x: png(x, "RGBA"), "is 8-bit RGB with alpha, not 8-bit RGB"),
    "palette": (lambda x: png(x, "P"), "is 8-bit palette, not 8-bit RGB"),
    "sixteen bits": (lambda x: raw_png((64, 64, 16, 2, 0, 0, 0), b""), "is 16-bit RGB, not 8-bit RGB"),
    "no such mode": (lambda x: raw_png((64, 64, 8, 5, 0, 0, 0), b""), "is 8-bit of unknown mode"),
    "cut": (lambda x: png(x)[:-20], "is a truncated PNG file"),
    "cut in the signature": (lambda x: png(x)[:8], "is a truncated PNG file"),
    "no end": (lambda x: png(x)[:-12], "is a truncated PNG file"),
    "checksum": (lambda x: broken_crc(png(x)), "is a damaged PNG file (wrong checksum)"),
    "no header": (lambda x: png(x)[:8] + png(x)[33:], "is a truncated or damaged PNG file"),
    "no pixels": (lambda x: png(x)[:33] + png(x)[-12:], "is a truncated or damaged PNG file"),
    "too few rows": (
        lambda x: raw_png((64, 64, 8, 2, 0, 0, 0), zlib.compress(bytes(193) * 63)),
        "is a PNG file that cannot be decoded",
    ),
    "a bomb": (lambda x: png(x) + bytes(2**21), "unpacks to 2,1"),
}


@pytest.mark.parametrize(("make", "says"), BAD_MEMBERS.values(), ids=BAD_MEMBERS)
def test_bad_members(write_zip, images, make, says):
    sentence = refused(write_zip({"13.png": make(images[13])}, compression=zipfile.ZIP_DEFLATED))
    assert f": 13.png {says}" in sentence


def test_short_header_chunk(write_zip, images):
    data = png(images[0])
    short = data[:8] + struct.pack(">I", 3) + b"IHDRabc" + struct.pack(">I", zlib.crc32(b"IHDRabc")) + data[33:]
    assert "13.png is" in refused(write_zip({"13.png": short}))


def test_the_first_of_several_bad_members_is_named(write_zip):
    assert ": 4.png is empty." in refused(write_zip({"11.png": b"x", "4.png": b""}))


def test_encrypted_member(write_zip):
    path = write_zip()
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the last member's flags in the central directory
    path.write_bytes(data)
    assert "19.png is encrypted" in refused(path)


def test_unusual_compression(write_zip):
    assert "0.png is packed by a method other than" in refused(write_zip(compression=zipfile.ZIP_BZIP2))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_inside_the_zip(write_zip, compression):
    path = write_zip(compression=compression)
    data = bytearray(path.read_bytes())
    data[data.index(b"5.png") + 1000] ^= 0xFF
    path.write_bytes(data)
    assert ": 5.png is damaged in the zip" in refused(path)


def test_copies_are_found_by_their_pixels(write_zip, images):
    """The copy is another file: stored by another filter and level, so only its pixels are the same."""
    rows = b"".join(b"\0" + row.tobytes() for row in images[3])
    copy = raw_png((64, 64, 8, 2, 0, 0, 0), zlib.compress(rows, 1))
    path = write_zip({"17.png": copy})
    assert refused(path).endswith(": 17.png shows the same image as 3.png.")
    np.testing.assert_array_equal(read_submission(path, N)[17], images[3])
    sentence = refused(write_zip({"17.png": copy, "8.png": copy}))
    assert sentence.endswith(": 8.png shows the same image as 3.png; 2 of the 20 images are copies.")


def test_a_damaged_directory_of_the_zip(write_zip):
    """Version needed 6.5, which the zipfile module answers with NotImplementedError."""
    path = write_zip()
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 6 : place + 8] = (65).to_bytes(2, "little")
    path.write_bytes(bytes(data))
    assert "damaged" in refused(path)


def test_a_member_name_that_claims_to_be_utf_8(write_zip):
    path = write_zip()
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 9] |= 0x08  # bit 11: UTF-8
    data[place + 46] = 0xFF
    path.write_bytes(bytes(data))
    assert "damaged" in refused(path)


def test_a_count_far_beyond_the_zip_is_answered_at_once(write_zip):
    assert "should hold 1,000,000,000" in refused(write_zip(), count=10**9)
