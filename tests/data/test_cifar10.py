"""CIFAR-10: in each form it is found in, its pickles without unpickling, and what can be wrong with them."""

import gzip
import importlib.util
import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

from doggan.data.cifar10 import CLASS_NAMES, read_cifar10
from doggan.data.python_batch import BatchError, read_python_batch
from doggan.data.split import is_heldout
from doggan.errors import DogganError

BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def text(value):
    """A string as Python 2's cPickle writes it, by its length."""
    data = value.encode() if isinstance(value, str) else value
    return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data


def python2(pixels, labels, dtype=b"u1", shape=None):
    """The batch in the instructions that the published files consist of, memory and all."""
    count, columns = shape or pixels.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85U\x01b\x87Rq\x08(K\x01"
        + (b"M" + struct.pack("<H", count) + b"M" + struct.pack("<H", columns) + b"\x86")
        + (b"cnumpy\ndtype\nq\x09" + text(dtype) + b"K\x00K\x01\x87Rq\x0a(K\x03U\x01|NNNJ\xff\xff\xff\xff")
        + (b"J\xff\xff\xff\xffK\x00tb\x89" + text(pixels.tobytes()) + b"tb")
    )
    return (
        b"\x80\x02}q\x01("
        + (text("batch_label") + b"q\x02" + text("training batch 1 of 5") + b"q\x03")
        + (text("labels") + b"q\x04]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e")
        + (text("data") + array)
        + (text("filenames") + b"]r\x00\x01\x00\x00(" + b"".join(text(f"cat_s_{i}.png") for i in labels) + b"e")
        + b"u."
    )


def python3(pixels, labels, keys=str):
    batch = {"batch_label": b"testing batch 1 of 1", "labels": [int(i) for i in labels], "data": pixels}
    if keys is bytes:
        batch = {key.encode(): value for key, value in batch.items()}
    return pickle.dumps(batch, protocol=2)


def records(pixels, labels):
    return np.concatenate([labels[:, None], pixels], axis=1).tobytes()


def batch(seed, n=4):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 3072), np.uint8), rng.integers(0, 10, n, np.uint8)


WRITERS = {"cifar-10-batches-bin": (records, ".bin"), "cifar-10-batches-py": (python2, "")}


def published(folder, edition):
    """A small data set as the archives unpack to."""
    write, ending = WRITERS[edition]
    (folder / edition).mkdir(parents=True)
    for seed, name in enumerate(BATCHES):
        (folder / edition / f"{name}{ending}").write_bytes(write(*batch(seed)))
    (folder / edition / ("batches.meta" + ending.replace("bin", "txt"))).write_bytes(b"not looked at")
    return folder / edition


