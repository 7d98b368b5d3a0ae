"""What ends a run before its last epoch."""

import math
import time
from typing import Any

import keras

from doggan.devices import Devices

TIME_UP = "the time is up"
# What one process may tell the others, the gravest last.
_REASONS = (None, "collapse", TIME_UP, "SIGTERM", "SIGINT")


class Stop(keras.callbacks.Callback):
    """Ends training after the call in progress: when asked to, or by a deadline.

    Scores keep to the deadline, going by how long the last one took. None is started that would end later, and
    training ends so early that its last state can be scored too. Where that score would follow the one before it after
    less training than it takes itself, it is left out, and training goes on to the deadline.

    Args:
        deadline: of time.monotonic; None for none.
        score_seconds: what the last score took, if one was made before.

    Attributes:
        reason: why training ended, or None.
    """

    def __init__(self, deadline: float | None = None, score_seconds: float = 0.0) -> None:
        super().__init__()
        self.deadline = math.inf if deadline is None else deadline
        self.reason: str | None = None
        self.scored(score_seconds)

    def ask(self, reason: str) -> None:
        """Stop after this call of the compiled steps; safe to call from a signal handler. The first reason stays."""
        self.reason = self.reason or reason

    def scored(self, seconds: float) -> None:
        """Take note of how long a score takes: one that has just been made, or was before training began."""
        self.score_seconds = seconds
        follows_too_soon = time.monotonic() + 2 * seconds >= self.deadline
        self.until = self.deadline if follows_too_soon else self.deadline - seconds

    def leaves_time(self) -> bool:
        """Whether a score may be started."""
        if self.reason == TIME_UP:  # after a step that may have ended a little late
            return self.until < self.deadline
        return time.monotonic() + self.score_seconds <= self.deadline

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() >= self.until:
            self.ask(TIME_UP)
        if self.reason:
            self._model.stop_training = True  # `self.model` would fetch all variables on JAX, at every step


class Agreement(keras.callbacks.Callback):
    """Ends training in all processes of a run after the same call; the last of the callbacks.

    Args:
        stop: gets the reason of the process that wants to end.
        devices: know the other processes.
    """

    def __init__(self, stop: Stop, devices: Devices) -> None:
        super().__init__()
        self.stop, self.devices = stop, devices

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._agree()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._agree()

    def _agree(self) -> None:
        own = 0
        if self._model.stop_training:
            own = _REASONS.index(self.stop.reason) if self.stop.reason in _REASONS[2:] else 1
        agreed = self.devices.highest(own)
        if agreed > max(own, 1):
            self.stop.ask(str(_REASONS[agreed]))
        self._model.stop_training = agreed > 0
