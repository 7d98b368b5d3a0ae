"""The synthetic tree: its files, its XML, its exact boxes, and whether its breeds can be told apart."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from doggan.data import synthetic
from doggan.data.annotations import BoundingBox, parse_annotation
from doggan.data.synthetic import annotation_xml, breed_of, draw_photograph, draw_tree, photograph_id
from doggan.data.synthetic_bodies import BODIES
from doggan.data.synthetic_breeds import BREEDS, POSES, Pose
from doggan.data.synthetic_canvas import Canvas, Frame, Fur, ellipse, outline, symmetric, tufted
from doggan.data.synthetic_dogs import draw_dog
from doggan.data.synthetic_heads import EARS, MARKINGS
from doggan.data.synthetic_scenes import SCENES, draw_scene
from doggan.errors import DogganError

# n02085620_10074 as Stanford publishes it, with the values that differ between photographs taken out.
PUBLISHED = (
    "<annotation>\n\t<folder>{}</folder>\n\t<filename>{}</filename>\n\t<source>\n\t\t<database>{}</database>\n"
    "\t</source>\n\t<size>\n\t\t<width>{}</width>\n\t\t<height>{}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
    "\t<segment>0</segment>\n\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n"
    "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{}</xmin>\n"
    "\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n\t\t</bndbox>\n\t</object>\n</annotation>"
)
N_TREE = 24


@pytest.fixture(scope="module")
def stanford(tmp_path_factory):
    return draw_tree(tmp_path_factory.mktemp("stanford") / "tree", N_TREE, seed=3, progress=False, workers=2)


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    root = tmp_path_factory.mktemp("kaggle")
    return draw_tree(root, N_TREE, seed=3, layout="kaggle", progress=False, workers=1)


@pytest.fixture(scope="module")
def photographs():
    """The first 100 photographs of seed 0 with their boxes."""
    return [draw_photograph(0, index, breed_of(index)) for index in range(100)]


def files_of(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_the_stanford_layout_has_one_photograph_and_one_annotation_each(stanford):
    expected = []
    for index in range(N_TREE):
        folder, name = breed_of(index).folder, photograph_id(index)
        expected += [f"Images/{folder}/{name}.jpg", f"Annotation/{folder}/{name}"]
    assert files_of(stanford.root) == sorted(expected)
    assert (stanford.images, stanford.annotations) == (stanford.root / "Images", stanford.root / "Annotation")


def test_the_kaggle_layout_has_all_photographs_in_one_folder(kaggle):
    expected = []
    for index in range(N_TREE):
        name = photograph_id(index)
        expected += [
            f"all-dogs/all-dogs/{name}.jpg",
            f"annotation/Annotation/{breed_of(index).folder}/{name}",
        ]
    assert files_of(kaggle.root) == sorted(expected)


def test_layout_and_number_of_workers_change_no_byte(stanford, kaggle):
    ours = {Path(name).name: (stanford.root / name).read_bytes() for name in files_of(stanford.root)}
    theirs = {Path(name).name: (kaggle.root / name).read_bytes() for name in files_of(kaggle.root)}
    assert ours == theirs


def test_the_summary_counts_what_the_files_hold(stanford):
    counted: dict[str, int] = {}
    for path in stanford.annotations.glob("*/*"):
        counted.setdefault(path.parent.name, 0)
        counted[path.parent.name] += len(ElementTree.parse(path).findall("object"))
    assert stanford.breeds == counted
    assert stanford.dogs == sum(counted.values())
    assert stanford.photographs == N_TREE


def test_the_xml_is_the_published_text_but_for_its_values():
    breed = BREEDS[3]
    box = BoundingBox(25, 10, 276, 498)
    text = annotation_xml(breed, "n90000004_3", 333, 500, [box])
    filled = PUBLISHED.format(
        "90000004", "n90000004_3", "doggan synthetic", 333, 500, "black-and-tan_hound", 25, 10, 276, 498
    )
    assert text == filled


def test_the_published_text_is_what_stanford_published(shared_data):
    import tarfile

    with tarfile.open(shared_data / "stanford-dogs" / "annotation.tar.xz") as archive:
        file = archive.extractfile("annotation/Annotation/n02085620-Chihuahua/n02085620_10074")
        published = file.read().decode()
    values = "02085620", "n02085620_10074", "ImageNet database", 333, 500, "Chihuahua", 25, 10, 276, 498
    assert published == PUBLISHED.format(*values)


def test_an_annotation_states_its_photograph_and_has_an_object_per_dog(stanford):
    for index in range(N_TREE):
        breed, name = breed_of(index), photograph_id(index)
        annotation = ElementTree.parse(stanford.annotations / breed.folder / name)
        photo = cv2.imread(str(stanford.images / breed.folder / f"{name}.jpg"))
        _, boxes = draw_photograph(3, index, breed)
        assert annotation.findtext("filename") == name
        size = tuple(int(annotation.findtext(f"size/{tag}", "")) for tag in ("height", "width", "depth"))
        assert size == photo.shape
        written = [tuple(int(tag.text) for tag in box) for box in annotation.iter("bndbox")]
        assert written == [(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes]
        assert {tag.text for tag in annotation.iterfind("object/name")} == {breed.name}


def test_the_jpeg_shows_what_was_drawn_in_the_right_order_of_colours(stanford):
    for index in (0, 4):
        breed = breed_of(index)
        path = stanford.images / breed.folder / f"{photograph_id(index)}.jpg"
        decoded = cv2.imread(str(path))[..., ::-1].astype(int)
        drawn, _ = draw_photograph(3, index, breed)
        assert np.abs(decoded - drawn).mean() < 4


def test_a_photograph_is_a_function_of_seed_and_index():
    first, boxes = draw_photograph(5, 7, BREEDS[7])
    again, boxes_again = draw_photograph(5, 7, BREEDS[7])
    np.testing.assert_array_equal(first, again)
    assert boxes == boxes_again
    for other in (draw_photograph(6, 7, BREEDS[7])[0], draw_photograph(5, 17, BREEDS[7])[0]):
        assert other.shape != first.shape or np.abs(other.astype(int) - first).mean() > 10


def test_photographs_hold_one_to_three_dogs_in_columns_of_their_own(photographs):
    counts = set()
    for photo, boxes in photographs:
        height, width = photo.shape[:2]
        counts.add(len(boxes))
        assert photo.dtype == np.uint8
        assert photo.shape[2] == 3
        assert 200 <= min(height, width) <= max(height, width) <= 400
        for box in boxes:
            assert 0 <= box.xmin < box.xmax <= width
            assert 0 <= box.ymin < box.ymax <= height
            assert max(box.width, box.height) >= 64
        assert all(left.xmax <= right.xmin for left, right in pairwise(boxes))
    assert counts == {1, 2, 3}


def test_a_square_cut_with_a_margin_fits_into_the_photograph(photographs):
    for photo, boxes in photographs:
        assert all(max(box.width, box.height) + 8 <= min(photo.shape[:2]) for box in boxes)


@pytest.mark.parametrize("index", range(20))
def test_boxes_are_tight_around_the_dogs(monkeypatch, index):
    """Before black and before white, pictures differ by 255 where there is no dog, by 0 where there is."""
    pictures = []
    monkeypatch.setattr(synthetic, "_ground_shadow", lambda *_: None)
    monkeypatch.setattr(synthetic, "_developed", lambda photo, _: photo)
    for grey in (0, 255):

        def flat(breed, width, height, rng, grey=grey):
            return np.full((height, width, 3), grey, np.float32)

        monkeypatch.setattr(synthetic, "_contrasting_scene", flat)
        picture, boxes = draw_photograph(2, index, breed_of(index))
        pictures.append(picture.mean(-1))
    dog = pictures[1] - pictures[0] < 127.6
    outside = dog.copy()
    for box in boxes:
        window = dog[box.ymin : box.ymax, box.xmin : box.xmax]
        outside[box.ymin : box.ymax, box.xmin : box.xmax] = False
        for border in (window[0], window[-1], window[:, 0], window[:, -1]):
            assert border.any()
        assert window.mean() > 0.4
    assert not outside.any()


@pytest.mark.parametrize("kind", POSES)
@pytest.mark.parametrize("breed", BREEDS, ids=lambda breed: breed.name)
def test_a_dog_fills_the_room_it_is_given(breed, kind):
    colour, cover = draw_dog(breed, Pose(kind), (120, 150), np.random.default_rng(0))
    height, width = cover.shape
    assert colour.shape == (height, width, 3)
    assert (colour.dtype, cover.dtype) == (np.uint8, np.float32)
    assert width <= 120
    assert height <= 150
    assert width > 112 or height > 142
    assert cover.min() >= 0
    assert cover.max() <= 1.0 + 1e-6
    solid = cover >= 0.5
    assert solid[0].any()
    assert solid[-1].any()
    assert solid[:, 0].any()
    assert solid[:, -1].any()
    assert cv2.connectedComponents(solid.astype(np.uint8))[0] == 2  # the background and one dog in one piece


def test_a_mirrored_dog_is_the_mirror_image():
    pose = Pose(turn=0.7, tilt=0.1, light=(0.4, -0.9))
    colour, cover = draw_dog(BREEDS[0], pose, (100, 100), np.random.default_rng(1))
    seen_in_mirror = Pose(turn=0.7, tilt=0.1, light=(-0.4, -0.9), mirror=True)
    mirrored, mirrored_cover = draw_dog(BREEDS[0], seen_in_mirror, (100, 100), np.random.default_rng(1))
    np.testing.assert_array_equal(mirrored_cover, cover[:, ::-1])
    np.testing.assert_array_equal(mirrored, colour[:, ::-1])


def test_a_dog_has_dark_eyes_and_nose_in_a_light_face():
    breed = next(breed for breed in BREEDS if breed.name == "golden_gundog")
    colour, cover = draw_dog(breed, Pose(), (200, 200), np.random.default_rng(0))
    colour[cover < 1] = 255
    dark = (cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY) < 60).astype(np.uint8)
    dark = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))  # the iris is lighter
    _, _, stats, centres = cv2.connectedComponentsWithStats(dark[: int(0.7 * len(dark))])
    large = [(x, y) for (x, y), area in zip(centres[1:], stats[1:, cv2.CC_STAT_AREA], strict=True) if area > 25]
    assert len(large) == 3
    (left, eye_y), (middle, nose_y), (right, other_y) = sorted(large)
    assert abs(eye_y - other_y) < 6
    assert nose_y > eye_y + 10
    assert middle == pytest.approx((left + right) / 2, abs=8)


def test_too_little_room_is_an_error():
    with pytest.raises(ValueError, match="16 × 16"):
        draw_dog(BREEDS[0], Pose(), (100, 8), np.random.default_rng(0))


def features(crop: np.ndarray) -> np.ndarray:
    """A 64×64 crop's coarse colours and the strength of its edges, float64 [8·8·3 + 8·8]."""
    colours = cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA).astype(float)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edges = cv2.resize(edges, (8, 8), interpolation=cv2.INTER_AREA)
    return np.concatenate([colours.ravel(), edges.ravel()])


