"""What is printed while a run trains: lines that stay and, on a terminal, a live part below them."""

import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.live import Live
from rich.text import Text

from doggan.runs.panel import Panel, Status, duration
from doggan.runs.readings import Readings

_REDRAW = 0.5  # seconds between two states of the live part
_READ = 10.0  # seconds between two looks at the networks, which on JAX fetch all variables
_SIGN_OF_LIFE = 60.0  # seconds without a line after which a log that is no terminal gets one
_WINDOW = 10.0  # seconds that the speed is taken over


class Speed:
    """Steps per second over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=1000)

    def restart(self, now: float, step: int) -> None:
        """Forget what was: something else than training took time."""
        self._marks.clear()
        self.mark(now, step)

    def mark(self, now: float, step: int) -> None:
        """Take note of the steps done by `now`."""
        self._marks.append((now, step))
        while len(self._marks) > 2 and now - self._marks[1][0] >= _WINDOW:
            self._marks.popleft()

    @property
    def value(self) -> float | None:
        """Steps per second; None while there is nothing to go by."""
        if not self._marks:
            return None
        (before, first), (now, last) = self._marks[0], self._marks[-1]
        return (last - first) / (now - before) if now > before and last > first else None


class Display:
    """Says how a run goes, on stdout.

    On a terminal, lines scroll up above a live part (`Panel`), and so does what anybody else prints there meanwhile. It
    is drawn by the thread that trains, twice a second at most, and gone at the end. Anywhere else (a pipe, a file, a
    notebook, a terminal that cannot move its cursor) there are lines alone, one at least every minute. NO_COLOR is
    respected.

    Args:
        status: what to show; the caller keeps `logs`, `last`, `best` and `saved` up to date.
        read: reads the networks; called every few seconds, and only where there is a live part.
        progress: False prints nothing at all.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        status: Status,
        read: Callable[[], Readings],
        *,
        progress: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.status, self._read, self._progress, self._clock = status, read, progress, clock
        terminal = progress and sys.stdout.isatty()
        # Asked of stdout alone: FORCE_COLOR, which many build servers set, is no terminal, and a notebook is none.
        self.console = Console(force_terminal=terminal, force_jupyter=False, highlight=False, markup=False, emoji=False)
        utf8 = self.console.encoding.startswith("utf")
        self._can_redraw = terminal and utf8 and not self.console.is_dumb_terminal
        self._live: Live | None = None
        self._speed = Speed()
        self._begun: tuple[float, int] | None = None  # when the first call, which compiles, was over, and at which step
        self._saved: tuple[float, int | None] = (0.0, status.saved)
        self._drawn = self._looked = -float("inf")
        self._said = clock()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if not self._progress:
            return
        if self._can_redraw:
            self.console.print(Text(wrapped(text, self.console.width)), soft_wrap=True)
        else:
            encoding = self.console.encoding  # ASCII, say, which has no "±"
            print(text.encode(encoding, "replace").decode(encoding), flush=True)
        self._said = self._clock()

    def resume(self) -> None:
        """Training goes on after something else: an epoch's end, a score. That time does not count as slow steps."""
        if self._begun is not None:
            self._speed.restart(self._clock(), self.status.step)

    def advance(self, step: int, logs: Mapping[str, float]) -> None:
        """A call of the steps has ended at `step`."""
        if not self._progress:
            return
        now, status = self._clock(), self.status
        status.step, status.logs = step, logs
        if self._begun is None:
            self._begun = now, step
            self._speed.restart(now, step)
        else:
            self._speed.mark(now, step)
        if self._can_redraw:
            if now - self._drawn >= _REDRAW:
                self._redraw(now)
        elif now - self._said >= _SIGN_OF_LIFE:
            self._estimate(now)
            self.say(progress_line(status))

    def close(self) -> None:
        """Remove the live part."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _redraw(self, now: float) -> None:
        self._drawn = now
        self._estimate(now)
        if now - self._looked >= _READ:
            self.status.readings = self._read()
            self._looked = self._clock()
        if self._live is None:  # not before the first call: bars of what comes before would be in its way
            self._live = Live(
                console=self.console, auto_refresh=False, transient=True, redirect_stderr=sys.stderr.isatty()
            )
            self._live.start()
            self.console.show_cursor()  # which a process that is killed could not give back
        self._live.update(Panel(self.status), refresh=True)

    def _estimate(self, now: float) -> None:
        status, speed = self.status, self._speed.value
        status.speed = speed
        _, done = status.in_epoch
        status.epoch_left = None if speed is None else (status.steps_per_epoch - done) / speed
        # By all that this process did since, scores and checkpoints included; at first by the steps alone.
        assert self._begun is not None
        since, first = self._begun
        whole = status.epochs * status.steps_per_epoch
        overall = (status.step - first) / (now - since) if status.step - first >= status.steps_per_epoch else speed
        status.run_left = (whole - status.step) / overall if overall else None
        if status.saved != self._saved[1]:
            self._saved = now, status.saved
        status.saved_ago = now - self._saved[0] if self._saved[0] else None


def wrapped(text: str, width: int) -> str:
    """Text folded between words to a terminal's width, what follows of a line set in."""
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def progress_line(status: Status) -> str:
    """A line for inside an epoch."""
    epoch, step = status.in_epoch
    parts = [f"  step {step}/{status.steps_per_epoch} of epoch {epoch}/{status.epochs}"]
    parts += [f"{status.step * status.batch_size / 1000:.1f} kimg"]
    if status.speed is not None:
        parts.append(f"{status.speed * status.batch_size:.1f} images/s")
    parts += [f"{name} {status.logs[f'{name}_mean']:.3f}" for name in ("g_loss", "d_loss")]
    parts += [f"D(real) {status.logs['d_real_mean']:.2f}", f"D(fake) {status.logs['d_fake_mean']:.2f}"]
    if status.epoch_left is not None:
        parts.append(f"left {duration(status.epoch_left)}, run {duration(status.run_left)}")
    return "  ".join(parts)
