"""Batches of pictures whose order and augmentation are functions of (seed, step): which, and on the host the pictures.

Nothing here keeps a random state: the order of epoch e comes from (seed, e), the flips and windows of step s from
(seed, s). A run that resumes at any step therefore sees exactly what it would have seen without stopping.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # it imports Keras, which whoever trains has done
    from doggan.devices import Devices

_ORDER, _AUGMENT, _CHOICE = range(3)  # keeps the three uses of the seed apart
_PARALLEL, _AHEAD = 4, 4  # batches that tf.data makes at once, and keeps ready


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
        """The permutation of the pictures in epoch `epoch`, int32 [n_images], not to be written to."""
        return _order(self.n_images, self.seed, epoch)

    def draws(self, start_step: int = 0) -> Iterator[Draw]:
        """What every step reads, from `start_step` on, without end."""
        return map(self.draw, itertools.count(start_step))

    def draws_of_epoch(self, epoch: int) -> Draw:
        """What all steps of an epoch read: a `Draw` whose arrays have the steps as first axis."""
        first = int(epoch) * self.steps_per_epoch
        draws = [self.draw(step) for step in range(first, first + self.steps_per_epoch)]
        return Draw(*map(np.stack, zip(*draws, strict=True)))

    def draw(self, step: int) -> Draw:
        """What this step reads."""
        epoch, i = divmod(step, self.steps_per_epoch)
        indices = self.order(epoch)[i * self.batch_size : (i + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, _AUGMENT, step))
        flip = rng.random(len(indices)) < (0.5 if self.flip else 0.0)
        side = (self.image_size - 1) / rng.uniform(1.0, 1.0 + self.zoom, len(indices))
        room = self.stored_size - 1 - side
        corner = rng.random((2, len(indices))) * room
        if self.zoom == 0:  # whole pixels: a crop that resamples nothing
            corner = np.floor(rng.random((2, len(indices))) * (room + 1))
        top, left = corner
        return Draw(indices, flip, np.stack([top, left, top + side, left + side], axis=1).astype(np.float32))


@functools.lru_cache(maxsize=4)  # the steps of an epoch share it
def _order(n_images: int, seed: int, epoch: int) -> NDArray[np.int32]:
    order = np.random.default_rng((seed, _ORDER, epoch)).permutation(n_images).astype(np.int32)
    order.flags.writeable = False
    return order


def choose(n_images: int, n_wanted: int, seed: int) -> NDArray[np.int64]:
    """A fixed random choice of `n_wanted` of `n_images` indices in rising order (all where 0 or more are wanted)."""
    if not 0 < n_wanted < n_images:
        return np.arange(n_images)
    return np.sort(np.random.default_rng((seed, _CHOICE)).choice(n_images, n_wanted, replace=False))


def numpy_batches(images: NDArray[np.uint8], plan: BatchPlan, start_step: int = 0) -> Iterator[NDArray[np.float32]]:
    """Batches float32 [B, S, S, C] in [-1, 1] without TensorFlow; equal to `tensorflow_batches`."""
    return _numpy_batches(images, plan, plan.draws(start_step))


def _numpy_batches(images: NDArray[np.uint8], plan: BatchPlan, draws: Iterable[Draw]) -> Iterator[NDArray[np.float32]]:
    for draw in draws:
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


def tensorflow_batches(
    images: NDArray[np.uint8],
    plan: BatchPlan,
    start_step: int = 0,
    replicas: int = 1,
    shares: int = 1,
    labels: NDArray[np.int32] | None = None,
) -> Any:
    """A `tf.data.Dataset` of batches float32 [B, S, S, C] in [-1, 1], endless, prefetched, in the plan's order.

    With `labels` it is one of ((pictures, labels int32 [B]),). For several replicas the parts of a batch are [replicas,
    B / replicas, ...]; see `divided`.
    """
    import tensorflow as tf

    from doggan.data.device import pictures_of

    stored = tf.constant(images)
    of_each = None if labels is None else tf.constant(labels)

    def make(*draw: Any) -> Any:
        pictures = pictures_of(stored, draw, plan)
        return pictures if of_each is None else ((pictures, tf.gather(of_each, draw[0])),)

    made = _tensorflow_draws(plan, start_step).map(make, num_parallel_calls=_PARALLEL)
    return _untuned(made if replicas == 1 else made.map(lambda *batch: _divided_parts(batch, replicas, shares)))


def _divided_parts(batch: tuple[Any, ...], replicas: int, shares: int) -> Any:
    """`divided`, of all parts of an element of a dataset."""
    import tensorflow as tf

    parts = tf.nest.map_structure(lambda part: divided(part, replicas, shares), batch)
    return parts if isinstance(parts[0], tuple) else parts[0]


def divided(batch: Any, replicas: int, shares: int = 1) -> Any:
    """[B, ...] → [replicas, B / replicas, ...], by `keras.ops`: what `tf.distribute` then gives each replica a row of.

    It would divide [B, ...] as well, but forget how many rows each gets. Where a step updates D several times, each
    time on a share of the batch, every replica has its rows of every share.
    """
    from keras import ops

    of_each = batch.shape[0] // (shares * replicas)
    rest = tuple(batch.shape[1:])
    parts = ops.reshape(batch, (shares, replicas, of_each, *rest))
    return ops.reshape(ops.swapaxes(parts, 0, 1), (replicas, shares * of_each, *rest))


def _tensorflow_draws(plan: BatchPlan, start_step: int) -> Any:
    """The plan's draws as a `tf.data.Dataset` of (indices, flip, window)."""
    import tensorflow as tf

    epoch, done = divmod(start_step, plan.steps_per_epoch)

    def of_epoch(epoch: Any) -> Any:
        # Python is called once an epoch and not once a step: a thread of tf.data that waits for its lock while the
        # interpreter ends keeps it from ending.
        parts = tf.numpy_function(plan.draws_of_epoch, [epoch], [tf.int32, tf.bool, tf.float32])
        shape = (plan.steps_per_epoch, plan.batch_size)
        shapes = (shape, shape, (*shape, 4))
        return tf.data.Dataset.from_tensor_slices(tuple(map(tf.ensure_shape, parts, shapes)))

    return tf.data.Dataset.counter(epoch).flat_map(of_epoch).skip(done)


