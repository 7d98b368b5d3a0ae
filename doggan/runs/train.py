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
from doggan.data.batches import batches
from doggan.data.device import DevicePictures
from doggan.data.imageset import ImageSet, hash_images
from doggan.errors import Interrupted
from doggan.files import remove_leftovers
from doggan.metrics.callback import ScoreCallback
from doggan.runs.build import build_gan, build_generator, plan_data, training_images
from doggan.runs.execution import made_on_device, next_fit, steps_wanted
from doggan.runs.folder import Run
from doggan.runs.recorder import Recorder
from doggan.runs.scores import load_scoring
from doggan.runs.stop import DIVERGED, Stop
from doggan.sampling import generate
from doggan.training.backend import has_accelerator
from doggan.training.checkpoints import describe_weights, restore_generator
from doggan.training.gan import GAN
from doggan.training.statistics import reestimate


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        step, total_steps: where.
        stopped_by: None when it reached its last epoch, else a reason or a signal's name.
        out_of_time: whether the last state should have been scored, and there was no time for it.
    """

    step: int
    total_steps: int
    stopped_by: str | None
    out_of_time: bool = False

    def raise_if_interrupted(self) -> None:
        """Raise `Interrupted` where a signal ended training, for callers who have more to do."""
        if self.stopped_by in signal.Signals.__members__:
            raise Interrupted(self.stopped_by)

    def __str__(self) -> str:
        unscored = ", without time for a last score" if self.out_of_time else ""
        if self.stopped_by is None:
            return f"trained all {self.total_steps} steps{unscored}"
        remedy = "" if self.stopped_by == DIVERGED else "; --resume continues"
        return f"stopped at step {self.step} of {self.total_steps}: {self.stopped_by}{unscored}{remedy}"


def start_run(folder: Path, config: Config, data: ImageSet, data_path: Path, *, weights: Path | None = None) -> Run:
    """Check that the recipe fits the pictures and that it can be scored, and make the run folder.

    Args:
        folder: of the run; it must not hold one.
        config, data, data_path: the settings, the pictures and the file they are from.
        weights: as for `train`.

    Raises:
        DogganError: something does not fit or is missing; no folder is made then.
    """
    images = training_images(config, data)
    plan = plan_data(config, images)
    load_scoring(config, data, images, plan.image_size, weights)
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

    Ctrl-C and SIGTERM let the steps in progress finish, save a checkpoint, score it and return; so does `deadline`, as
    far as `Stop` finds time for the score. Calling it again continues exactly where it stopped.

    Args:
        run: as `start_run` or `Run.open` gives it.
        data: the pictures it was started with.
        weights: the file of the network, where the run is scored on Inception's features; None looks in the default
            folders.
        deadline: of `time.monotonic`. The features of real pictures and all scores are made before it; the steps in
            progress, the last checkpoint and the figures may end some seconds after it.
        progress: show a bar of steps, and print a line an epoch and a line for scores.

    Raises:
        DogganError: the pictures or the features are not those the run was started with, or the scores it asks for
            cannot be had (no weights, say). Nothing was trained then.
    """
    images = training_images(run.config, data)
    run.check_pictures(hash_images(images.images))
    plan = plan_data(run.config, images)
    scoring = load_scoring(run.config, data, images, plan.image_size, weights, progress=progress)
    if scoring is not None:
        scoring.comparison.keep(run.scores)
        if progress:
            print(f"scores: {scoring.comparison}", flush=True)
    accelerator = has_accelerator()
    on_device = made_on_device(run.config.data.place, accelerator)
    pictures = DevicePictures(images.images, plan) if on_device else None
    gan = build_gan(run.config, run.image_shape, plan.steps_per_epoch, pictures)
    remove_leftovers(run.folder)
    begun = run.checkpoints.restore_newest(gan)

    def sample(n: int) -> NDArray[np.uint8]:
        return np.concatenate(list(generate(gan.sampler, n, seed=run.config.seed)))

    settings = run.config.train
    stop = Stop(deadline, float(begun.get("score_seconds", 0.0)) if begun else 0.0)
    recorder = Recorder(
        run.folder, settings, plan, run.checkpoints, sample, scoring, stop, gan, begun, progress=progress
    )
    start, total = recorder.step, plan.steps_per_epoch * settings.epochs
    wanted = steps_wanted(settings.steps_per_execution, accelerator)
    callbacks: list[keras.callbacks.Callback] = [stop, recorder]
    if scoring is not None:
        scores = ScoreCallback(
            scoring.scorer,
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
            owed=recorder.owed,
            allowed=stop.leaves_time,
        )
        callbacks.append(scores)
    try:
        with _signals(stop.ask):
            if start == total and scoring is not None and not recorder.is_scored:
                _score_the_end(gan, callbacks)
            while recorder.step < total and not stop.reason:
                epoch, done = divmod(recorder.step, plan.steps_per_epoch)
                per_call, steps = next_fit(wanted, plan.steps_per_epoch - done)
                gan.set_steps_per_execution(per_call)
                gan.fit(
                    batches(images.images, plan, recorder.step, on_device=on_device),
                    initial_epoch=epoch,
                    # `fit` cannot begin in the middle of an epoch, nor end there but for good: parts are by themselves.
                    epochs=settings.epochs if steps == plan.steps_per_epoch else epoch + 1,
                    steps_per_epoch=steps,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
    finally:
        recorder.close()
    _animate(run)
    finished = recorder.step == total and stop.reason != DIVERGED
    out_of_time = scoring is not None and not recorder.is_scored and not stop.leaves_time()
    return Outcome(recorder.step, total, None if finished else stop.reason, out_of_time)


def _score_the_end(gan: GAN, callbacks: list[keras.callbacks.Callback]) -> None:
    """What is left to do for a run that was killed between its last step and its last score."""
    ends = keras.callbacks.CallbackList(callbacks, model=gan)
    ends.on_train_begin()
    ends.on_train_end()


def _animate(run: Run) -> None:
    """Draw the sheets through time, unless that was done since the last of them."""
    sheets = run.sheets()
    if not sheets:
        return
    newest = max(path.stat().st_mtime_ns for path in sheets.values())
    if not run.gif.exists() or run.gif.stat().st_mtime_ns < newest:
        plots.write_gif(run.gif, list(sheets.values()), captions=[f"epoch {epoch}" for epoch in sheets])


def load_generator(
    run: Run, which: str = "best", *, raw: bool = False, bn_samples: int = 0, progress: bool = False
) -> tuple[keras.Model, int, str]:
    """The generator of a run from the checkpoint "best", "newest" or a step number, its step, and its weights in words.

    The words are for what is printed of samples: "averaged weights, batch norm re-estimated on 20 z".

    Args:
        run, which: the run and its checkpoint.
        raw: the weights as trained, where the checkpoint has an average of them too, which is taken else.
        bn_samples: batch norm's statistics become those of so many fresh z, drawn by the run's seed; 0 leaves them.
        progress: show a bar while they are estimated.

    Raises:
        DogganError: the run has no such checkpoint, or no batch normalisation to re-estimate.
    """
    generator = build_generator(run.config, run.image_shape[-1])
    step, averaged = restore_generator(generator, run.checkpoints.find(which), raw=raw)
    if bn_samples:
        reestimate(generator, bn_samples, run.config.seed, progress=progress)
    return generator, step, describe_weights(averaged, bn_samples)


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
