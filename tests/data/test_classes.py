"""Classes: their shares, draws of them, sheets, and names as people type them."""

import numpy as np
import pytest

from doggan.data.classes import Classes, choose_by
from doggan.errors import DogganError

DOGS = Classes(("Chihuahua", "Japanese spaniel", "n02085782-Soft-coated_wheaten_terrier", "Pug"), (3, 0, 6, 1))


def test_of_a_set_of_pictures(tiny_images):
    assert Classes.of(tiny_images) == Classes(("dark", "light"), (20, 20))
    assert Classes.of(tiny_images.select(np.array([0, 1, 2]))) == Classes(("dark", "light"), (2, 1))
    unlabelled = type(tiny_images)(tiny_images.images, None, (), *vars_of(tiny_images))
    assert Classes.of(unlabelled) is None


def vars_of(images):
    return images.source_ids, images.boxes, images.split


def test_shares():
    np.testing.assert_allclose(DOGS.shares(), [0.3, 0, 0.6, 0.1])
    np.testing.assert_allclose(DOGS.shares("uniform"), [1 / 3, 0, 1 / 3, 1 / 3])


def test_draws_follow_the_shares_and_begin_alike():
    drawn = DOGS.draw(20_000, seed=1)
    assert drawn.dtype == np.int32
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, DOGS.shares(), atol=0.015)
    np.testing.assert_array_equal(DOGS.draw(10, seed=1), drawn[:10])
    assert (DOGS.draw(100, seed=2) != drawn[:100]).any()
    alike = np.bincount(DOGS.draw(20_000, 1, "uniform"), minlength=4) / 20_000
    np.testing.assert_allclose(alike, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.015)
    assert set(choose_by(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.4999, 0.5, 0.999999]))) == {0, 1}


def test_a_sheet_has_all_classes_in_turn_or_some_at_even_distances():
    assert DOGS.spread(7).tolist() == [0, 2, 3, 0, 2, 3, 0]  # 1 has no pictures
    assert DOGS.spread(2).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Chihuahua", 0),
        ("chihuahua", 0),
        ("japanese_spaniel", 1),
        ("JAPANESE-SPANIEL", 1),
        ("soft-coated wheaten terrier", 2),
        ("n02085782-Soft-coated_wheaten_terrier", 2),
    ],
)
def test_names_as_they_are_typed(name, label):
    assert DOGS.find(name) == label


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(DogganError, match=r"no class 'chiwawa'; near it are Chihuahua\."):
        DOGS.find("chiwawa")
    with pytest.raises(DogganError, match="there are Chihuahua, Japanese spaniel"):
        DOGS.find("x")
    with pytest.raises(DogganError, match="the name of several classes: a b, A_B"):
        Classes(("a b", "A_B"), (1, 1)).find("a-b")
