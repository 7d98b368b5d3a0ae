import cv2
import numpy as np
import pytest
from dogtree import picture

from doggan.data.annotations import BoundingBox
from doggan.data.crops import CROP_RULES, clamp_box, cut, cut_reduced

W, H = 100, 80  # of the photograph in the cases below


@pytest.mark.parametrize(
    ("name", "box", "region"),
    [
        # square: side max(w, h) + 8 about the centre
        ("square", (40, 30, 60, 50), (36, 26, 64, 54)),  # 20 × 20 → 28 about (50, 40)
        ("square", (40, 30, 70, 50), (36, 21, 74, 59)),  # wide: 38 about (55, 40)
        ("square", (40, 30, 50, 50), (31, 26, 59, 54)),  # tall: 28 about (45, 40)
        ("square", (40, 30, 61, 50), (36, 25, 65, 54)),  # 29 about (50.5, 40): the half pixel goes up
        ("square", (1, 30, 21, 50), (0, 26, 28, 54)),  # shifted off the left border
        ("square", (80, 30, 100, 50), (72, 26, 100, 54)),  # right
        ("square", (40, 0, 60, 20), (36, 0, 64, 28)),  # top
        ("square", (40, 60, 60, 80), (36, 52, 64, 80)),  # bottom
        ("square", (0, 0, 20, 20), (0, 0, 28, 28)),  # two borders at once
        ("square", (85, 65, 100, 80), (77, 57, 100, 80)),
        ("square", (10, 4, 90, 76), (10, 0, 90, 80)),  # 88 > 80: the shorter edge, about x = 50
        ("square", (0, 0, 100, 80), (10, 0, 90, 80)),
        ("square", (0, 0, 75, 80), (0, 0, 80, 80)),  # both at once: x = 37.5 - 40 is off the left
        ("square", (0, 0, 1, 1), (0, 0, 9, 9)),
        # reference: 4 px margin, side min(w, h) of the grown box, from its top left
        ("reference", (40, 30, 60, 50), (36, 26, 64, 54)),
        ("reference", (40, 30, 80, 50), (36, 26, 64, 54)),  # wide: the right is lost
        ("reference", (40, 30, 50, 70), (36, 26, 54, 44)),  # tall: the bottom is lost
        ("reference", (2, 30, 42, 70), (0, 26, 46, 72)),  # left margin cut: 46 × 48 → 46
        ("reference", (60, 30, 98, 70), (56, 26, 100, 70)),  # right: 44 × 48 → 44
        ("reference", (30, 1, 70, 41), (26, 0, 71, 45)),  # top: 48 × 45 → 45
        ("reference", (30, 40, 70, 80), (26, 36, 70, 80)),  # bottom: 48 × 44 → 44
        ("reference", (0, 0, 100, 80), (0, 0, 80, 80)),
        # margin: an eighth of each side of the box
        ("margin", (40, 30, 80, 46), (35, 28, 85, 48)),
        ("margin", (40, 30, 47, 53), (40, 28, 47, 55)),  # 7 // 8 = 0 and 23 // 8 = 2
        ("margin", (2, 70, 42, 80), (0, 69, 47, 80)),  # clamped at the left and the bottom
        ("margin", (0, 0, 100, 80), (0, 0, 100, 80)),
        # padded: 5/4 of the square's side
        ("padded", (40, 30, 60, 50), (32, 22, 67, 57)),  # 28 · 5/4 = 35 about (50, 40)
        ("padded", (1, 30, 21, 50), (0, 22, 35, 57)),  # shifted off the left border
        ("padded", (10, 4, 90, 76), (10, 0, 90, 80)),  # 110 > 80: the shorter edge
        # box and whole
        ("box", (40, 30, 80, 50), (40, 30, 80, 50)),
        ("box", (0, 0, 100, 80), (0, 0, 100, 80)),
        ("whole", (40, 30, 80, 50), (0, 0, 100, 80)),
    ],
)
def test_rules_by_hand(name, box, region):
    assert CROP_RULES[name](BoundingBox(*box), W, H) == BoundingBox(*region)


