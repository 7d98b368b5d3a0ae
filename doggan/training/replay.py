"""Experience replay: fakes of earlier steps, shown to the discriminator once more."""

from typing import Any

import keras
from keras import ops


class ReplayBuffer:
    """One fake of every step, until it is full and emptied; its size never changes.

    Where in the buffer a step's fake goes is a function of the step. Reference: Shrivastava et al.: Learning from
    Simulated and Unsupervised Images through Adversarial Training, 2017, arXiv:1612.07828, section 2.3, of which the
    reference solution's is a simple form.

    Args:
        size: fakes it holds.
        image_shape: (H, W, C) of one.

    Attributes:
        images: float32 [size, H, W, C], zeros where it is empty.
    """

    def __init__(self, size: int, image_shape: tuple[int, int, int]) -> None:
        self.size = size
        self.images = keras.Variable(
            ops.zeros((size, *image_shape)),
            trainable=False,
            autocast=False,
            dtype="float32",
            aggregation="only_first_replica",
            name="replay",
        )

    def keep(self, fake: Any, step: Any) -> Any:
        """Put the first of the fakes [B, H, W, C] into its place; returns the content, [size, H, W, C]."""
        here = ops.reshape(ops.equal(ops.arange(self.size, dtype="int32"), step % self.size), (self.size, 1, 1, 1))
        content = ops.where(here, ops.stop_gradient(fake[:1]), ops.convert_to_tensor(self.images))
        self.images.assign(content)
        return content

    def is_full(self, step: Any) -> Any:
        """Whether the fake of this step was the last that fits, a bool scalar."""
        return ops.equal(step % self.size, self.size - 1)

    def empty(self) -> None:
        """Forget all fakes."""
        self.images.assign(ops.zeros(tuple(self.images.shape)))
