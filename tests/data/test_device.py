"""Pictures made of indices inside the compiled step: the same as NumPy makes them on the host."""

import itertools

import keras
import numpy as np
import pytest

from doggan.data.batches import BatchPlan, batches, numpy_batches
from doggan.data.device import DevicePictures

pytestmark = pytest.mark.both_backends

PLAN = {"n_images": 30, "batch_size": 8, "seed": 3, "stored_size": 20, "image_size": 20}
CHANGES = {
    "mirrored": ({}, 3),
    "neither mirrored nor cut": ({"flip": False}, 3),
    "grey": ({}, 1),
    "zoomed": ({"zoom": 0.3}, 3),
    "cut": ({"image_size": 12}, 3),
    "zoomed, cut and grey": ({"image_size": 12, "zoom": 0.2}, 1),
}


def pictures(channels=3):
    return np.random.default_rng(0).integers(0, 256, (30, 20, 20, channels), dtype=np.uint8)


def compiled(function):
    """As the training step is: by XLA on JAX, as a graph on TensorFlow."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)


def fed(images, plan, start, n=5):
    return itertools.islice(iter(batches(images, plan, start, on_device=True)), n)


@pytest.mark.parametrize(("changes", "channels"), CHANGES.values(), ids=CHANGES)
def test_they_equal_those_of_the_host(changes, channels):
    plan, images = BatchPlan(**(PLAN | changes)), pictures(channels)
    step = compiled(DevicePictures(images, plan))
    # A compiler may multiply by 1 / 127.5, and round a place between two pixels otherwise by 2e-6 of a pixel.
    tolerance = 1e-5 if plan.zoom else 2e-7
    for (draw,), expected in zip(fed(images, plan, 2), numpy_batches(images, plan, 2), strict=False):
        found = keras.ops.convert_to_numpy(step(draw))
        assert found.dtype == np.float32
        assert found.shape == (8, plan.image_size, plan.image_size, channels)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("on_device", [False, True])
def test_labels_come_with_their_pictures(on_device):
    plan, numbers = BatchPlan(**PLAN), np.arange(30, dtype=np.int32)
    images = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (30, 20, 20, 1)).copy()
    labels = numbers * 3 % 11
    made = compiled(DevicePictures(images, plan, labels))
    elements = itertools.islice(iter(batches(images, plan, 2, on_device=on_device, labels=labels)), 3)
    for (element,) in elements:
        pictures, own = map(keras.ops.convert_to_numpy, made(element) if on_device else element)
        assert own.dtype == np.int32
        np.testing.assert_array_equal(own, labels[np.rint((pictures[:, 0, 0, 0] + 1) * 127.5).astype(int)])


def test_a_model_counts_them_neither_among_its_weights_nor_its_metrics():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.pictures = DevicePictures(pictures(), BatchPlan(**PLAN))

    model = Model()
    assert model.variables == []
    assert keras.backend.standardize_dtype(model.pictures.images.dtype) == "uint8"


class Watched(keras.Model):
    """Notes what its `train_step` is given, and what `fit` reads of the data."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.built = True

    def train_step(self, *given):
        data = given[-1]
        self.seen.append(data)
        if keras.backend.backend() == "jax":
            trainable, other, optimizer, metrics = given[0]
            return {"sum": keras.ops.sum(data[0][0])}, (trainable, other, optimizer, metrics)
        return {"sum": keras.ops.sum(data[0][0])}


def test_fit_hands_the_step_one_element_that_holds_the_draw():
    model, plan = Watched(), BatchPlan(**PLAN)
    model.compile(optimizer=keras.optimizers.SGD(), jit_compile=keras.backend.backend() == "jax")
    model._loss_tracker = None
    model.fit(batches(pictures(), plan, on_device=True), steps_per_epoch=2, verbose=0, shuffle=False)
    data = model.seen[0]
    assert len(data) == 1
    indices, flip, window = data[0]
    assert [tuple(part.shape) for part in (indices, flip, window)] == [(8,), (8,), (8, 4)]
    types = [keras.backend.standardize_dtype(part.dtype) for part in (indices, flip, window)]
    assert types == ["int32", "bool", "float32"]