@pytest.mark.parametrize("name", CROP_RULES)
def test_every_rule_stays_inside_and_squares_are_square(name):
    rng = np.random.default_rng(0)
    for _ in range(500):
        width, height = rng.integers(1, 60, 2)
        xs, ys = sorted(rng.integers(0, width + 1, 2)), sorted(rng.integers(0, height + 1, 2))
        box = clamp_box(BoundingBox(int(xs[0]), int(ys[0]), int(xs[1]) + 1, int(ys[1]) + 1), int(width), int(height))
        if box is None:
            continue
        region = CROP_RULES[name](box, int(width), int(height))
        assert 0 <= region.xmin < region.xmax <= width
        assert 0 <= region.ymin < region.ymax <= height
        if name in ("square", "reference", "padded"):
            assert region.width == region.height


def test_every_rule_says_what_it_does():
    assert all(rule.__doc__ for rule in CROP_RULES.values())


@pytest.mark.parametrize(
    ("box", "clamped"),
    [
        ((10, 10, 20, 20), (10, 10, 20, 20)),
        ((-5, -6, 20, 20), (0, 0, 20, 20)),
        ((90, 70, 105, 99), (90, 70, 100, 80)),
        ((-9, -9, 999, 999), (0, 0, 100, 80)),
        ((100, 10, 120, 20), None),
        ((-20, 10, 0, 20), None),
        ((10, 80, 20, 90), None),
        ((10, -9, 20, 0), None),
    ],
)
def test_clamp_box(box, clamped):
    assert clamp_box(BoundingBox(*box), W, H) == (BoundingBox(*clamped) if clamped else None)


def test_shrinking_averages_the_area():
    pixels = picture(128, 96)
    region = BoundingBox(4, 8, 4 + 64, 8 + 64)
    blocks = pixels[8:72, 4:68].reshape(32, 2, 32, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(cut(pixels, region, 32) - blocks).max() <= 0.5


def test_enlarging_is_cubic():
    pixels = picture(40, 40)
    region = BoundingBox(5, 6, 21, 22)
    expected = cv2.resize(pixels[6:22, 5:21], (64, 64), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(cut(pixels, region, 64), expected)


def test_each_side_of_a_squashed_region_gets_its_own_interpolation():
    pixels = picture(130, 20)
    shrunk = pixels[2:18, 1:129].reshape(16, 32, 4, 3).astype(float).mean(axis=2)
    expected = cv2.resize(shrunk.astype(np.float32), (32, 32), interpolation=cv2.INTER_CUBIC)
    got = cut(pixels, BoundingBox(1, 2, 129, 18), 32)
    assert got.shape == (32, 32, 3)
    assert np.abs(got - np.clip(expected, 0, 255)).max() <= 1.5


def test_a_region_of_the_right_size_is_copied():
    pixels = picture(64, 64)
    np.testing.assert_array_equal(cut(pixels, BoundingBox(0, 0, 64, 64), 64), pixels)


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("region", [(3, 5, 603, 605), (130, 77, 771, 718), (0, 0, 1000, 800), (1, 2, 999, 516)])
def test_a_reduced_crop_is_where_the_full_one_is(reduction, region):
    """On ramps the right answer is known: pixel k shows the mean place of its cell."""
    y, x = np.mgrid[0:800, 0:1000]
    full = np.stack([x / 4, y / 4, (x + y) / 8], axis=-1)
    small = full.reshape(800 // reduction, reduction, 1000 // reduction, reduction, 3).mean(axis=(1, 3))
    region = BoundingBox(*region)
    cells = (np.arange(64) + 0.5) / 64
    centre_x = region.xmin + cells * region.width - 0.5
    centre_y = region.ymin + cells * region.height - 0.5
    got = cut_reduced(np.rint(small).astype(np.uint8), region, 64, reduction)
    inner = slice(2, -2)  # at a border of the photograph bilinear sampling has nothing beyond the last pixel
    assert np.abs(got[inner, inner, 0] - centre_x[None, inner] / 4).max() < 1.6
    assert np.abs(got[inner, inner, 1] - centre_y[inner, None] / 4).max() < 1.6
    assert abs((got[..., 2] - (centre_x[None] + centre_y[:, None]) / 8).mean()) < 0.3
