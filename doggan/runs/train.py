"""Training a run from its folder: start, stop, resume."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from doggan import plots
from doggan.config import Config
from doggan.data.batches import batches, choose
from doggan.data.imageset import ImageSet, hash_images
from doggan.errors import Interrupted
from doggan.files import remove_leftovers
from doggan.metrics.proxy import RandomKID
from doggan.runs.build import build_gan, build_generator, plan_data, training_images
from doggan.runs.folder import Run
from doggan.runs.recorder import DIVERGED, Recorder, Stop
from doggan.sampling import generate
from doggan.training.checkpoints import restore_generator

FEWEST_HELDOUT = 100  # with fewer the score would be mostly noise
SCORED_REAL = 2000  # real pictures the cheap score compares with: enough for a stable ranking of checkpoints


@dataclass(frozen=True)
class Outcome:
    """How training ended: `stopped_by` is None when it reached its last epoch, else a reason or a signal's name."""

    step: int
    total_steps: int
    stopped_by: str | None

    def raise_if_interrupted(self) -> None:
        """Raise `Interrupted` where a signal ended training, for callers who have more to do."""
        if self.stopped_by in signal.Signals.__members__:
            raise Interrupted(self.stopped_by)

    def __str__(self) -> str:
        if self.stopped_by is None:
            return f"trained all {self.total_steps} steps"
        remedy = "" if self.stopped_by == DIVERGED else "; --resume continues"
        return f"stopped at step {self.step} of {self.total_steps}: {self.stopped_by}{remedy}"


def start_run(folder: Path, config: Config, data: ImageSet, data_path: Path) -> Run:
    """Check that the recipe fits the pictures, and make the run folder."""
    images = training_images(config, data)
    plan = plan_data(config, images)
    shape = (plan.image_size, plan.image_size, images.image_shape[-1])
    return Run.create(folder, config, shape, data_path.resolve(), hash_images(images.images))


def train(run: Run, data: ImageSet, *, deadline: float | None = None, progress: bool = True) -> Outcome:
    """Train `run` on `data` from its newest checkpoint, or from the start, to its last epoch.

    Ctrl-C, SIGTERM and `deadline` (a value of `time.monotonic`) let the step in progress finish, save a checkpoint and
    return. Calling it again continues exactly where it stopped.

    Raises:
        DogganError: the pictures are not those the run was started with.
    """
    images = training_images(run.config, data)
    run.check_pictures(hash_images(images.images))
    plan = plan_data(run.config, images)
    gan = build_gan(run.config, run.image_shape, plan.steps_per_epoch)
    remove_leftovers(run.folder)
    begun = run.checkpoints.restore_newest(gan)

    def sample(n: int) -> NDArray[np.uint8]:
        return np.concatenate(list(generate(gan.generator, n, seed=run.config.seed)))

    recorder = Recorder(
        run.folder,
        run.config.train,
        plan,
        run.checkpoints,
        sample,
        _scorer(run.config, data, plan.image_size),
        gan,
        begun,
        progress=progress,
    )
    stop = Stop(deadline)
    start, total = recorder.step, plan.steps_per_epoch * run.config.train.epochs
    with _signals(stop.ask):
        while recorder.step < total and not stop.reason:
            epoch, done = divmod(recorder.step, plan.steps_per_epoch)
            gan.fit(
                batches(images.images, plan, recorder.step),
                initial_epoch=epoch,
                # A run that stopped inside an epoch finishes that one by itself: `fit` cannot begin in the middle.
                epochs=epoch + 1 if done else run.config.train.epochs,
                steps_per_epoch=plan.steps_per_epoch - done,
                callbacks=[stop, recorder],
                shuffle=False,
                verbose=0,
            )
        if recorder.step > start:
            recorder.close()
            _animate(run)
    finished = recorder.step == total and stop.reason != DIVERGED
    return Outcome(recorder.step, total, None if finished else stop.reason)


def _animate(run: Run) -> None:
    sheets = run.sheets()
    if sheets:
        plots.write_gif(run.gif, list(sheets.values()), captions=[f"epoch {epoch}" for epoch in sheets])


def load_generator(run: Run, which: str = "best"):  # type: ignore[no-untyped-def]
    """The generator (a `keras.Model`) of a run from the checkpoint "best", "newest" or a step number, and its step.

    Raises:
        DogganError: the run has no such checkpoint.
    """
    generator = build_generator(run.config, run.image_shape[-1])
    return generator, restore_generator(generator, run.checkpoints.find(which))


def _scorer(config: Config, data: ImageSet, size: int) -> Callable[[NDArray[np.uint8]], float] | None:
    """The cheap score: KID on fixed random features against held-out pictures, or training ones where none are.

    Where training cuts windows at random, the pictures' centres stand for them.
    """
    if config.train.score_every == 0:
        return None
    heldout = data.heldout()
    real = heldout if len(heldout) >= FEWEST_HELDOUT else data.training()
    corner = (data.image_shape[0] - size) // 2
    centres = real.images[:, corner : corner + size, corner : corner + size]
    return RandomKID(centres[choose(len(real), SCORED_REAL, config.seed)])


@contextmanager
def _signals(ask: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for a stop; a second Ctrl-C interrupts at once. Only the main thread can set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        ask(signal.Signals(number).name)
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
