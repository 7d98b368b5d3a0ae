"""The distribution of the discriminator's verdicts over an epoch, counted inside the step."""

from typing import Any

import keras
from keras import ops

BINS = 20


class Histogram(keras.metrics.Metric):
    """Counts of probabilities in `BINS` bins of equal width over [0, 1], the last one closed.

    Attributes:
        counts: float32 [BINS], whole numbers (exact up to 2²⁴) since the last reset.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        # On several replicas each adds the counts of all of them.
        self.counts = self.add_variable((BINS,), "zeros", aggregation="only_first_replica", name="counts")

    def update_state(self, probabilities: Any, sample_weight: None = None) -> None:
        """Take in probabilities of any shape."""
        bins = ops.minimum(ops.cast(ops.reshape(probabilities, (-1,)) * BINS, "int32"), BINS - 1)
        self.counts.assign(self.counts + ops.sum(ops.one_hot(bins, BINS, dtype="float32"), axis=0))

    def result(self) -> Any:
        """The counts."""
        return ops.convert_to_tensor(self.counts)
