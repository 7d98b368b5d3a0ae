import io
import os
import signal
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from dogtree import BLENHEIM, CHIHUAHUA, PAPILLON, Tree, picture, xml
from PIL import Image

from doggan.data import prepare as prepare_module
from doggan.data.annotations import BoundingBox
from doggan.data.arguments import SIZES
from doggan.data.crops import CROP_RULES, cut
from doggan.data.faults import Fault, Reason
from doggan.data.imageset import ImageSet
from doggan.data.photos import read_photograph
from doggan.data.prepare import prepare
from doggan.data.split import is_heldout
from doggan.data.summary import PrepareSummary
from doggan.errors import DogganError

BOX = (20, 10, 80, 70)


def jpeg(pixels, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def run(tree, tmp_path, **kwargs):
    out = tmp_path / "out" / "dogs.npz"
    summary = prepare(tree.root, out, progress=False, **kwargs)
    return summary, ImageSet.load(out)


@pytest.fixture
def tree(tmp_path):
    """Three good photographs of two breeds, one of them with two dogs."""
    tree = Tree(tmp_path / "source")
    tree.dog("n02086646_2", breed=BLENHEIM, seed=1)
    tree.dog("n02085620_7", [BOX, (30, 30, 60, 80)], seed=2)
    tree.dog("n02085620_10", seed=3)
    return tree


@pytest.mark.parametrize("kind", ["stanford", "kaggle"])
def test_one_picture_per_object_in_order(tmp_path, kind):
    tree = Tree(tmp_path / "source", kind)
    tree.dog("n02086646_2", breed=BLENHEIM, seed=1)
    tree.dog("n02085620_7", [BOX, (30, 30, 60, 80)], seed=2)
    summary, image_set = run(tree, tmp_path)
    assert list(image_set.source_ids) == ["n02085620_7", "n02085620_7", "n02086646_2"]
    assert image_set.class_names == ("Chihuahua", "Blenheim_spaniel")
    assert list(image_set.labels) == [0, 0, 1]
    # 60 × 60 + 8 about (50, 40); 30 × 50 + 8 about (45, 55), shifted up from 26…84 by nothing
    assert image_set.boxes.tolist() == [[16, 6, 84, 74], [16, 26, 74, 84], [16, 6, 84, 74]]
    assert image_set.images.shape == (3, 64, 64, 3)
    assert image_set.images.dtype == np.uint8
    photograph = read_photograph(tree.photograph_path("n02085620_7"))
    np.testing.assert_array_equal(image_set.images[1], cut(photograph, BoundingBox(16, 26, 74, 84), 64))
    assert (summary.layout, summary.photographs, summary.annotations) == (kind, 2, 2)
    assert (summary.boxes, summary.pictures, summary.classes) == (3, 3, 2)
    assert summary.faults == ()
    assert summary.seconds > 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", CROP_RULES)
def test_sizes_and_rules(tree, tmp_path, size, crop):
    _, image_set = run(tree, tmp_path, size=size, crop=crop)
    assert image_set.crop == crop
    region = CROP_RULES[crop](BoundingBox(*BOX), 120, 90)
    assert tuple(image_set.boxes[0]) == (region.xmin, region.ymin, region.xmax, region.ymax)
    photograph = read_photograph(tree.photograph_path("n02085620_10"))
    np.testing.assert_array_equal(image_set.images[0], cut(photograph, region, size))


def test_whole_gives_one_picture_per_photograph_whatever_its_boxes(tree, tmp_path):
    tree.photograph("n02085620_8")
    tree.annotation("n02085620_8", [("x", 1, 2, 3)])
    summary, image_set = run(tree, tmp_path, crop="whole")
    assert list(image_set.source_ids) == ["n02085620_10", "n02085620_7", "n02085620_8", "n02086646_2"]
    assert image_set.boxes.tolist() == [[0, 0, 120, 90]] * 4
    expected = cv2.resize(read_photograph(tree.photograph_path("n02085620_7")), (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(image_set.images[1], expected)
    assert summary.faults == ()


def bomb(name):
    return f'<!DOCTYPE a [<!ENTITY a "{name}"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>'


HALF = jpeg(picture())
# What is added to the good tree, and the reason it is named with. Photographs of None are good.
FAULTS = {
    "truncated": (HALF[: len(HALF) // 2], [BOX], Reason.UNREADABLE_PHOTOGRAPH),
    "not a picture": (b"<html>not found</html>", [BOX], Reason.UNREADABLE_PHOTOGRAPH),
    "empty file": (b"", [BOX], Reason.UNREADABLE_PHOTOGRAPH),
    "XML missing": (None, None, Reason.NO_ANNOTATION),
    "photograph missing": ("none", [BOX], Reason.NO_PHOTOGRAPH),
    "XML broken": (None, "<annotation><object>", Reason.BROKEN_ANNOTATION),
    "XML empty": (None, "", Reason.BROKEN_ANNOTATION),
    "entity bomb": (None, bomb("lol"), Reason.UNSAFE_ANNOTATION),
    "no object": (None, [], Reason.NO_OBJECT),
    "not a number": (None, [("a", 1, 2, 3)], Reason.BOX_NOT_A_NUMBER),
    "inverted": (None, [(80, 10, 20, 70)], Reason.BOX_INVERTED),
    "empty": (None, [(20, 10, 20, 70)], Reason.BOX_EMPTY),
    "outside": (None, [(130, 10, 190, 70)], Reason.BOX_OUTSIDE),
    "reaching outside": (None, [(90, 10, 125, 95)], Reason.BOX_CLAMPED),
    "other size": (None, xml([BOX], size=(500, 375)), Reason.SIZE_DIFFERS),
}


def add_fault(tree, case, name="n02085620_9"):
    photograph, annotation, reason = FAULTS[case]
    if photograph != "none":
        tree.photograph(name, photograph)
    if annotation is not None:
        tree.annotation(name, annotation)
    return reason


def workers():
    """The running threads of pools; tqdm's own monitor thread stays when a bar has been used.

    One whose start was interrupted is unknown to its pool: it never runs, or finds the pool closed a moment later.
    """
    pools = [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    running = [thread for thread in pools if thread.is_alive()]
    for thread in running:
        thread.join(timeout=5)
    return [thread for thread in running if thread.is_alive()]


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_counted_and_named_and_stops_nothing(tree, tmp_path, case):
    reason = add_fault(tree, case)
    summary, image_set = run(tree, tmp_path)
    used = reason.action != "skipped"
    assert len(image_set) == summary.pictures == 4 + used
    assert ("n02085620_9" in image_set.source_ids) == used
    assert {key: len(names) for key, names in summary.by_reason().items()} == {reason: 1}
    assert summary.faults[0].name.startswith("n02085620_9")
    assert f"{reason.action}: 1 × {reason}: n02085620_9" in str(summary)


@pytest.mark.parametrize("case", FAULTS)
def test_strict_makes_a_fault_an_error_that_names_the_file(tree, tmp_path, case):
    reason = add_fault(tree, case)
    with pytest.raises(DogganError) as caught:
        run(tree, tmp_path, strict=True)
    assert "n02085620_9" in str(caught.value)
    assert str(tree.root) in str(caught.value)
    assert reason in str(caught.value)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
    assert workers() == []


def test_strict_accepts_a_tree_without_faults(tree, tmp_path):
    summary, _ = run(tree, tmp_path, strict=True)
    assert summary.pictures == 4


def test_all_faults_at_once(tree, tmp_path):
    reasons = Counter(add_fault(tree, case, f"n02085620_{100 + i}") for i, case in enumerate(FAULTS))
    summary, image_set = run(tree, tmp_path)
    assert {reason: summary.count(reason) for reason in reasons} == dict(reasons)
    assert len(summary.faults) == len(FAULTS)
    assert len(image_set) == 4 + 2


def test_a_clamped_box(tree, tmp_path):
    add_fault(tree, "reaching outside")
    summary, image_set = run(tree, tmp_path, crop="box")
    assert image_set.boxes[image_set.source_ids == "n02085620_9"].tolist() == [[90, 10, 120, 90]]
    assert summary.faults == (Fault(Reason.BOX_CLAMPED, "n02085620_9 object 1", "90, 10, 125, 95 in 120×90"),)


def test_good_boxes_beside_bad_ones_are_used(tmp_path):
    tree = Tree(tmp_path / "source")
    tree.dog("n02085620_7", [(9, 9, 1, 20), BOX, ("", 1, 2, 3), (500, 1, 600, 20), (0, 0, 50, 50)])
    summary, image_set = run(tree, tmp_path, crop="box")
    assert image_set.boxes.tolist() == [list(BOX), [0, 0, 50, 50]]
    assert summary.boxes == 5
    assert [fault.name[-1] for fault in summary.faults] == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (jpeg(picture(), "CMYK"), 4),
        (jpeg(picture(), "L"), None),
        (cv2.imencode(".png", picture()[..., ::-1].astype(np.uint16) * 257)[1].tobytes(), 0),
    ],
    ids=["CMYK", "grey", "16 bits"],
)
def test_unusual_pictures_are_used(tmp_path, data, tolerance):
    tree = Tree(tmp_path / "source")
    tree.photograph("n02085620_7", data)
    tree.annotation("n02085620_7")
    _, image_set = run(tree, tmp_path, crop="whole", strict=True)
    expected = cut(picture(), BoundingBox(0, 0, 120, 90), 64).astype(int)
    if tolerance is None:
        assert (image_set.images[..., 0] == image_set.images[..., 2]).all()
    else:
        assert np.abs(image_set.images[0] - expected).mean() <= tolerance


@pytest.mark.parametrize("crop", CROP_RULES)
def test_a_photograph_of_one_pixel(tmp_path, crop):
    tree = Tree(tmp_path / "source")
    tree.photograph("n02085620_7", jpeg(np.full((1, 1, 3), 90, np.uint8)))
    tree.annotation("n02085620_7", [(0, 0, 1, 1)], size=(1, 1))
    summary, image_set = run(tree, tmp_path, crop=crop, fast_decode=True)
    assert (image_set.images == 90).all()
    assert summary.faults == ()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("fast_decode", [False, True])
def test_an_exif_rotated_photograph_comes_out_upright(tmp_path, orientation, fast_decode):
    """One scene stored turned, its box in the stored frame, and in the upright one if the size says so."""
    scene = picture(360, 270)
    turned = {1: scene, 3: np.rot90(scene, 2), 6: np.rot90(scene), 8: np.rot90(scene, -1)}[orientation]
    height, width = turned.shape[:2]
    upright_box, w, h = (40, 20, 240, 220), 360, 270
    a, b, c, d = upright_box
    stored_box = {
        1: upright_box,
        3: (w - c, h - d, w - a, h - b),
        6: (b, w - c, d, w - a),
        8: (h - d, a, h - b, c),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    tree = Tree(tmp_path / "source")
    data = jpeg(np.ascontiguousarray(turned), exif=exif, subsampling=0)
    for name in ("n02085620_1", "n02085620_2"):
        tree.photograph(name, data)
    tree.annotation("n02085620_1", [stored_box[orientation]], size=(width, height))
    tree.annotation("n02085620_2", [upright_box], size=(360, 270))
    summary, image_set = run(tree, tmp_path, crop="box", fast_decode=fast_decode)
    assert summary.faults == ()
    expected = cut(scene, BoundingBox(*upright_box), 64).astype(int)
    assert np.abs(image_set.images[0] - expected).mean() < 2
    if orientation != 3:  # upside down, the size cannot tell the frames apart: the stored one is assumed
        assert np.abs(image_set.images[1] - expected).mean() < 2


@pytest.mark.parametrize("name", ["a dog", "Épagneul été", "犬", "n02085620_7%s", "dots.in.it"])
def test_names_with_spaces_and_beyond_ascii(tmp_path, name):
    tree = Tree(tmp_path / "a source été", "stanford")
    tree.dog(name)
    summary, image_set = run(tree, tmp_path, strict=True)
    assert list(image_set.source_ids) == [name]
    assert str(summary)


def test_held_out_by_a_hash_that_never_changes():
    # SHA-256 of the id, its first 16 hexadecimal digits over 2⁶⁴, computed with `sha256sum`.
    assert [is_heldout("n02085620_7", share) for share in (0.0, HASH_OF_7 - 1e-9, HASH_OF_7 + 1e-9)] == [
        False,
        False,
        True,
    ]
    ids = [f"n02085620_{i}" for i in range(5000)]
    tenth = {name for name in ids if is_heldout(name, 0.1)}
    assert 420 < len(tenth) < 580
    assert tenth < {name for name in ids if is_heldout(name, 0.2)}


HASH_OF_7 = 0xD2E6D9C7E693DDAE / 2**64


def test_the_split_is_by_photograph_and_does_not_depend_on_the_others(tmp_path):
    few, many = Tree(tmp_path / "few"), Tree(tmp_path / "many")
    for i in range(40):
        boxes = [BOX, (0, 0, 50, 50)]
        many.dog(f"n02085620_{i}", boxes, PAPILLON if i % 3 else CHIHUAHUA)
        if i % 4 == 0:
            few.dog(f"n02085620_{i}", boxes)
    parts = []
    for tree in (few, many):
        summary, image_set = run(tree, tmp_path, holdout=0.3)
        training, heldout = set(image_set.training().source_ids), set(image_set.heldout().source_ids)
        assert training
        assert heldout
        assert not training & heldout
        assert (summary.training, summary.heldout) == (len(image_set.training()), len(image_set.heldout()))
        parts.append(heldout)
    assert parts[0] == parts[1] & {f"n02085620_{i}" for i in range(0, 40, 4)}


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path):
    tree = Tree(tmp_path / "source")
    for i in range(50):
        tree.dog(f"n02085620_{i}", [BOX] * (1 + i % 3), seed=i)
    one, many = (run(tree, tmp_path, workers=workers, holdout=0.2)[1] for workers in (1, 5))
    for name in ("images", "labels", "source_ids", "boxes", "split"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
    assert list(one.source_ids) == sorted(one.source_ids)


def test_fast_decode_changes_little_and_only_large_crops(tmp_path):
    tree = Tree(tmp_path / "source")
    tree.dog("n02085620_1", [(100, 60, 500, 430)], width=640, height=480)
    tree.dog("n02085620_2", [BOX])
    tree.annotation("n02085620_1", [(100, 60, 500, 430)], size=(640, 480))
    (_, exact), (_, fast) = run(tree, tmp_path), run(tree, tmp_path, fast_decode=True)
    difference = np.abs(exact.images.astype(int) - fast.images).mean(axis=(1, 2, 3))
    assert 0 < difference[0] < 2
    assert difference[1] == 0
    np.testing.assert_array_equal(exact.boxes, fast.boxes)


def test_ctrl_c_stops_it_at_once_and_leaves_nothing(tmp_path, monkeypatch):
    tree = Tree(tmp_path / "source")
    for i in range(300):
        tree.dog(f"n02085620_{i}", width=20, height=20)
    opened = []
    original = prepare_module.open_photograph

    def interrupted(path):
        opened.append(path)
        if len(opened) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return original(path)

    monkeypatch.setattr(prepare_module, "open_photograph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tree.root, tmp_path / "out" / "dogs.npz", progress=False, workers=2)
    assert len(opened) < 250
    assert workers() == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": 50}, "size 50 is not one of 32, 40, 48, 64, 80, 96, 128"),
        ({"crop": "round"}, "crop 'round' is not one of square, reference, box, margin, padded, whole"),
        ({"holdout": 1.0}, r"holdout 1.0 is not a share in \[0, 1\)"),
        ({"holdout": -0.1}, "holdout -0.1"),
        ({"holdout": float("nan")}, "holdout nan"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_arguments_out_of_range(tree, tmp_path, kwargs, message):
    with pytest.raises(DogganError, match=message):
        run(tree, tmp_path, **kwargs)


def test_places_that_cannot_be_written(tree, tmp_path):
    with pytest.raises(DogganError, match="is a folder; name a file in it"):
        prepare(tree.root, tmp_path, progress=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DogganError, match="is not a writable folder"):
        prepare(tree.root, tmp_path / "file" / "dogs.npz", progress=False)


def test_not_one_picture_is_an_error_and_keeps_the_old_file(tmp_path):
    tree = Tree(tmp_path / "source")
    tree.photograph("n02085620_7", b"x")
    tree.annotation("n02085620_7")
    out = tmp_path / "dogs.npz"
    out.write_text("old")
    with pytest.raises(DogganError, match=r"not one picture could be cut, .*n02085620_7: photograph that is trunc"):
        prepare(tree.root, out, progress=False)
    assert out.read_text() == "old"


def test_progress_is_shown_only_when_asked_for(tree, tmp_path, capfd):
    prepare(tree.root, tmp_path / "dogs.npz", progress=False)
    assert capfd.readouterr() == ("", "")
    prepare(tree.root, tmp_path / "dogs.npz", progress=True)
    assert "3/3" in capfd.readouterr().err


def test_the_summary_in_words():
    faults = [Fault(Reason.NO_PHOTOGRAPH, f"n1_{i}") for i in range(1234)]
    summary = PrepareSummary(
        *(Path("dogs64.npz"), "kaggle", 450, 1684, 450, 492, 491, 441, 50, 97, 64, "square"),
        faults=(*faults, Fault(Reason.BOX_CLAMPED, "n2_7 object 2", "1, 2, 3, 4 in 2×2")),
        seconds=0.5,
    )
    assert str(summary).splitlines() == [
        "450 photographs and 1,684 annotations (kaggle layout)",
        "492 boxes on 450 photographs with both",
        "491 pictures of 64×64, crop square, 97 breeds: 441 for training, 50 held out",
        "skipped: 1,234 × annotation without a photograph: "
        + ", ".join(f"n1_{i}" for i in range(10))
        + " and 1,224 more",
        "clamped: 1 × box reaching outside the photograph: n2_7 object 2",
        "dogs64.npz in 0.5 s, 900 photographs a second",
    ]
