"""Atomic files: whole or absent, whatever happens in between."""

import os
import stat

import pytest

from doggan.files import atomic_path, remove_leftovers, write_text


def test_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "notes.txt"
    write_text(path, "eins")
    write_text(path, "zwei, ü")
    assert path.read_bytes() == "zwei, ü".encode()
    assert list(path.parent.iterdir()) == [path]


def test_error_keeps_the_old_file(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "old")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_is_beside_with_the_same_suffix(tmp_path):
    with atomic_path(tmp_path / "picture.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name != "picture.png"
        assert not (tmp_path / "picture.png").exists()


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "notes.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "notes.txt").stat().st_mode) == 0o640


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError):
        write_text(tmp_path / "file" / "notes.txt", "x")


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / "notes.txt", tmp_path / "sub" / ".hidden"]
    for path in kept:
        write_text(path, "mine")
    context = atomic_path(tmp_path / "sub" / "weights.npz")
    left = context.__enter__()  # never left: as after kill -9
    assert left.exists()
    remove_leftovers(tmp_path)
    assert not left.exists()
    assert all(path.exists() for path in kept)


def test_a_folder_in_the_way_is_said_before_the_work(tmp_path):
    with pytest.raises(IsADirectoryError) as error, atomic_path(tmp_path):
        pytest.fail("the body must not run")
    assert str(tmp_path) in str(error.value)
    assert ".unfinished" not in str(error.value)
