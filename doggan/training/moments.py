"""Mean and standard deviation of what the step reports, summed inside the step."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
from keras import ops


class MeanStd(keras.metrics.Metric):
    """Running mean and standard deviation of a scalar over an epoch, by Welford's update (Technometrics 4, 1962)."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.count = self._scalar("count")
        self.mean = self._scalar("mean")
        self.squares = self._scalar("squares")

    def _scalar(self, name: str) -> Any:
        # Keras would add up what several replicas have computed alike.
        return self.add_variable((), "zeros", aggregation="only_first_replica", name=name)

    def update_state(self, value: Any, sample_weight: None = None) -> None:
        """Take in one scalar."""
        count, before = self.count + 1.0, ops.convert_to_tensor(self.mean)
        mean = before + (value - before) / count
        self.squares.assign(self.squares + (value - before) * (value - mean))
        self.mean.assign(mean)
        self.count.assign(count)

    def result(self) -> Any:
        """The mean of what was taken in since the last reset."""
        return ops.convert_to_tensor(self.mean)

    def std(self) -> Any:
        """The population standard deviation of the same."""
        # XLA may fuse the update so that its rounding leaves a little less than zero.
        return ops.sqrt(ops.maximum(self.squares, 0.0) / ops.maximum(self.count, 1.0))


def take_in(stats: Iterable[MeanStd], values: Mapping[str, Any]) -> dict[str, Any]:
    """Take in the value of each by its name; returns `<name>`, `<name>_mean` and `<name>_std` of all."""
    logs: dict[str, Any] = {}
    for stat in stats:
        stat.update_state(values[stat.name])
        logs |= {
            stat.name: values[stat.name],
            f"{stat.name}_mean": stat.result(),
            f"{stat.name}_std": stat.std(),
        }
    return logs