def test_breeds_can_be_told_apart_on_photographs_not_seen(photographs):
    x, y, source = [], [], []
    for index, (photo, boxes) in enumerate(photographs):
        for box in boxes:
            window = photo[box.ymin : box.ymax, box.xmin : box.xmax]
            x.append(features(cv2.resize(window, (64, 64), interpolation=cv2.INTER_AREA)))
            y.append(index % len(BREEDS))
            source.append(index)
    x, y, seen = np.array(x), np.array(y), np.array(source) < 60
    x = (x - x[seen].mean(0)) / x[seen].std(0)
    centroids = np.stack([x[seen & (y == breed)].mean(0) for breed in range(len(BREEDS))])
    nearest = np.linalg.norm(x[~seen][:, None] - centroids, axis=-1).argmin(1)
    assert np.mean(nearest == y[~seen]) > 0.8  # chance is 0.1


def test_breeds_are_named_as_in_the_published_folders_and_are_not_imagenets():
    assert len(BREEDS) >= 8
    assert len({breed.synset for breed in BREEDS}) == len({breed.name for breed in BREEDS}) == len(BREEDS)
    assert any("-" in breed.name for breed in BREEDS)
    for breed in BREEDS:
        assert re.fullmatch(r"n9\d{7}-[A-Za-z_-]+", breed.folder)
        assert breed.ears in EARS
        assert {name for name, _ in breed.markings} <= set(MARKINGS)
    assert set(BODIES) == set(POSES)


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_out_of_focus_and_in_range(name):
    scene = draw_scene(name, 161, 203, np.random.default_rng(0))
    assert scene.shape == (203, 161, 3)
    assert scene.dtype == np.float32
    assert scene.min() >= 0
    assert scene.max() <= 255
    assert np.abs(np.diff(scene, axis=1)).max() < 25


