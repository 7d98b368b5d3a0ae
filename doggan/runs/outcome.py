"""How training ended."""

import signal
from dataclasses import dataclass

from doggan.errors import Interrupted

_AFTER_COLLAPSE = (
    "start a new run with lower rates (g_optimizer.lr, d_optimizer.lr), with penalty.r1, or with augment.policy"
)


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        step, total_steps: where.
        stopped_by: None when it reached its last epoch, else a reason or a signal's name.
        out_of_time: whether the last state should have been scored, and there was no time for it.
        collapsed: whether `stopped_by` is a collapse (see `Health`), which resuming would only repeat.
    """

    step: int
    total_steps: int
    stopped_by: str | None
    out_of_time: bool = False
    collapsed: bool = False

    def raise_if_interrupted(self) -> None:
        """Raise `Interrupted` where a signal ended training, for callers who have more to do."""
        if self.stopped_by in signal.Signals.__members__:
            raise Interrupted(self.stopped_by)

    def __str__(self) -> str:
        unscored = ", without time for a last score" if self.out_of_time else ""
        if self.stopped_by is None:
            return f"trained all {self.total_steps} steps{unscored}"
        remedy = _AFTER_COLLAPSE if self.collapsed else "--resume continues"
        return f"stopped at step {self.step} of {self.total_steps}: {self.stopped_by}{unscored}; {remedy}"
