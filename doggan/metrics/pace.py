"""A progress bar that knows when there is no time to reach its end."""

import time
from types import TracebackType

from tqdm import tqdm

_WARM_UP = 2  # steps that say nothing of the speed: the first ones trace, compile and fill caches


class TimeUp(Exception):
    """The work cannot be finished before its deadline."""


class Pace:
    """Counts images: draws a bar when asked and keeps to a deadline.

    Args:
        total: images until the end.
        label: what is being done, shown before the bar and named when time runs out.
        progress: whether to draw the bar.
        deadline: the `time.monotonic()` at which the work must be done, or None.
    """

    def __init__(self, total: int, label: str, *, progress: bool = False, deadline: float | None = None) -> None:
        self.total, self.label, self.deadline = total, label, deadline
        self.done = self._steps = self._measured = 0
        self._since = time.monotonic()
        self._bar = tqdm(total=total, desc=label, unit="image", disable=not progress)

    def __enter__(self) -> "Pace":
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance(self, images: int) -> None:
        """Count `images` more as done.

        Raises:
            TimeUp: the deadline has passed, or at the speed so far the rest would end after it.
        """
        self.done += images
        self._bar.update(images)
        self._steps += 1
        if self._steps <= _WARM_UP:
            self._since = time.monotonic()
        else:
            self._measured += images
        self.check()

    def skip(self, images: int) -> None:
        """Take `images` that cost no time off what is left to do."""
        self.total -= images
        self._bar.total = self.total

    def check(self) -> None:
        """Raise `TimeUp` when the end can no longer be reached in time."""
        if self.deadline is None or self.done >= self.total:
            return
        now = time.monotonic()
        rest = (now - self._since) / self._measured * (self.total - self.done) if self._measured else 0.0
        if now + rest > self.deadline:
            todo, left = self.total - self.done, max(self.deadline - now, 0)
            raise TimeUp(f"{self.label}: {todo:,} of {self.total:,} images remain and {left:.0f} s are left")
