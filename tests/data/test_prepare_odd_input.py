"""Input that is odd rather than wrong: each once brought `prepare` down."""

import pytest
from dogtree import Tree, xml

from doggan.data.faults import Reason
from doggan.data.imageset import ImageSet
from doggan.data.prepare import prepare
from doggan.errors import DogganError

BOX = (20, 10, 80, 70)


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path / "source")
    tree.dog("n02085620_7", [BOX], seed=2)
    return tree


def test_strict_names_the_second_photograph_of_an_id_without_annotation(tree, tmp_path):
    for suffix in (".jpg", ".png"):
        path = tree.photograph_path("n02085620_8", suffix=suffix)
        path.write_bytes(tree.photograph_path("n02085620_7").read_bytes())
    with pytest.raises(DogganError, match=Reason.TWICE) as error:
        prepare(tree.root, tmp_path / "dogs.npz", strict=True, progress=False)
    assert "n02085620_8.png" in str(error.value)


def test_strict_names_a_file_whose_own_name_says_object(tree, tmp_path):
    tree.dog("my object 1", [(80, 10, 20, 70)], seed=3)
    with pytest.raises(DogganError, match=Reason.BOX_INVERTED) as error:
        prepare(tree.root, tmp_path / "dogs.npz", strict=True, progress=False)
    assert str(tree.root) in str(error.value)


def test_a_stated_size_of_thousands_of_digits_is_no_size(tree, tmp_path):
    annotation = next(path for path in tree.root.rglob("n02085620_7") if path.is_file())
    annotation.write_text(xml([BOX], size=("9" * 5000, 90)))
    summary = prepare(tree.root, tmp_path / "dogs.npz", progress=False)
    assert summary.pictures == 1


def test_a_breed_folder_that_is_not_utf_8_gets_a_printable_name(tmp_path):
    import os

    tree = Tree(tmp_path / "source")
    folder = os.fsdecode(b"n02085620-Chihuahua\xff")
    try:
        tree.dog("n02085620_7", [BOX], breed=folder)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    prepare(tree.root, tmp_path / "dogs.npz", progress=False)
    assert ImageSet.load(tmp_path / "dogs.npz").class_names == ("Chihuahua\\xff",)