def test_outlines_are_smooth_symmetric_and_inside_their_corners():
    shape = symmetric((0, -1), (1, -0.5), (0.8, 0.7), (0, 1))
    np.testing.assert_allclose(np.sort(shape[:, 0]), np.sort(-shape[:, 0]), atol=1e-12)
    assert np.abs(shape).max() <= 1
    # One round of corner cutting on the unit square, by hand: each corner becomes two points at a quarter.
    cut = outline((0, 0), (1, 0), (1, 1), (0, 1), rounds=1)
    by_hand = [(0.25, 0), (0.75, 0), (1, 0.25), (1, 0.75), (0.75, 1), (0.25, 1), (0, 0.75), (0, 0.25)]
    np.testing.assert_allclose(cut, by_hand)


@pytest.mark.parametrize("turned", [1, -1])
def test_tufts_point_outwards_by_at_most_their_depth(turned):
    circle = ellipse(0, 0, 1, 1, n=200)[::turned]
    fur = Fur(depth=0.1, wavelength=0.2)
    radius = np.hypot(*tufted(circle, fur, np.random.default_rng(0)).T)
    assert 0.99 < radius.min() < 1.01
    assert 1.05 < radius.max() < 1.101
    assert tufted(circle, fur.smooth(), np.random.default_rng(0)) is circle


