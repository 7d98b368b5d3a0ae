"""The order of the data and its augmentation, on both of its paths."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from doggan.data.batches import BatchPlan, choose, numpy_batches, tensorflow_batches

PLAN = BatchPlan(n_images=70, batch_size=16, seed=3, stored_size=20, image_size=20)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (70, 20, 20, 3), dtype=np.uint8)


def take(batches, n):
    return [np.asarray(batch) for batch in itertools.islice(iter(batches), n)]


def test_an_epoch_is_a_permutation_without_its_remainder():
    draws = list(itertools.islice(PLAN.draws(), 8))
    assert PLAN.steps_per_epoch == 4
    first, second = (np.concatenate([draw.indices for draw in draws[i : i + 4]]) for i in (0, 4))
    assert len(set(first)) == len(first) == 64
    assert not np.array_equal(first, second)


def test_draws_from_any_step_continue_as_if_never_stopped():
    whole = list(itertools.islice(PLAN.draws(), 11))
    for start in (1, 4, 7):
        for resumed, draw in zip(PLAN.draws(start), whole[start:], strict=False):
            for a, b in zip(resumed, draw, strict=True):
                np.testing.assert_array_equal(a, b)


def test_order_depends_on_the_seed():
    assert not np.array_equal(PLAN.order(0), replace(PLAN, seed=4).order(0))


@pytest.mark.parametrize("make", [tensorflow_batches, numpy_batches])
def test_whole_pictures_are_only_mirrored_and_scaled(images, make):
    draw = next(PLAN.draws())
    batch = take(make(images, PLAN), 1)[0]
    assert batch.dtype == np.float32
    assert batch.min() >= -1
    assert batch.max() <= 1
    for i, (index, flip) in enumerate(zip(draw.indices, draw.flip, strict=True)):
        expected = images[index][:, ::-1] if flip else images[index]
        np.testing.assert_allclose(batch[i], expected / 127.5 - 1, atol=1e-6)


def test_half_of_the_pictures_are_mirrored_and_none_when_told_not_to():
    flips = np.concatenate([draw.flip for draw in itertools.islice(PLAN.draws(), 200)])
    assert flips.mean() == pytest.approx(0.5, abs=0.03)
    assert not any(draw.flip.any() for draw in itertools.islice(replace(PLAN, flip=False).draws(), 10))


def test_a_random_crop_is_an_exact_window(images):
    plan = replace(PLAN, image_size=12, flip=False)
    corners = set()
    for draw, batch in zip(plan.draws(), take(numpy_batches(images, plan), 4), strict=False):
        for index, window, picture in zip(draw.indices, draw.window, batch, strict=True):
            top, left = (int(value) for value in window[:2])
            np.testing.assert_allclose(picture, images[index, top : top + 12, left : left + 12] / 127.5 - 1, atol=1e-5)
            corners.add((top, left))
    assert max(max(corner) for corner in corners) == 8  # the last window that fits is used
    assert min(min(corner) for corner in corners) == 0


def test_zoom_samples_between_pixels_as_bilinear_interpolation_does():
    plan = replace(PLAN, zoom=0.5, flip=False, stored_size=20)
    y, x = np.mgrid[0:20, 0:20]
    ramp = np.repeat((5 * x + 7 * y)[None, :, :, None], 70, axis=0).astype(np.uint8)  # linear: interpolation is exact
    draw = next(plan.draws())
    batch = (take(numpy_batches(ramp, plan), 1)[0] + 1) * 127.5
    for window, picture in zip(draw.window, batch, strict=True):
        top, left, bottom, right = window
        assert 12 < bottom - top <= 19
        assert picture[0, 0, 0] == pytest.approx(5 * left + 7 * top, abs=1e-2)
        assert picture[-1, -1, 0] == pytest.approx(5 * right + 7 * bottom, abs=1e-2)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("changes", [{}, {"zoom": 0.3}, {"image_size": 12}, {"image_size": 12, "zoom": 0.2}])
def test_the_two_paths_agree(images, changes, channels):
    plan, images = replace(PLAN, **changes), images[..., :channels]
    for a, b in zip(take(tensorflow_batches(images, plan, 2), 3), take(numpy_batches(images, plan, 2), 3), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 if plan.zoom else 2e-7)


def test_choose_is_fixed_and_takes_all_when_asked_for_none_or_too_many():
    chosen = choose(100, 10, seed=0)
    assert len(set(chosen)) == 10
    np.testing.assert_array_equal(chosen, choose(100, 10, seed=0))
    assert len(choose(100, 0, seed=0)) == len(choose(100, 200, seed=0)) == 100


@pytest.mark.parametrize("make", [tensorflow_batches, numpy_batches])
@pytest.mark.parametrize("stored", [72, 75, 96, 112, 128])
def test_no_window_reaches_beyond_the_edge(make, stored):
    """A uniform picture stays uniform wherever it is cut: nothing from outside is mixed in."""
    plan = BatchPlan(n_images=64, batch_size=64, seed=0, stored_size=stored, image_size=64)
    grey = np.full((64, stored, stored, 1), 200, np.uint8)
    edges = []
    for draw, batch in zip(plan.draws(), take(make(grey, plan), 8), strict=False):
        edges.append(draw.window.max())
        np.testing.assert_allclose(batch, 200 / 127.5 - 1, atol=1e-5)
    assert max(edges) == stored - 1  # some windows touch the far edge


def test_a_picture_is_seen_through_another_window_in_each_epoch():
    """Of whole pixels, uniform over all places, and the same again for the same seed."""
    plan = BatchPlan(n_images=200, batch_size=200, seed=3, stored_size=96, image_size=64)
    first, second, again = plan.draw(0), plan.draw(1), plan.draw(0)
    np.testing.assert_array_equal(first.window, again.window)
    by_picture = [draw.window[np.argsort(draw.indices)] for draw in (first, second)]
    assert (by_picture[0] != by_picture[1]).any(axis=1).mean() > 0.9
    corners = np.concatenate([draw.window[:, :2] for draw in (first, second)])
    assert set(np.unique(corners)) == set(range(33))
    np.testing.assert_array_equal(first.window[:, 2:] - first.window[:, :2], 63)


@pytest.mark.parametrize("replicas", [1, 2])
def test_labels_come_with_their_pictures(images, replicas):
    """Each picture is filled with its number, so that it tells which label it must have."""
    numbered = np.broadcast_to(np.arange(70, dtype=np.uint8)[:, None, None, None], (70, 20, 20, 1)).copy()
    labels = (np.arange(70) * 3 % 11).astype(np.int32)
    for ((pictures, own),) in (
        tensorflow_batches(numbered, PLAN, 2, replicas, labels=labels).take(3).as_numpy_iterator()
    ):
        assert own.dtype == np.int32
        assert pictures.shape[:-3] == own.shape
        number = np.rint((pictures[..., 0, 0, 0] + 1) * 127.5).astype(int)
        np.testing.assert_array_equal(own, labels[number])
