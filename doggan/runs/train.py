"""Training a run from its folder: start, stop, resume."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import keras
import numpy as np
from numpy.typing import NDArray

from doggan import plots
from doggan.config import Config
from doggan.data.batches import batches, choose
from doggan.data.imageset import ImageSet, hash_images
from doggan.errors import Interrupted
from doggan.files import remove_leftovers
from doggan.metrics.cache import FeatureCache
from doggan.metrics.callback import ScoreCallback, Scorer
from doggan.metrics.extractors import load_extractor
from doggan.runs.build import build_gan, build_generator, plan_data, scores_wanted, training_images
from doggan.runs.folder import Run
from doggan.runs.recorder import DIVERGED, Recorder, Stop
from doggan.sampling import generate
from doggan.training.checkpoints import restore_generator
from doggan.training.gan import GAN

FEWEST_HELDOUT = 100  # with fewer the scores would be mostly noise
SCORED_REAL = 2000  # real pictures the scores compare with: enough for a stable ranking of checkpoints


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


def train(
    run: Run,
    data: ImageSet,
    *,
    weights: Path | None = None,
    deadline: float | None = None,
    progress: bool = True,
) -> Outcome:
    """Train `run` on `data` from its newest checkpoint, or from the start, to its last epoch.

    Ctrl-C, SIGTERM and `deadline` (a value of `time.monotonic`) let the step in progress finish, save a checkpoint,
    score it and return. Calling it again continues exactly where it stopped.

    Args:
        run: as `start_run` or `Run.open` gives it.
        data: the pictures it was started with.
        weights: the file of the network, where the run is scored on Inception's features; None looks in the default
            folders.
        deadline: see above; scoring and saving come after it.
        progress: show a bar of steps, and print a line an epoch and a line for scores.

    Raises:
        DogganError: the pictures are not those the run was started with, or the scores it asks for cannot be had (no
            weights, say). Nothing was trained then.
    """
    images = training_images(run.config, data)
    run.check_pictures(hash_images(images.images))
    plan = plan_data(run.config, images)
    scorer = _scorer(run.config, data, plan.image_size, weights, progress)
    gan = build_gan(run.config, run.image_shape, plan.steps_per_epoch)
    remove_leftovers(run.folder)
    begun = run.checkpoints.restore_newest(gan)

    def sample(n: int) -> NDArray[np.uint8]:
        return np.concatenate(list(generate(gan.generator, n, seed=run.config.seed)))

    settings = run.config.train
    recorder = Recorder(run.folder, settings, plan, run.checkpoints, sample, scorer, gan, begun, progress=progress)
    stop = Stop(deadline)
    start, total = recorder.step, plan.steps_per_epoch * settings.epochs
    callbacks: list[keras.callbacks.Callback] = [stop, recorder]
    if scorer is not None:
        scores = ScoreCallback(
            scorer,
            sample,
            steps_per_epoch=plan.steps_per_epoch,
            batch_size=plan.batch_size,
            samples=settings.score_samples,
            every_epochs=settings.score_every,
            every_kimg=settings.score_kimg,
            report=recorder.scored,
            step=start,
            total_steps=total,
            scored_at=recorder.scored_at,
        )
        callbacks.append(scores)
    try:
        with _signals(stop.ask):
            if start == total and scorer is not None and recorder.scored_at is None:
                _score_the_end(gan, callbacks)
            while recorder.step < total and not stop.reason:
                epoch, done = divmod(recorder.step, plan.steps_per_epoch)
                gan.fit(
                    batches(images.images, plan, recorder.step),
                    initial_epoch=epoch,
                    # A run that stopped inside an epoch finishes that one by itself: `fit` cannot begin in the middle.
                    epochs=epoch + 1 if done else settings.epochs,
                    steps_per_epoch=plan.steps_per_epoch - done,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
    finally:
        recorder.close()
    if recorder.step > start:
        _animate(run)
    finished = recorder.step == total and stop.reason != DIVERGED
    return Outcome(recorder.step, total, None if finished else stop.reason)


def _score_the_end(gan: GAN, callbacks: list[keras.callbacks.Callback]) -> None:
    """What is left to do for a run that was killed between its last step and its last score."""
    ends = keras.callbacks.CallbackList(callbacks, model=gan)
    ends.on_train_begin()
    ends.on_train_end()


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


def _scorer(config: Config, data: ImageSet, size: int, weights: Path | None, progress: bool) -> Scorer | None:
    """Scores against held-out pictures, or training ones where there are too few of those; None where none are wanted.

    The memorization distance is to all training pictures. Where training cuts windows at random, the pictures'
    centres stand for them.
    """
    if not scores_wanted(config):
        return None
    random = config.train.extractor == "random"
    corner = (data.image_shape[0] - size) // 2
    window = slice(corner, corner + size)
    heldout = data.heldout()
    real = heldout if len(heldout) >= FEWEST_HELDOUT else data.training()
    return Scorer(
        load_extractor(config.train.extractor, None if random else weights),
        real.images[choose(len(real), SCORED_REAL, config.seed)][:, window, window],
        config.train.metrics,
        training=training_images(config, data).images[:, window, window],
        cache=None if random else FeatureCache(),  # random features cost too little to be worth keeping
        progress=progress,
    )


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
