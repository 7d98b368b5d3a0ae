import numpy as np
import pytest

from doggan.metrics import pixel_distance
from doggan.metrics.pixel_distance import nearest_pixels


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("rows", [3, 1024])
def test_the_nearest_is_what_all_differences_say(monkeypatch, norm, rows):
    monkeypatch.setattr(pixel_distance, "_ROWS", rows)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (n, 6, 5, 3)).astype(np.uint8) for n in (8, 10))
    b[7] = b[2]  # of equal ones the first
    a[1], a[4] = b[2], 255
    difference = a[:, None].astype(float) - b[None]
    everything = np.abs(difference) if norm == "l1" else difference**2
    expected = everything.mean(axis=(2, 3, 4))
    distance, index = nearest_pixels(a, b, norm)
    np.testing.assert_array_equal(index, expected.argmin(axis=1))
    least = expected.min(axis=1)
    np.testing.assert_allclose(distance, least if norm == "l1" else np.sqrt(least), rtol=1e-14)
    assert (distance[1], index[1]) == (0, 2)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_largest_distance_is_exact(norm):
    black, white = np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 64, 64, 3), 255, np.uint8)
    assert nearest_pixels(black, white, norm)[0] == 255
    white[0, 0, 0, 0] = 254  # one part in 12,288
    least = 12288 * 255 - 1 if norm == "l1" else 12287 * 255**2 + 254**2
    expected = least / 12288 if norm == "l1" else np.sqrt(least / 12288)
    assert nearest_pixels(black, white, norm)[0] == expected


def test_what_does_not_fit_is_refused():
    some = np.zeros((2, 4, 4, 3), np.uint8)
    for generated, real, norm in ((some, some, "l3"), (some, some[:0], "l1"), (some, some[:, :3], "l1")):
        with pytest.raises(ValueError, match=r"norm|one shape"):
            nearest_pixels(generated, real, norm)