def _untuned(dataset: Any) -> Any:
    """The dataset without tf.data's tuning thread, which `fit` would wait for at its end, for seconds."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    # Where there are several workers, each makes all batches and takes its rows: the order is in no file.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(_AHEAD).with_options(options)


def batches(
    images: NDArray[np.uint8],
    plan: BatchPlan,
    start_step: int = 0,
    *,
    on_device: bool = False,
    devices: "Devices | None" = None,
    shares: int = 1,
    labels: NDArray[np.int32] | None = None,
) -> Any:
    """What `fit` is given, endless and in the plan's order.

    Args:
        images: uint8 [N, H, H, C]; not read where batches are made on the device.
        plan: of the run.
        start_step: the step that the first batch is for.
        on_device: hand over what a step reads, for `DevicePictures` to make the pictures of, instead of pictures.
        devices: those that train; None for one.
        shares: updates of D in a step, each on so many of the batch's rows; see `divided`.
        labels: int32 [N], for networks that are told them; None for others, and not read with `on_device`.

    Returns:
        On TensorFlow a `tf.data.Dataset` of pictures float32 [B, S, S, C] in [-1, 1], elsewhere an iterator of
        (pictures,); with `labels` of ((pictures, labels int32 [B]),) on either, and with `on_device` of
        ((indices, flip, window),). For several devices under TensorFlow as `divided` has it; for several processes on
        JAX this process' rows only.
    """
    import keras

    if keras.backend.backend() != "tensorflow":  # there `fit` takes tuples from a generator
        draws = plan.draws(start_step)
        if devices is not None and devices.processes > 1:
            of_each = plan.batch_size // devices.processes
            own = slice(devices.process * of_each, (devices.process + 1) * of_each)
            draws = (Draw(draw.indices[own], draw.flip[own], draw.window[own]) for draw in draws)
        if on_device:
            return ((draw,) for draw in draws)
        if labels is None:
            return ((batch,) for batch in _numpy_batches(images, plan, draws))
        first, second = itertools.tee(draws)
        pictures = _numpy_batches(images, plan, first)
        return (((batch, labels[draw.indices]),) for batch, draw in zip(pictures, second, strict=False))
    replicas = 1 if devices is None else devices.replicas
    if not on_device:
        return tensorflow_batches(images, plan, start_step, replicas, shares, labels)
    draws_ahead = _tensorflow_draws(plan, start_step)
    if replicas > 1:
        draws_ahead = draws_ahead.map(lambda *draw: tuple(divided(part, replicas, shares) for part in draw))
    return _untuned(draws_ahead.map(lambda *draw: (draw,)))
