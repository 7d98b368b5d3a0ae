"""A folder of pictures: two layouts, what is cut out, and what is left out."""

import io
import os
import threading
import zipfile

import numpy as np
import pytest
from dogtree import picture
from PIL import Image, ImageOps

from doggan.data.faults import Reason
from doggan.data.folder import read_folder
from doggan.data.split import is_heldout
from doggan.errors import DogganError


def save(path, pixels=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(40, 30) if pixels is None else pixels).save(path, **options)
    return path


def read(source, **kwargs):
    return read_folder(source, **{"size": 32, "progress": False} | kwargs)


def blocks(*colours, side=32):
    """A row of squares, each of one colour."""
    return np.concatenate([np.full((side, side, 3), colour, np.uint8) for colour in colours], axis=1)


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def test_pictures_without_classes(tmp_path):
    for name, colour in (("b.png", GREEN), ("a.PNG", RED), ("c.bmp", BLUE)):
        save(tmp_path / name, blocks(colour))
    images, faults = read(tmp_path)
    assert faults == ()
    assert images.images.shape == (3, 32, 32, 3)
    assert images.images[:, 0, 0].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert images.labels is None
    assert images.class_names == ()
    assert images.source_ids.tolist() == ["a", "b", "c"]
    assert images.boxes.tolist() == [[0, 0, 32, 32]] * 3
    assert images.crop == "center"


def test_folders_of_pictures_are_classes(tmp_path):
    for name, colour in (("tree/1.png", GREEN), ("car/2.jpg", RED), ("car/1.png", RED)):
        save(tmp_path / name, blocks(colour))
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "readme.txt").write_text("about")
    (tmp_path / "readme.txt").write_text("about")
    images, faults = read(tmp_path)
    assert faults == ()
    assert images.class_names == ("car", "tree")
    assert images.labels.tolist() == [0, 0, 1]
    assert images.labels.dtype == np.int32
    assert images.source_ids.tolist() == ["car/1", "car/2", "tree/1"]


def test_the_largest_centred_square_or_all_of_it(tmp_path):
    save(tmp_path / "a.png", blocks(RED, GREEN, BLUE))
    save(tmp_path / "b.png", np.ascontiguousarray(blocks(RED, GREEN, BLUE).swapaxes(0, 1)))
    center, _ = read(tmp_path)
    assert (center.images == GREEN).all()
    assert center.boxes.tolist() == [[32, 0, 64, 32], [0, 32, 32, 64]]
    whole, _ = read(tmp_path, crop="whole")
    assert whole.boxes.tolist() == [[0, 0, 96, 32], [0, 0, 32, 96]]
    assert whole.images[0, 16, [2, 16, 29]].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert whole.images[1, [2, 16, 29], 16].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert whole.crop == "whole"


def test_larger_pictures_are_averaged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    save(tmp_path / "a.png", pixels)
    images, _ = read(tmp_path)
    expected = pixels.astype(float).reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(images.images[0] - expected).max() <= 0.5 + 1e-9


def test_smaller_pictures_are_enlarged(tmp_path):
    save(tmp_path / "a.png", np.full((5, 7, 3), (10, 20, 30), np.uint8))
    save(tmp_path / "b.png", np.full((1, 1, 3), (10, 20, 30), np.uint8))
    images, _ = read(tmp_path, size=128)
    assert images.images.shape == (2, 128, 128, 3)
    assert (images.images == (10, 20, 30)).all()
    assert images.boxes.tolist() == [[1, 0, 6, 5], [0, 0, 1, 1]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_turned_by_exif_come_out_upright(tmp_path, orientation):
    """Four quarters of other colours say how it lies; Pillow's own turning is what is right."""
    pixels = np.concatenate([blocks(RED, GREEN), blocks(BLUE, (90, 90, 0))])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", pixels, exif=exif, quality=95, subsampling=0)
    images, _ = read(tmp_path)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file).resize((32, 32), Image.Resampling.BOX), int)
    assert np.abs(images.images[0] - expected).mean() < 2


def test_a_folder_of_grey_pictures_has_one_channel(tmp_path):
    grey = picture(40, 30)[..., 0]
    save(tmp_path / "a.png", grey)
    save(tmp_path / "b.png", np.repeat(grey[..., None], 3, axis=-1))
    save(tmp_path / "c.jpg", grey)
    images, _ = read(tmp_path)
    assert images.images.shape == (3, 32, 32, 1)
    np.testing.assert_array_equal(images.images[0], images.images[1])
    save(tmp_path / "d.png", blocks(RED))
    images, _ = read(tmp_path)
    assert images.images.shape == (4, 32, 32, 3)
    assert (images.images[:3] == images.images[:3, :, :, :1]).all()


def bad_files(folder):
    whole = io.BytesIO()
    Image.fromarray(picture(40, 30)).save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[:500])
    (folder / "empty.png").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<html>not found</html>")
    (folder / "nowhere.png").symlink_to(folder / "absent.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")


BAD = ("cut", "empty", "loop", "nowhere", "page")


