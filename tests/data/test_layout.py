import pytest
from dogtree import BLENHEIM, CHIHUAHUA, Tree

from doggan.data.faults import Reason
from doggan.data.layout import NoLayout, find_layout
from doggan.errors import DogganError


@pytest.mark.parametrize("kind", ["stanford", "kaggle"])
@pytest.mark.parametrize("above", ["", "generative-dog-images", "competitions/generative-dog-images"])
def test_both_layouts_are_found_wherever_they_are_nested(tmp_path, kind, above):
    tree = Tree(tmp_path / above, kind)
    tree.dog("n02086646_2", breed=BLENHEIM)
    tree.dog("n02085620_7")
    layout = find_layout(tmp_path)
    assert layout.kind == kind
    assert list(layout.photographs) == list(layout.annotations) == ["n02085620_7", "n02086646_2"]
    assert layout.photographs["n02086646_2"] == tree.photograph_path("n02086646_2", BLENHEIM)
    assert layout.annotations["n02086646_2"] == tree.annotation_path("n02086646_2", BLENHEIM)
    assert layout.faults == ()


def test_kaggle_without_the_inner_folders(tmp_path):
    (tmp_path / "all-dogs").mkdir()
    (tmp_path / "all-dogs" / "n02085620_7.JPG").write_bytes(b"x")
    (tmp_path / "annotation" / CHIHUAHUA).mkdir(parents=True)
    (tmp_path / "annotation" / CHIHUAHUA / "n02085620_7").write_text("x")
    layout = find_layout(str(tmp_path))
    assert (layout.kind, list(layout.photographs)) == ("kaggle", ["n02085620_7"])


def test_photographs_and_annotations_may_lie_in_different_branches(tmp_path):
    Tree(tmp_path / "images.tar", "stanford").photograph("n02085620_7")
    Tree(tmp_path / "lists", "stanford").annotation("n02085620_7")
    assert list(find_layout(tmp_path).annotations) == ["n02085620_7"]


def test_other_folders_and_files_are_not_taken_for_it(tmp_path):
    tree = Tree(tmp_path)
    tree.dog("n02085620_7")
    (tmp_path / "Images").mkdir()  # without breeds
    (tmp_path / "crops" / CHIHUAHUA).mkdir(parents=True)
    (tmp_path / "crops" / CHIHUAHUA / "n02085620_7.png").write_bytes(b"x")
    for hidden in ("all-dogs/all-dogs/._n02085620_7.jpg", "all-dogs/all-dogs/list.txt"):
        (tmp_path / hidden).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    layout = find_layout(tmp_path)
    assert layout.photograph_folder == tmp_path / "all-dogs" / "all-dogs"
    assert list(layout.photographs) == ["n02085620_7"]


def test_a_link_to_the_same_folder_is_not_a_second_one(tmp_path):
    Tree(tmp_path / "data").dog("n02085620_7")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    assert list(find_layout(tmp_path).photographs) == ["n02085620_7"]


def test_two_folders_that_could_be_meant_are_an_error_that_names_both(tmp_path):
    for kind in ("stanford", "kaggle"):
        Tree(tmp_path, kind).photograph("n02085620_7")
    Tree(tmp_path).annotation("n02085620_7")
    with pytest.raises(DogganError, match="more than one folder of photographs") as caught:
        find_layout(tmp_path)
    assert str(tmp_path / "Images") in str(caught.value)
    assert str(tmp_path / "all-dogs" / "all-dogs") in str(caught.value)


def test_what_is_missing_is_named_with_the_remedy(tmp_path):
    with pytest.raises(DogganError, match=r"nowhere does not exist.*doggan download"):
        find_layout(tmp_path / "nowhere")
    (tmp_path / "images.tar").write_bytes(b"x")
    with pytest.raises(DogganError, match=r"images.tar is a file; unpack it"):
        find_layout(tmp_path / "images.tar")
    with pytest.raises(NoLayout, match=r"holds no photographs: Images/.*doggan download"):
        find_layout(tmp_path)
    Tree(tmp_path).photograph("n02085620_7")
    with pytest.raises(NoLayout, match="holds no annotations: Annotation/<synset-breed>"):
        find_layout(tmp_path)


def test_an_empty_folder_of_the_right_name_holds_nothing(tmp_path):
    Tree(tmp_path).annotation("n02085620_7")
    (tmp_path / "all-dogs" / "all-dogs").mkdir(parents=True)
    with pytest.raises(DogganError, match="holds no photographs"):
        find_layout(tmp_path)


def test_a_second_file_with_an_id_is_left_out_and_named(tmp_path):
    tree = Tree(tmp_path, "stanford")
    tree.dog("n02085620_7")
    tree.photograph("n02085620_7", breed=BLENHEIM)
    layout = find_layout(tmp_path)
    assert layout.photographs["n02085620_7"].parent.name == CHIHUAHUA
    (fault,) = layout.faults
    assert (fault.reason, fault.name) == (Reason.TWICE, "n02085620_7")
    assert BLENHEIM in fault.detail


def test_a_link_that_leads_nowhere_is_a_file_to_be_named_later(tmp_path):
    tree = Tree(tmp_path)
    tree.dog("n02085620_7")
    path = tree.photograph_path("n02085620_7")
    for name in ("n02085620_8", "n02085620_9"):
        tree.annotation(name)
    path.with_name("n02085620_8.jpg").symlink_to(tmp_path / "absent.jpg")
    path.with_name("n02085620_9.jpg").symlink_to("n02085620_9.jpg")
    assert list(find_layout(tmp_path).photographs) == ["n02085620_7", "n02085620_8", "n02085620_9"]