def test_paint_covers_the_shape_and_is_brighter_towards_the_lamp():
    canvas = Canvas(200, 200, (-1.0, 0.0), np.random.default_rng(0))
    canvas.paint(Frame(80, (100, 100)), ellipse(0, 0, 1, 1, n=100), (150, 150, 150))
    assert np.count_nonzero(canvas.mask) == pytest.approx(np.pi * 80**2, rel=0.03)
    assert canvas.rgb[100, 40].mean() > canvas.rgb[100, 160].mean() + 15
    assert (canvas.rgb[canvas.mask == 0] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"photographs": 0}, "at least one"),
        ({"layout": "flat"}, "stanford"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_say_what_is_right(tmp_path, arguments, message):
    with pytest.raises(DogganError, match=message):
        draw_tree(tmp_path / "tree", progress=False, **arguments)
    assert not (tmp_path / "tree").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(DogganError, match="not an empty folder"):
        draw_tree(tmp_path, 1, progress=False)
    assert files_of(tmp_path) == ["mine.txt"]


def test_a_tree_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fails(seed, index, breed):
        if index == 2:
            raise OSError("disk full")
        return draw_photograph(seed, index, breed)

    monkeypatch.setattr(synthetic, "draw_photograph", fails)
    with pytest.raises(OSError, match="disk full"):
        draw_tree(tmp_path / "tree", 4, progress=False)
    assert files_of(tmp_path) == []


def test_the_tree_is_read_by_the_packages_own_reader(stanford):
    annotation = parse_annotation(stanford.annotations / BREEDS[3].folder / photograph_id(3))
    _, boxes = draw_photograph(3, 3, BREEDS[3])
    assert (annotation.synset, annotation.breed) == ("n90000004", "black-and-tan_hound")
    assert [box for _, box in annotation.boxes] == boxes
    assert annotation.faults == ()
