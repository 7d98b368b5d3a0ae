"""The file of a checkpoint: no byte of it changes, and none is lost, without being seen."""

import json
import zipfile

import numpy as np
import pytest

from doggan.errors import DogganError
from doggan.training.sealed import FORMAT_VERSION, DamagedCheckpoint, open_sealed, write_sealed

ARRAYS = {
    "generator.000.kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "step": np.array(7, np.int32),
    "extra.g_loss": np.linspace(0, 1, 5),
    "extra.none": np.zeros(0),
}
FACTS = {"score": 0.25, "run": "abc"}


def read(path):
    with open_sealed(path) as (file, facts):
        return {name: file[name] for name in file.files}, facts


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "step-00000007.npz"
    write_sealed(path, ARRAYS, FACTS)
    return path


def test_what_was_written_comes_back_and_numpy_reads_it_too(path):
    arrays, facts = read(path)
    assert facts == {"format_version": FORMAT_VERSION, **FACTS}
    with np.load(path, allow_pickle=False) as file:
        for name, array in ARRAYS.items():
            for found in (arrays[name], file[name]):
                np.testing.assert_array_equal(found, array)
                assert found.dtype == array.dtype
    assert zipfile.ZipFile(path).testzip() is None


def test_equal_content_is_equal_bytes(path, tmp_path):
    again = tmp_path / "again.npz"
    write_sealed(again, ARRAYS, FACTS)
    assert again.read_bytes() == path.read_bytes()


def test_a_flipped_byte_is_seen_wherever_it_is(path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= int(rng.integers(1, 256))
        path.write_bytes(flipped)
        with pytest.raises(DamagedCheckpoint, match="is damaged"):
            read(path)
    path.write_bytes(content)
    read(path)


def test_a_file_that_was_cut_is_seen_wherever_it_was(path):
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedCheckpoint, match="is damaged"):
            read(path)


def test_bytes_that_came_to_it_are_seen(path):
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DamagedCheckpoint):
        read(path)


def test_a_folder_in_its_place_is_damage_and_a_missing_file_is_not(tmp_path):
    with pytest.raises(DamagedCheckpoint, match="directory"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.npz")


@pytest.fixture
def old(tmp_path):
    """As the first format wrote it, without a seal."""
    path = tmp_path / "old.npz"
    np.savez(path, meta=np.array(json.dumps({"format_version": 1, "score": None})), **ARRAYS)
    return path


def test_a_file_of_the_first_format_is_read(old):
    arrays, facts = read(old)
    assert facts["score"] is None
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_flipped_byte_in_a_file_of_the_first_format_is_damage_or_changes_no_array(old):
    """Its CRCs see the arrays whole, NumPy's headers among them, but not the zip's dates and names."""
    content = old.read_bytes()
    rng = np.random.default_rng(1)
    seen = 0
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= int(rng.integers(1, 256))
        old.write_bytes(flipped)
        try:
            arrays, _ = read(old)
        except DogganError:
            seen += 1
            continue
        for name in arrays.keys() & ARRAYS.keys():
            np.testing.assert_array_equal(arrays[name], ARRAYS[name], err_msg=f"{name}, byte {at}")
    assert seen > len(content) / 2


def test_a_file_that_cannot_be_written_leaves_the_one_before(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Object arrays"):
        write_sealed(path, {"bad": np.array([None])}, FACTS)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