def archive_of(folder, path, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        tar.add(folder, folder.name)
    return path


def check(images):
    """It is the small data set."""
    pixels = np.concatenate([batch(seed)[0] for seed in range(6)])
    for picture, values in zip(images.images, pixels, strict=True):
        red, green, blue = values[:1024], values[1024:2048], values[2048:]
        np.testing.assert_array_equal(picture[..., 0].ravel(), red)
        np.testing.assert_array_equal(picture[..., 1].ravel(), green)
        np.testing.assert_array_equal(picture[..., 2].ravel(), blue)
    assert images.labels.tolist() == [int(label) for seed in range(6) for label in batch(seed)[1]]
    assert images.class_names == CLASS_NAMES
    assert images.source_ids[[0, 5, 23]].tolist() == ["data_batch_1-00000", "data_batch_2-00001", "test_batch-00003"]
    assert images.split.tolist() == [0] * 20 + [1] * 4
    assert images.boxes.tolist() == [[0, 0, 32, 32]] * 24
    assert images.crop == "whole"


@pytest.mark.parametrize("edition", WRITERS)
def test_the_folders_and_archives_as_published(tmp_path, edition):
    folder = published(tmp_path, edition)
    check(read_cifar10(folder))
    check(read_cifar10(tmp_path))
    name = {"cifar-10-batches-bin": "cifar-10-binary", "cifar-10-batches-py": "cifar-10-python"}[edition]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    check(read_cifar10(archive_of(folder, elsewhere / f"{name}.tar.gz")))
    check(read_cifar10(elsewhere))
    check(read_cifar10(archive_of(folder, tmp_path / "any.tar", "w")))
    assert [path.name for path in elsewhere.iterdir()] == [f"{name}.tar.gz"], "nothing is extracted"


def test_one_edition_is_taken_where_both_are(tmp_path):
    for edition in WRITERS:
        published(tmp_path, edition)
    check(read_cifar10(tmp_path))


def test_packed_batches(tmp_path):
    for path in list(published(tmp_path, "cifar-10-batches-bin").glob("*.bin")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    check(read_cifar10(tmp_path))


@pytest.mark.parametrize("name", ["data_batch_1_first4.bin", "data_batch_1_first4.bin.gz"])
def test_a_part_of_the_records(tmp_path, name):
    data = records(*batch(0))
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    for source in (tmp_path, tmp_path / name):
        images = read_cifar10(source)
        assert images.source_ids.tolist() == [f"data_batch_1_first4-0000{i}" for i in range(4)]
        assert images.labels.tolist() == batch(0)[1].tolist()
        assert images.split.tolist() == [0] * 4


def test_one_python_batch_alone(tmp_path):
    (tmp_path / "data_batch_3").write_bytes(python2(*batch(0)))
    assert read_cifar10(tmp_path / "data_batch_3").source_ids[0] == "data_batch_3-00000"
    with pytest.raises(DogganError, match="lacks data_batch_1, data_batch_2, data_batch_4, data_batch_5; add"):
        read_cifar10(tmp_path)


def test_larger_sizes_are_enlarged_by_cubic_interpolation(tmp_path):
    """Compared with Pillow's bicubic on a smooth picture, where another kernel parameter matters little."""
    y, x = np.mgrid[:32, :32]
    smooth = np.stack([4 * x + 50, 3 * y + 60, 100 + 60 * np.sin(x / 5)], axis=-1).astype(np.uint8)
    data = b"\x05" + smooth.transpose(2, 0, 1).tobytes()
    (tmp_path / "a.bin").write_bytes(data)
    images = read_cifar10(tmp_path / "a.bin", size=64)
    assert images.images.shape == (1, 64, 64, 3)
    expected = np.asarray(Image.fromarray(smooth).resize((64, 64), Image.Resampling.BICUBIC), int)
    assert np.abs(images.images[0] - expected)[2:-2, 2:-2].max() <= 2


def test_a_share_of_the_data_batches_is_held_out_as_well(tmp_path):
    (tmp_path / "data_batch_x.bin").write_bytes(records(*batch(0, 200)))
    split = read_cifar10(tmp_path, holdout=0.25).split
    assert split.tolist() == [int(is_heldout(f"data_batch_x-{i:05d}", 0.25)) for i in range(200)]
    assert 25 < split.sum() < 75


# Pickles


@pytest.mark.parametrize("write", [python2, python3, lambda *args: python3(*args, keys=bytes)])
def test_batches_of_either_python(write):
    pixels, labels = batch(0, 7)
    read = read_python_batch(write(pixels, labels))
    np.testing.assert_array_equal(read[0], pixels)
    np.testing.assert_array_equal(read[1], labels)


def test_the_handmade_batch_is_what_pickle_reads():
    """A check of the tests themselves: Python's own reader sees in it what was put in."""
    pixels, labels = batch(0)
    read = pickle.loads(python2(pixels, labels), encoding="latin1")
    np.testing.assert_array_equal(read["data"], pixels)
    assert read["labels"] == labels.tolist()
    assert list(read) == ["batch_label", "labels", "data", "filenames"]


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def dumped(protocol=2, **changes):
    pixels, labels = batch(0)
    return pickle.dumps({"labels": labels.tolist(), "data": pixels} | changes, protocol=protocol)


GOOD = python2(*batch(0))
OBJECTS = np.array([[None] * 3072])
DAMAGED = {
    "system": (dumped(data=Hostile(os.system, "touch hacked")), "asks for 'posix.system'|asks for 'nt.system'"),
    "eval": (dumped(data=Hostile(eval, "1/0")), "asks for '__builtin__.eval'"),
    "loads": (b"\x80\x02cnumpy\nload\nU\x06hacked\x85R.", "asks for 'numpy.load'"),
    "a name only": (b"\x80\x02cnumpy\nndarray\n.", "is not a dictionary"),
    "an attribute": (b"\x80\x02cnumpy\ndtype.__init__\n.", "asks for 'numpy.dtype.__init__'"),
    "objects": (dumped(data=OBJECTS), "are not an array"),
    "floats": (dumped(data=np.zeros((4, 3072), np.float32)), "are not an array of bytes"),
    "signed": (dumped(data=np.zeros((4, 3072), np.int8)), "are not an array of bytes"),
    "columns first": (dumped(data=np.asfortranarray(batch(0)[0])), "are not an array"),
    "one axis": (dumped(data=np.zeros(3072, np.uint8)), "are not an array"),
    "other width": (dumped(data=np.zeros((4, 3073), np.uint8)), "12,292 bytes, said to be 4 pictures of 3,073"),
    "more stated": (python2(*batch(0), shape=(5, 3072)), "12,288 bytes, said to be 5 pictures"),
    "a list": (dumped(data=[1, 2]), "are not an array"),
    "beyond Latin-1": (
        GOOD.replace(text(batch(0)[0].tobytes()), b"X\x03\x00\x00\x00" + "€".encode()),
        "data are not bytes",
    ),
    "a long number": (GOOD[:-2] + b"X\x04\x00\x00\x00data\x8a\x01\x00u.", "the instruction LONG1"),
    "no labels": (pickle.dumps({"data": batch(0)[0]}, protocol=2), "lacks 'data' or 'labels'"),
    "labels as text": (dumped(labels=["a"] * 4), "labels are not a list"),
    "labels true": (dumped(labels=[True] * 4), "labels are not a list"),
    "labels negative": (dumped(labels=[-1] * 4), "labels are not a list"),
    "not a dictionary": (pickle.dumps([1, 2], protocol=2), "is not a dictionary"),
    "protocol 0": (dumped(protocol=0), "which a batch does not need|instructions are damaged"),
    "protocol 4": (dumped(protocol=4), "the instruction FRAME, which a batch does not need"),
    "empty": (b"", "instructions are damaged"),
    "a page": (b"<html>not found</html>", "damaged|does not need"),
    "cut in the pixels": (GOOD[:5000], "instructions are damaged"),
    "cut before the end": (GOOD[:-1], "instructions are damaged"),
    "huge length": (b"\x80\x02T\xff\xff\xff\x7fx.", "instructions are damaged"),
    "negative length": (b"\x80\x02T\xff\xff\xff\xffx.", "instructions are damaged"),
    "nothing to take": (b"\x80\x02\x87.", "instructions are damaged"),
    "no mark": (b"\x80\x02]e.", "instructions are damaged"),
    "no list": (b"\x80\x02}(K\x01e.", "instructions are damaged"),
    "no memory": (b"\x80\x02h\x07.", "instructions are damaged"),
    "a state for a name": (b"\x80\x02cnumpy\ndtype\n}b.", "instructions are damaged"),
    "a key that is a list": (b"\x80\x02}]K\x01s.", "instructions are damaged"),
    "odd items": (b"\x80\x02}(U\x01au.", "instructions are damaged"),
    "empty stack": (b"\x80\x02.", "instructions are damaged"),
    "no end to it": (b"\x80\x02" + b"}" * 300_000 + b".", "more than 200,000 instructions"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_pickle_that_is_not_a_batch_runs_nothing(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    data, message = DAMAGED[case]
    (tmp_path / "data_batch_1").write_bytes(data)
    with pytest.raises(BatchError, match=message):
        read_python_batch(data)
    with pytest.raises(DogganError, match=r"data_batch_1 is not a whole batch of CIFAR-10 .*; fetch it with") as caught:
        read_cifar10(tmp_path / "data_batch_1")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500
    assert [path.name for path in tmp_path.iterdir()] == ["data_batch_1"]


@pytest.mark.parametrize("place", range(0, len(GOOD), 211))
def test_a_changed_byte_is_read_or_refused_and_nothing_else(place):
    for change in (1, 0x80, 0xFF):
        data = bytearray(GOOD)
        data[place] ^= change
        try:
            pixels, labels = read_python_batch(bytes(data))
        except BatchError:
            continue
        assert pixels.shape[1] == 3072
        assert labels.dtype == np.int64


def test_many_uses_of_one_long_string_take_no_memory():
    """Each of the calls would make a copy of a megabyte, were it made."""
    once = (
        b"\x80\x02]q\x00(c_codecs\nencode\nq\x01X\x00\x00\x10\x00" + b"a" * 2**20 + b"X\x06\x00\x00\x00latin1\x86q\x02R"
    )
    with pytest.raises(BatchError, match="is not a dictionary"):
        read_python_batch(once + b"h\x01h\x02R" * 50_000 + b"e.")


# Everything else that can be wrong


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (records(*batch(0))[:-1], "12,291 bytes are no whole number of records of 3,073"),
        (b"", "there is not one picture in it"),
        (records(batch(0)[0], np.array([1, 2, 10, 3], np.uint8)), "a label is 10, and there are classes 0 to 9"),
        (gzip.compress(records(*batch(0)))[:-9], "is damaged gzip"),
        (gzip.compress(bytes(60_001 * 3073)), "holds more than the 184,380,000 bytes"),
    ],
)
def test_damaged_records(tmp_path, data, message):
    (tmp_path / "data_batch_1_x.bin.gz").write_bytes(data)
    with pytest.raises(DogganError, match=message) as caught:
        read_cifar10(tmp_path)
    assert "data_batch_1_x.bin.gz" in str(caught.value)


def test_a_batch_that_is_missing_is_named(tmp_path):
    folder = published(tmp_path, "cifar-10-batches-bin")
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(DogganError, match=r"cifar-10-batches-bin lacks data_batch_4\.bin; add what is missing"):
        read_cifar10(tmp_path)
    with pytest.raises(DogganError, match=r"a\.tar\.gz lacks data_batch_4\.bin"):
        read_cifar10(archive_of(folder, tmp_path / "a.tar.gz"))
    (folder / "data_batch_4.bin").write_bytes(records(*batch(3)))
    (folder / "test_batch.bin").unlink()
    assert read_cifar10(tmp_path).split.tolist() == [0] * 20


def test_sources_that_are_not_cifar10(tmp_path):
    with pytest.raises(DogganError, match=r"absent does not exist; .*doggan download cifar10"):
        read_cifar10(tmp_path / "absent")
    with pytest.raises(DogganError, match=r"holds no CIFAR-10: .*doggan download cifar10"):
        read_cifar10(tmp_path)
    (tmp_path / "cifar.zip").write_bytes(b"PK")
    with pytest.raises(DogganError, match=r"cifar\.zip is no CIFAR-10 by its name; name a \.tar\.gz"):
        read_cifar10(tmp_path / "cifar.zip")


def test_a_damaged_archive(tmp_path):
    path = archive_of(published(tmp_path / "x", "cifar-10-batches-py"), tmp_path / "a.tar.gz")
    whole = path.read_bytes()
    for data in (whole[:-1000], whole[:-8] + bytes(8), b"", b"<html>", b"\x1f\x8b" + bytes(50)):
        path.write_bytes(data)
        with pytest.raises(DogganError, match=r"a\.tar\.gz is not a whole tar archive .*; delete it"):
            read_cifar10(path)


def test_hostile_archives(tmp_path):
    def write(*members):
        path = tmp_path / "a.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            for name, kind, size in members:
                info = tarfile.TarInfo(name)
                info.type, info.size, info.linkname = kind, size, "/etc/passwd"
                tar.addfile(info, io.BytesIO(bytes(size)))
        return path

    name = "cifar-10-batches-bin/data_batch_1.bin"
    link = write((name, tarfile.SYMTYPE, 0))
    with pytest.raises(DogganError, match=r"lacks data_batch_1"):
        read_cifar10(link)
    with pytest.raises(DogganError, match="holds data_batch_1 twice"):
        read_cifar10(write((name, tarfile.REGTYPE, 3073), (name, tarfile.REGTYPE, 3073)))
    with pytest.raises(DogganError, match="lacks data_batch_1"):
        read_cifar10(write((f"../{name}", tarfile.REGTYPE, 3073)))
    with pytest.raises(DogganError, match="unpacks to more than the 200,000,000 bytes"):
        read_cifar10(write(("other", tarfile.REGTYPE, 200_000_000)))


@pytest.mark.parametrize(
    ("kwargs", "message"), [({"size": 50}, "size 50 is not one of 32"), ({"holdout": -1}, "holdout -1")]
)
def test_arguments_out_of_range(tmp_path, kwargs, message):
    with pytest.raises(DogganError, match=message):
        read_cifar10(tmp_path, **kwargs)


def test_the_real_records(shared_data):
    spec = importlib.util.spec_from_file_location("unpack", shared_data / "unpack.py")
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    expected, labels = unpack.cifar10()
    images = read_cifar10(shared_data / "cifar10")
    np.testing.assert_array_equal(images.images, expected)
    np.testing.assert_array_equal(images.labels, labels)
    assert [CLASS_NAMES[label] for label in images.labels[:5]] == ["frog", "truck", "truck", "deer", "automobile"]


def test_the_real_records_as_a_pickle_of_full_length(shared_data):
    """As many instructions as a published batch has, read with those of Python 2."""
    images = read_cifar10(shared_data / "cifar10")
    pixels = np.tile(images.images.transpose(0, 3, 1, 2).reshape(-1, 3072), (5, 1))
    labels = np.tile(images.labels, 5)
    read, read_labels = read_python_batch(python2(pixels, labels))
    assert len(read) == 10_000
    np.testing.assert_array_equal(read, pixels)
    np.testing.assert_array_equal(read_labels, labels)


def test_a_truth_value_is_no_number_of_pictures():
    pixels, labels = batch(0, n=1)
    whole = python2(pixels, labels)
    assert read_python_batch(whole)[0].shape == (1, 3072)
    crafted = whole.replace(b"M\x01\x00M\x00\x0c\x86", b"\x88M\x00\x0c\x86")  # NEWTRUE where the count was
    assert crafted != whole
    with pytest.raises(BatchError, match="not an array"):
        read_python_batch(crafted)
