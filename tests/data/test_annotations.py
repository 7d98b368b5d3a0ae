import tarfile

import pytest
from dogtree import CHIHUAHUA, xml

from doggan.data.annotations import AnnotationError, BoundingBox, class_names, parse_annotation, source_id
from doggan.data.faults import Reason
from doggan.errors import DogganError

BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<annotation><folder>&lol2;</folder></annotation>"""
EXTERNAL = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY passwords SYSTEM "file:///etc/passwd">]>
<annotation><folder>&passwords;</folder></annotation>"""


@pytest.fixture
def write(tmp_path):
    def write(text, folder=CHIHUAHUA, name="n02085620_7"):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_id_and_breed_come_from_the_path_and_not_from_the_tags(write):
    annotation = parse_annotation(write(xml([(1, 2, 30, 40), (5, 6, 7, 8)], tags="%s")))
    assert (annotation.source_id, annotation.synset, annotation.breed) == (
        "n02085620_7",
        "n02085620",
        "Chihuahua",
    )
    assert (annotation.width, annotation.height, annotation.objects) == (120, 90, 2)
    assert annotation.boxes == ((1, BoundingBox(1, 2, 30, 40)), (2, BoundingBox(5, 6, 7, 8)))
    assert annotation.faults == ()


def test_box_measures():
    box = BoundingBox(3, 4, 13, 24)
    assert (box.width, box.height) == (10, 20)


@pytest.mark.parametrize(
    ("folder", "breed"),
    [
        ("n02085620-Chihuahua", "Chihuahua"),
        ("n02086646-Blenheim_spaniel", "Blenheim_spaniel"),
        ("n02098286-West_Highland_white_terrier", "West_Highland_white_terrier"),
        ("n02108000-EntleBucher", "EntleBucher"),
        ("n02089078-black-and-tan_coonhound", "black-and-tan_coonhound"),
        ("n02094258-Norwich_terrier", "Norwich_terrier"),
    ],
)
def test_breeds_keep_their_hyphens(write, folder, breed):
    assert parse_annotation(write(xml([]), folder)).breed == breed
    assert class_names([folder]) == {folder: breed}


def test_class_names_are_in_order_of_the_synsets_and_a_shared_name_keeps_its_synset():
    folders = ["n00000003-toy", "n00000002-pug", "n00000001-toy", "n00000004-a-b"]
    assert list(class_names([*folders, "n00000002-pug"]).items()) == [
        ("n00000001-toy", "n00000001-toy"),
        ("n00000002-pug", "pug"),
        ("n00000003-toy", "n00000003-toy"),
        ("n00000004-a-b", "a-b"),
    ]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (("abc", 2, 30, 40), Reason.BOX_NOT_A_NUMBER),
        (("", 2, 30, 40), Reason.BOX_NOT_A_NUMBER),
        (("nan", 2, 30, 40), Reason.BOX_NOT_A_NUMBER),
        ((1, 2, "inf", 40), Reason.BOX_NOT_A_NUMBER),
        ((30, 2, 1, 40), Reason.BOX_INVERTED),
        ((1, 40, 30, 2), Reason.BOX_INVERTED),
        ((5, 2, 5, 40), Reason.BOX_EMPTY),
        ((1, 2, 30, 2), Reason.BOX_EMPTY),
    ],
)
def test_a_bad_box_is_named_and_its_neighbours_are_kept(write, box, reason):
    annotation = parse_annotation(write(xml([(1, 2, 3, 4), box, (5, 6, 7, 8)])))
    assert annotation.boxes == ((1, BoundingBox(1, 2, 3, 4)), (3, BoundingBox(5, 6, 7, 8)))
    assert annotation.objects == 3
    (fault,) = annotation.faults
    assert (fault.reason, fault.name) == (reason, "n02085620_7 object 2")


def test_a_missing_corner_is_not_a_number(write):
    text = "<annotation><object><bndbox><xmin>1</xmin></bndbox></object><object/></annotation>"
    annotation = parse_annotation(write(text))
    assert [fault.reason for fault in annotation.faults] == [Reason.BOX_NOT_A_NUMBER] * 2
    assert "no <ymin>" in annotation.faults[0].detail


def test_fractions_of_a_pixel_are_rounded_and_a_missing_size_is_zero(write):
    text = xml([("1.6", " 2 ", "30.2", "1e1")]).replace("<width>120</width>", "<width>wide</width>")
    annotation = parse_annotation(write(text))
    assert annotation.boxes == ((1, BoundingBox(2, 2, 30, 10)),)
    assert (annotation.width, annotation.height) == (0, 90)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, Reason.UNSAFE_ANNOTATION),
        (EXTERNAL, Reason.UNSAFE_ANNOTATION),
        (BOMB.encode("utf-16"), Reason.UNSAFE_ANNOTATION),
        ("<annotation>" + BOMB, Reason.BROKEN_ANNOTATION),
        ("<annotation><!DOCTYPE a [<!ENTITY b 'c'>]>&b;</annotation>", Reason.BROKEN_ANNOTATION),
        ("<annotation>&b;</annotation>", Reason.BROKEN_ANNOTATION),
        ("<annotation><object>", Reason.BROKEN_ANNOTATION),
        ("", Reason.BROKEN_ANNOTATION),
        (b"\xff\xd8\xff\xe0 a picture", Reason.BROKEN_ANNOTATION),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', Reason.BROKEN_ANNOTATION),
        ("<html></html>", Reason.BROKEN_ANNOTATION),
    ],
)
def test_an_unusable_file_is_an_error_that_names_it(write, text, reason):
    path = write(text)
    with pytest.raises(AnnotationError) as caught:
        parse_annotation(path)
    assert caught.value.fault.reason is reason
    assert caught.value.fault.name == "n02085620_7"
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, DogganError)


def test_a_missing_file_and_a_folder_that_is_no_breed(write, tmp_path):
    with pytest.raises(AnnotationError, match="No such file"):
        parse_annotation(tmp_path / CHIHUAHUA / "nothing")
    with pytest.raises(AnnotationError, match="not named <synset>-<breed>"):
        parse_annotation(write(xml([]), folder="Chihuahua"))


def test_ids_do_not_depend_on_suffix_or_unicode_form(tmp_path):
    assert source_id(tmp_path / "n02085620_7.jpg") == source_id(tmp_path / "n02085620_7") == "n02085620_7"
    assert source_id(tmp_path / "n02085620_7.xml") == "n02085620_7"
    assert source_id(tmp_path / "a b.c.JPEG") == "a b.c"
    assert source_id(tmp_path / "e\u0301") == source_id(tmp_path / "\xe9.png") == "\xe9"
    assert source_id(tmp_path / "caf\udce9.jpg") == "caf\\xe9"


def test_the_published_annotations(shared_data, tmp_path):
    with tarfile.open(shared_data / "stanford-dogs" / "annotation.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    parsed = [parse_annotation(path) for path in sorted(tmp_path.glob("annotation/Annotation/*/*"))]
    assert len(parsed) == 20_580
    assert sum(len(annotation.boxes) for annotation in parsed) == 22_126
    assert not any(annotation.faults for annotation in parsed)
    names = class_names(f"{annotation.synset}-{annotation.breed}" for annotation in parsed)
    assert len(names) == len(set(names.values())) == 120
    assert all(name == folder[10:] for folder, name in names.items())
    outside = [
        annotation.source_id
        for annotation in parsed
        for _, box in annotation.boxes
        if min(box.xmin, box.ymin) < 0 or box.xmax > annotation.width or box.ymax > annotation.height
    ]
    assert sorted(outside) == ["n02098105_2063", "n02106030_3948"]