def test_unreadable_pictures_are_counted_and_named(tmp_path):
    save(tmp_path / "dogs" / "good.jpg")
    (tmp_path / "cats").mkdir()
    bad_files(tmp_path / "cats")
    images, faults = read(tmp_path)
    assert images.source_ids.tolist() == ["dogs/good"]
    assert images.class_names == ("dogs",)
    assert [fault.name for fault in faults] == [f"cats/{name}" for name in BAD]
    assert {fault.reason for fault in faults} == {Reason.UNREADABLE_PHOTOGRAPH}
    with pytest.raises(DogganError, match=r"cats/cut\.jpg: cats/cut: photograph that is truncated .*without strict"):
        read(tmp_path, strict=True)
    pool = [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    for thread in pool:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in pool)


def test_not_one_readable_picture(tmp_path):
    bad_files(tmp_path)
    with pytest.raises(DogganError, match="not one of its 5 pictures can be read, the first fault being cut: photo"):
        read(tmp_path)


def test_the_second_file_of_an_id_is_left_out_and_named(tmp_path):
    save(tmp_path / "a.jpg", blocks(RED))
    save(tmp_path / "a.png", blocks(GREEN))
    images, faults = read(tmp_path)
    assert images.source_ids.tolist() == ["a"]
    assert [(fault.reason, fault.name) for fault in faults] == [(Reason.TWICE, "a")]
    with pytest.raises(DogganError, match=r"a\.png: a: second file with the same id .*a\.png beside"):
        read(tmp_path, strict=True)


def test_the_same_name_in_two_classes_is_two_pictures(tmp_path):
    save(tmp_path / "x" / "1.png")
    save(tmp_path / "y" / "1.png")
    assert read(tmp_path)[0].source_ids.tolist() == ["x/1", "y/1"]


def test_pictures_on_both_levels_are_refused(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "class" / "b.png")
    with pytest.raises(DogganError, match=r"holds pictures directly \(a\.png\) and in folders \(class/b\.png\)"):
        read(tmp_path)


def test_hidden_files_links_back_and_deeper_folders_do_not_count(tmp_path):
    folder = tmp_path / "pictures"
    save(folder / "a.png")
    save(folder / ".hidden.png")
    save(folder / ".thumbnails" / "a.png")
    save(folder / "deep" / "er" / "a.png")
    (folder / "self").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe.png")
    images, faults = read(folder)
    assert images.source_ids.tolist() == ["a"]
    assert faults == ()


@pytest.mark.parametrize("name", ["été 犬", "a b", "dots.in.it", "n%s"])
def test_names_with_spaces_and_beyond_ascii(tmp_path, name):
    save(tmp_path / name / f"{name}.png")
    images, _ = read(tmp_path, strict=True)
    assert images.source_ids.tolist() == [f"{name}/{name}"]
    assert images.class_names == (name,)


def test_names_that_are_not_utf8_can_be_printed(tmp_path):
    save(tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    images, _ = read(tmp_path)
    assert images.source_ids[0].encode() == b"\\xff"


def test_held_out_by_id_and_the_same_whatever_the_threads(tmp_path):
    for i in range(40):
        save(tmp_path / f"class{i % 2}" / f"{i}.png", np.full((8, 8, 3), 5 * i, np.uint8))
    one, many = (read(tmp_path, holdout=0.3, workers=workers)[0] for workers in (1, 3))
    assert one.split.tolist() == [int(is_heldout(name, 0.3)) for name in one.source_ids.tolist()]
    assert 0 < one.split.sum() < 40
    for name in ("images", "labels", "source_ids", "boxes", "split"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


def test_sources_that_cannot_be_used(tmp_path):
    with pytest.raises(DogganError, match="absent does not exist; name the folder"):
        read(tmp_path / "absent")
    file = save(tmp_path / "in" / "a.png")
    with pytest.raises(DogganError, match=r"a\.png is a file; unpack it, or name the folder"):
        read(file)
    (tmp_path / "none").mkdir()
    with pytest.raises(DogganError, match=r"none holds no pictures \(\.bmp, .*\), neither directly nor in the"):
        read(tmp_path / "none")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": 65}, "size 65 is not one of 32"),
        ({"crop": "square"}, "crop 'square' is not one of center, whole"),
        ({"holdout": 1}, "holdout 1 "),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_arguments_out_of_range(tmp_path, kwargs, message):
    save(tmp_path / "a.png")
    with pytest.raises(DogganError, match=message):
        read(tmp_path, **kwargs)


def test_progress_is_shown_only_when_asked_for(tmp_path, capfd):
    save(tmp_path / "a.png")
    read(tmp_path)
    assert capfd.readouterr() == ("", "")
    read(tmp_path, progress=True)
    assert "1/1" in capfd.readouterr().err


def test_the_real_facades(shared_data, tmp_path):
    with zipfile.ZipFile(shared_data / "facades" / "facades-120.zip") as archive:
        archive.extractall(tmp_path)
    images, faults = read(tmp_path / "facades", size=64)
    assert faults == ()
    assert images.images.shape == (120, 64, 64, 3)
    assert images.labels is None
    assert (images.boxes == [0, 0, 256, 256]).all()
    with Image.open(tmp_path / "facades" / f"{images.source_ids[7]}.jpg") as file:
        expected = np.asarray(file.convert("RGB").resize((64, 64), Image.Resampling.BOX), int)
    assert np.abs(images.images[7] - expected).max() <= 3
    assert read(tmp_path)[0].class_names == ("facades",)
