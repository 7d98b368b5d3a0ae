"""Pictures from a `Draw` in `keras.ops`: inside the compiled training step, or in a `tf.data` map."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan import replicas
from doggan.data.batches import BatchPlan


class DevicePictures:
    """All pictures of a run on the accelerator: only which of them a step reads travels, and the step makes the rest.

    The 20,580 crops of Stanford Dogs at 64 px take 253 MB there. A plain class, so that Keras counts the pictures
    neither among a model's weights nor in its checkpoints.

    Args:
        images: uint8 [N, H, H, C].
        plan: of the run.
        labels: int32 [N], for networks that are told them.

    Attributes:
        images: where the pictures lie. On JAX a `keras.Variable` (uint8, not trainable), for the compiled step to take
            as an argument: what it closes over becomes a constant of the program, which costs seconds of compiling and
            the memory twice. On TensorFlow a tensor; for several devices a variable, which lies on each of them.
    """

    def __init__(self, images: NDArray[np.uint8], plan: BatchPlan, labels: NDArray[np.int32] | None = None) -> None:
        self.plan, self.labels = plan, labels
        as_variable = keras.backend.backend() == "jax" or replicas.planned()
        self.images = (
            keras.Variable(images, dtype="uint8", trainable=False, name="images")
            if as_variable
            else ops.convert_to_tensor(images, "uint8")
        )

    def __call__(self, draw: Any) -> Any:
        """float32 [B, S, S, C] in [-1, 1] from (indices int32 [B], flip bool [B], window float32 [B, 4]).

        With labels, (that, labels int32 [B]).
        """
        pictures = pictures_of(ops.convert_to_tensor(self.images), draw, self.plan)
        return pictures if self.labels is None else (pictures, ops.take(self.labels, draw[0], axis=0))


def pictures_of(images: Any, draw: Any, plan: BatchPlan) -> Any:
    """What `numpy_batches` makes of one `Draw`, in `keras.ops`.

    Args:
        images: a uint8 tensor [N, H, H, C].
        draw: the tensors of a `Draw`, B static.
        plan: says whether windows are cut, and the size S of what comes out.

    Returns:
        float32 [B, S, S, C] in [-1, 1].
    """
    indices, flip, window = draw
    batch = ops.take(images, indices, axis=0)
    if plan.resamples:
        batch = _cut(batch, window, plan.image_size)
    if plan.flip:
        batch = ops.where(flip[:, None, None, None], ops.flip(batch, axis=2), batch)
    return ops.cast(batch, "float32") / 127.5 - 1.0


def _cut(batch: Any, window: Any, size: int) -> Any:
    """Bilinear sampling of each window at size × size points, corners on corners: uint8 [B, H, H, C] → float32."""
    n, side, _, channels = batch.shape
    top, left, bottom, right = (window[:, i : i + 1] for i in range(4))
    steps = np.linspace(0.0, 1.0, size, dtype=np.float32)[None]
    count = np.arange(n * size, dtype=np.int32)

    lower, upper, share = _neighbours(top + (bottom - top) * steps, side)
    rows = ops.reshape(batch, (n * side, side, channels))
    first = count[:n, None] * side
    above, below = (ops.cast(ops.take(rows, first + i, axis=0), "float32") for i in (lower, upper))
    share = share[:, :, None, None]
    between = above * (1 - share) + below * share  # [B, S, H, C]

    lower, upper, share = _neighbours(left + (right - left) * steps, side)
    pixels = ops.reshape(between, (n * size * side, channels))
    first = count.reshape(n, size, 1) * side
    before, after = (ops.take(pixels, first + i[:, None], axis=0) for i in (lower, upper))
    share = share[:, None, :, None]
    return before * (1 - share) + after * share


def _neighbours(places: Any, side: int) -> tuple[Any, Any, Any]:
    """The two pixels between which each place lies, int32, and the share of the second."""
    lower = ops.floor(places)
    first = ops.cast(lower, "int32")
    return first, ops.minimum(first + 1, side - 1), places - lower
