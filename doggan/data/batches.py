"""Batches of pictures whose order and augmentation are functions of (seed, step), for TensorFlow and NumPy.

Nothing here keeps a random state: the order of epoch e comes from (seed, e), the flips and windows of step s from
(seed, s). A run that resumes at any step therefore sees exactly what it would have seen without stopping.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_ORDER, _AUGMENT, _CHOICE = range(3)  # keeps the three uses of the seed apart


class Draw(NamedTuple):
    """What one step reads: which pictures, which are mirrored, and the window of each.

    indices int32 [B]; flip bool [B]; window float32 [B, 4] as top, left, bottom, right in pixels of the stored picture,
    the centres of the corner pixels of the result.
    """

    indices: NDArray[np.int32]
    flip: NDArray[np.bool_]
    window: NDArray[np.float32]


@dataclass(frozen=True)
class BatchPlan:
    """The order and augmentation of a run's data.

    Attributes:
        n_images: pictures in the set; the remainder of an epoch that fills no batch is dropped.
        batch_size: pictures a step.
        seed: of the run.
        stored_size: side of the stored pictures in pixels.
        image_size: side of the pictures that come out.
        flip: mirror each picture with probability ½.
        zoom: the window's side is divided by a factor uniform in [1, 1 + zoom].
    """

    n_images: int
    batch_size: int
    seed: int
    stored_size: int
    image_size: int
    flip: bool = True
    zoom: float = 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch."""
        return self.n_images // self.batch_size

    @property
    def resamples(self) -> bool:
        """Whether pictures are cut or zoomed, rather than taken whole."""
        return self.zoom > 0 or self.stored_size != self.image_size

    def order(self, epoch: int) -> NDArray[np.int32]:
        """The permutation of the pictures in epoch `epoch`, int32 [n_images]."""
        return np.random.default_rng((self.seed, _ORDER, epoch)).permutation(self.n_images).astype(np.int32)

    def draws(self, start_step: int = 0) -> Iterator[Draw]:
        """What every step reads, from `start_step` on, without end."""
        epoch, first = divmod(start_step, self.steps_per_epoch)
        while True:
            order = self.order(epoch)
            for i in range(first, self.steps_per_epoch):
                indices = order[i * self.batch_size : (i + 1) * self.batch_size]
                yield self._draw(indices, epoch * self.steps_per_epoch + i)
            epoch, first = epoch + 1, 0

    def _draw(self, indices: NDArray[np.int32], step: int) -> Draw:
        rng = np.random.default_rng((self.seed, _AUGMENT, step))
        flip = rng.random(len(indices)) < (0.5 if self.flip else 0.0)
        side = (self.image_size - 1) / rng.uniform(1.0, 1.0 + self.zoom, len(indices))
        room = self.stored_size - 1 - side
        corner = rng.random((2, len(indices))) * room
        if self.zoom == 0:  # whole pixels: a crop that resamples nothing
            corner = np.floor(rng.random((2, len(indices))) * (room + 1))
        top, left = corner
        return Draw(indices, flip, np.stack([top, left, top + side, left + side], axis=1).astype(np.float32))


def choose(n_images: int, n_wanted: int, seed: int) -> NDArray[np.int64]:
    """A fixed random choice of `n_wanted` of `n_images` indices in rising order (all where 0 or more are wanted)."""
    if not 0 < n_wanted < n_images:
        return np.arange(n_images)
    return np.sort(np.random.default_rng((seed, _CHOICE)).choice(n_images, n_wanted, replace=False))


def numpy_batches(images: NDArray[np.uint8], plan: BatchPlan, start_step: int = 0) -> Iterator[NDArray[np.float32]]:
    """Batches float32 [B, S, S, C] in [-1, 1] without TensorFlow; equal to `tensorflow_batches`."""
    for draw in plan.draws(start_step):
        batch = images[draw.indices].astype(np.float32)
        if plan.resamples:
            batch = _cut(batch, draw.window, plan.image_size)
        batch = np.where(draw.flip[:, None, None, None], batch[:, :, ::-1], batch)
        yield batch / np.float32(127.5) - np.float32(1.0)


def _cut(batch: NDArray[np.float32], window: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Bilinear sampling of each window at size × size points, corners on corners."""
    top, left, bottom, right = window.T[:, :, None]
    steps = np.linspace(0.0, 1.0, size, dtype=np.float32)[None]
    y, x = top + (bottom - top) * steps, left + (right - left) * steps
    last = batch.shape[1] - 1
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    y1, x1 = np.minimum(y0 + 1, last), np.minimum(x0 + 1, last)
    fy, fx = (y - y0)[:, :, None, None], (x - x0)[:, None, :, None]
    rows = np.arange(len(batch))[:, None, None]

    def at(i: NDArray[np.integer], j: NDArray[np.integer]) -> NDArray[np.float32]:
        return batch[rows, i[:, :, None], j[:, None, :]]

    upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx
    lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx
    return (upper * (1 - fy) + lower * fy).astype(np.float32)


def tensorflow_batches(images: NDArray[np.uint8], plan: BatchPlan, start_step: int = 0) -> Any:
    """A `tf.data.Dataset` of batches float32 [B, S, S, C] in [-1, 1], endless, prefetched, in the plan's order."""
    import tensorflow as tf

    stored = tf.constant(images)
    size, channels = plan.image_size, images.shape[-1]

    def cut(pictures: Any, window: Any) -> Any:
        """`_cut` in TensorFlow: `crop_and_resize` would put black where its rounding steps over the edge."""
        top, left, bottom, right = (window[:, i : i + 1] for i in range(4))
        steps = tf.linspace(0.0, 1.0, size)[None]
        y, x = top + (bottom - top) * steps, left + (right - left) * steps
        y0, x0 = tf.cast(tf.floor(y), tf.int32), tf.cast(tf.floor(x), tf.int32)
        y1, x1 = tf.minimum(y0 + 1, plan.stored_size - 1), tf.minimum(x0 + 1, plan.stored_size - 1)
        fy, fx = (y - tf.floor(y))[:, :, None, None], (x - tf.floor(x))[:, None, :, None]

        def at(i: Any, j: Any) -> Any:
            return tf.gather(tf.gather(pictures, i, axis=1, batch_dims=1), j, axis=2, batch_dims=1)

        upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx
        lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx
        return upper * (1 - fy) + lower * fy

    def batch(indices: Any, flip: Any, window: Any) -> Any:
        pictures = tf.cast(tf.gather(stored, indices), tf.float32)
        if plan.resamples:
            pictures = cut(pictures, window)
        pictures = tf.where(flip[:, None, None, None], tf.reverse(pictures, [2]), pictures)
        return tf.ensure_shape(pictures / 127.5 - 1.0, (plan.batch_size, size, size, channels))

    signature = (
        tf.TensorSpec((plan.batch_size,), tf.int32),
        tf.TensorSpec((plan.batch_size,), tf.bool),
        tf.TensorSpec((plan.batch_size, 4), tf.float32),
    )
    draws = tf.data.Dataset.from_generator(lambda: plan.draws(start_step), output_signature=signature)
    return draws.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def batches(images: NDArray[np.uint8], plan: BatchPlan, start_step: int = 0) -> Any:
    """What `fit` is given: `tensorflow_batches` on Keras' TensorFlow backend, `numpy_batches` elsewhere."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return tensorflow_batches(images, plan, start_step)
    return ((batch,) for batch in numpy_batches(images, plan, start_step))  # `fit` takes tuples from a generator
