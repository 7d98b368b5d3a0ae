"""Which classes a conditional generator is asked for in a training step."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.data.classes import boundaries
from doggan.randomness import uniform


class FakeClasses:
    """Classes of the fakes of a step.

    Args:
        shares: probability of each class, float64 [n_classes], sum 1; None takes those of the real pictures: the first
            fake is asked to be of the class of the batch's first picture, and so on.
    """

    def __init__(self, shares: NDArray[np.float64] | None = None) -> None:
        self.ends = None if shares is None else boundaries(shares).astype(np.float32)

    def __call__(self, real_classes: Any) -> Any:
        """int32 [B]; those that are drawn come from the current `step_scope`.

        Args:
            real_classes: int32 [B], of the real pictures.
        """
        if self.ends is None:
            return real_classes
        draws = uniform((real_classes.shape[0],))
        return ops.sum(ops.cast(draws[:, None] >= self.ends[None], "int32"), axis=1)
