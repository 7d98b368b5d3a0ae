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
from doggan.data.imageset import ImageSet
from doggan.metrics.proxy import RandomKID
from doggan.runs.build import build_gan, build_generator, plan_data, training_images
from doggan.runs.folder import Run, hash_images
from doggan.runs.recorder import Recorder, Stop
from doggan.sampling import generate
from doggan.training.checkpoints import restore_generator

SCORED_REAL = 2000  # real pictures the cheap score compares with: enough for a stable ranking of checkpoints


@dataclass(frozen=True)
class Outcome:
    """How training ended: `stopped_by` is None when it reached its last epoch."""

    step: int
    total_steps: int
    stopped_by: str | None

    def __str__(self) -> str:
        if self.stopped_by is None:
            return f"trained all {self.total_steps} steps"
        return f"stopped at step {self.step} of {self.total_steps}: {self.stopped_by}; --resume continues"


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
    run.check_same(run.config, hash_images(images.images))
    plan = plan_data(run.config, images)
    gan = build_gan(run.config, run.image_shape, plan.steps_per_epoch)
    start = run.checkpoints.restore_newest(gan) or 0
    total = plan.steps_per_epoch * run.config.train.epochs

    def sample(n: int) -> NDArray[np.uint8]:
        return np.concatenate(list(generate(gan.generator, n, seed=run.config.seed)))

    recorder = Recorder(
        run.folder,
        run.config.train,
        plan,
        run.checkpoints,
        sample,
        _scorer(run.config, data, plan.image_size),
        start_step=start,
        progress=progress,
    )
    stop = Stop(deadline)
    with _signals(stop.ask):
        step = start
        while step < total and not stop.reason:
            epoch, done = divmod(step, plan.steps_per_epoch)
            gan.fit(
                batches(images.images, plan, step),
                initial_epoch=epoch,
                # A run that stopped inside an epoch finishes that one by itself: `fit` cannot begin in the middle.
                epochs=epoch + 1 if done else run.config.train.epochs,
                steps_per_epoch=plan.steps_per_epoch - done,
                callbacks=[recorder, stop],
                shuffle=False,
                verbose=0,
            )
            step = recorder.step
        if step > start or start == 0:
            recorder.close()
    sheets = run.sheets()
    if sheets:
        plots.write_gif(run.gif, list(sheets.values()), captions=[f"epoch {epoch}" for epoch in sheets])
    return Outcome(step, total, stop.reason if step < total else None)


def load_generator(run: Run, which: str = "best"):  # type: ignore[no-untyped-def]
    """The generator (a `keras.Model`) of a run from the checkpoint "best", "newest" or a step number, and its step.

    Raises:
        DogganError: the run has no such checkpoint.
    """
    generator = build_generator(run.config, run.image_shape[-1])
    return generator, restore_generator(generator, run.checkpoints.find(which))


def _scorer(config: Config, data: ImageSet, size: int) -> Callable[[NDArray[np.uint8]], float] | None:
    """The cheap score: KID on fixed random features against held-out pictures, or training ones where none are."""
    if config.train.score_every == 0 or data.image_shape[0] != size:
        return None
    heldout = data.heldout()
    real = heldout if len(heldout) >= 100 else data.training()
    return RandomKID(real.images[choose(len(real), SCORED_REAL, config.seed)])


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
