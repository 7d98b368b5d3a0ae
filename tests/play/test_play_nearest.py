"""The quick search finds what the exhaustive one does."""

import numpy as np
import pytest

from doggan.metrics.pixel_distance import nearest_pixels
from doggan.play.nearest import NearestPixels


def smooth(rng, n, side, channels):
    """Pictures of a few large patches, as photographs are, with a little noise."""
    patches = rng.integers(0, 256, (n, 4, 4, channels))
    index = np.arange(side) * 4 // side
    noise = rng.integers(-12, 13, (n, side, side, channels))
    return (patches[:, index][:, :, index] + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("side", "channels"), [(32, 3), (32, 1), (28, 1), (36, 3), (37, 3)])
def test_it_equals_the_exhaustive_search(side, channels):
    rng = np.random.default_rng(side)
    images = smooth(rng, 700, side, channels)
    wanted = np.concatenate(
        [
            smooth(rng, 12, side, channels),
            rng.integers(0, 256, (6, side, side, channels)).astype(np.uint8),  # far from all, so the bound says little
            (images[:12] // 2 + images[12:24] // 2),
            np.full((1, side, side, channels), 127, np.uint8),
        ]
    )
    search = NearestPixels(images)
    found = [search(picture) for picture in wanted]
    distance, index = nearest_pixels(wanted, images, "l2")
    assert [each.index for each in found] == index.tolist()
    np.testing.assert_allclose([each.distance for each in found], distance, rtol=1e-12)


def test_of_several_equal_ones_it_is_the_first():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 16, 16, 3)).astype(np.uint8)
    images[[40, 41, 250]] = images[7]
    search = NearestPixels(images)
    assert (search(images[250]).index, search(images[250]).distance) == (7, 0.0)
    one = images[7].copy()
    one[0, 0, 0] ^= 3
    assert search(one).index == 7


def test_the_bound_is_never_above_the_distance():
    rng = np.random.default_rng(1)
    images = smooth(rng, 200, 32, 3)
    picture = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    squares = np.square(images.astype(np.int64) - picture).sum((1, 2, 3))
    bound = NearestPixels(images)._bound(picture)
    assert (bound <= squares).all()
    assert (bound > 0.3 * squares).all()  # and near enough to it to be of use
