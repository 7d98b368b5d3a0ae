"""Training a run from its folder: start, stop, resume."""

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import FrameType

import keras
import numpy as np
from numpy.typing import NDArray

from doggan import plots
from doggan.config import Config
from doggan.data.batches import BatchPlan, batches, choose
from doggan.data.device import DevicePictures
from doggan.data.imageset import ImageSet
from doggan.devices import ONE, Devices
from doggan.files import remove_leftovers
from doggan.metrics.callback import ScoreCallback
from doggan.runs.build import (
    build_gan,
    check_devices,
    check_own_networks,
    classes_of,
    data_hash,
    labels_of,
    plan_data,
    training_images,
)
from doggan.runs.execution import made_on_device, next_fit, steps_wanted
from doggan.runs.folder import Run
from doggan.runs.health import LOOKED_AT, Health, patience
from doggan.runs.outcome import Outcome
from doggan.runs.parts import EpochInParts
from doggan.runs.recorder import Recorder
from doggan.runs.rollback import FACTOR, Rollback, roll_back, settings_of
from doggan.runs.samples import sampler, sheet_drawer
from doggan.runs.scores import Scoring, centres, load_scoring
from doggan.runs.stop import Agreement, Stop
from doggan.training.backend import has_accelerator, to_numpy
from doggan.training.checkpoints import restore
from doggan.training.gan import GAN


def start_run(
    folder: Path,
    config: Config,
    data: ImageSet,
    data_path: Path,
    *,
    weights: Path | None = None,
    devices: Devices = ONE,
) -> Run:
    """Check that the recipe fits the pictures and that it can be scored, and make the run folder.

    Args:
        folder: of the run; it must not hold one.
        config, data, data_path: the settings, the pictures and the file they are from.
        weights, devices: as for `train`.

    Raises:
        DogganError: something does not fit or is missing; no folder is made then.
    """
    devices.check_same(str(config), "recipes")
    images = training_images(config, data)
    plan = plan_data(config, images)
    check_devices(config, devices)
    shape = (plan.image_size, plan.image_size, images.image_shape[-1])

    def make() -> Run:
        if not devices.chief:
            return Run.open(folder)
        load_scoring(config, data, images, plan.image_size, weights)
        told = classes_of(config, images)
        check_own_networks(config, shape, told)
        return Run.create(folder, config, shape, data_path.resolve(), data_hash(config, images), told)

    return devices.chief_first(make)


def train(
    run: Run,
    data: ImageSet,
    *,
    weights: Path | None = None,
    deadline: float | None = None,
    progress: bool = True,
    devices: Devices = ONE,
) -> Outcome:
    """Train `run` on `data` from its newest checkpoint, or from the start, to its last epoch.

    Ctrl-C and SIGTERM let the steps in progress finish, save a checkpoint, score it and return; so does `deadline`, as
    far as `Stop` finds time for the score. Calling it again continues exactly where it stopped.

    Where training collapses (see `Health`), it is rolled back or ends, as `train.on_collapse` has it; stderr says so.

    Args:
        run: as `start_run` or `Run.open` gives it.
        data: the pictures it was started with.
        weights: the file of the network, where the run is scored on Inception's features; None looks in the default
            folders.
        deadline: of `time.monotonic`. The features of real pictures and all scores are made before it; the steps in
            progress, the last checkpoint and the figures may end some seconds after it.
        progress: show how it goes live, and print a line an epoch and a line for scores.
        devices: those to train on. A run can be resumed on others; the weights are then the same up to rounding.

    Raises:
        DogganError: the settings do not fit the devices; the pictures or the features are not those the run was
            started with; or the scores it asks for cannot be had (no weights, say). Nothing was trained then.
    """
    images = training_images(run.config, data)
    run.check_pictures(data_hash(run.config, images))
    plan = plan_data(run.config, images)
    check_devices(run.config, devices)
    progress = progress and devices.chief
    scoring = devices.chief_first(
        lambda: _load_scoring(run, data, images, plan.image_size, weights, progress) if devices.chief else None
    )
    accelerator = has_accelerator()
    per_call = steps_wanted(run.config.train.steps_per_execution, accelerator)
    outcome = None
    with devices.scope():
        on_device = made_on_device(run.config.data.place, accelerator, devices)
        pictures = DevicePictures(images.images, plan, labels_of(run.config, images)) if on_device else None
        job = _Job(run, images, plan, pictures, per_call, scoring, Stop(deadline), devices, progress)
        with _signals(job.stop.ask), _old_objects_left_alone():
            while outcome is None:
                outcome = _train_from_newest(job)
    if devices.chief:
        _animate(run)
    return outcome


def _load_scoring(
    run: Run, data: ImageSet, images: ImageSet, size: int, weights: Path | None, progress: bool
) -> Scoring | None:
    """What scores the run, if anything; and remove what a killed process left half written."""
    scoring = load_scoring(run.config, data, images, size, weights, progress=progress)
    if scoring is not None:
        scoring.comparison.keep(run.scores)
        if progress:
            print(f"scores: {scoring.comparison}", flush=True)
    remove_leftovers(run.folder)
    return scoring


@dataclass(frozen=True)
class _Job:
    """What a run is trained with, also after it was rolled back.

    `pictures` is None where batches are made on the host; `per_call` is the most steps in one call.
    """

    run: Run
    images: ImageSet
    plan: BatchPlan
    pictures: DevicePictures | None
    per_call: int
    scoring: Scoring | None
    stop: Stop
    devices: Devices
    progress: bool

    @property
    def total_steps(self) -> int:
        return self.plan.steps_per_epoch * self.run.config.train.epochs


def _train_from_newest(job: _Job) -> Outcome | None:
    """Train from the newest checkpoint, or from the start; None where that ended in going back to one before."""
    run, devices = job.run, job.devices
    settings = devices.chief_first(lambda: settings_of(run))
    gan = build_gan(settings, run.image_shape, job.plan.steps_per_epoch, job.pictures, run.classes)
    path = devices.chief_first(run.checkpoints.newest)  # sets aside what cannot be used, before the others look
    devices.check_same(f"{settings} {path and path.name}", "recipes or checkpoints")
    begun = None if path is None else restore(gan, path, run.checkpoints.identity)
    if devices.chief:
        return _train_as_chief(job, gan, begun)
    _fit(job, gan, [EpochInParts(gan, job.plan.steps_per_epoch), job.stop, Agreement(job.stop, devices)])
    return _outcome(job, gan, _End(devices.highest(0)))


class _End(IntEnum):
    """What becomes of the run, as the chief tells the others."""

    AS_IT_IS = 0
    GOES_BACK = 1
    COLLAPSED = 2


def _outcome(
    job: _Job, gan: GAN, end: _End, collapse: str = "training collapsed", out_of_time: bool = False
) -> Outcome | None:
    if end == _End.GOES_BACK:
        return None
    step, total = int(to_numpy(gan.step)), job.total_steps
    if end == _End.COLLAPSED:
        return Outcome(step, total, collapse, collapsed=True)
    return Outcome(step, total, None if step == total else job.stop.reason, out_of_time)


def _train_as_chief(job: _Job, gan: GAN, begun: Mapping[str, NDArray[np.float64]] | None) -> Outcome | None:
    """Train, and do all that only one process does: look at samples, score, write."""
    run, stop, settings = job.run, job.stop, job.run.config.train
    stop.scored(float(begun.get("score_seconds", 0.0)) if begun else 0.0)
    sample = sampler(run, gan, job.devices)
    grace = patience(run.config, job.plan.batch_size)
    health = Health(settings, sample, _some_pictures(job), int(to_numpy(gan.step)), job.total_steps, begun, _say, grace)
    recorder = Recorder(
        run.folder, settings, job.plan, run.checkpoints, sheet_drawer(run, sample), job.scoring, stop, health, gan,
        begun, progress=job.progress,
    )  # fmt: skip
    parts = EpochInParts(gan, job.plan.steps_per_epoch)
    callbacks: list[keras.callbacks.Callback] = [parts, stop, health, recorder]
    if job.scoring is not None:
        callbacks.append(_scores(job, sample, recorder, health))
    callbacks.append(Agreement(stop, job.devices))
    try:
        if recorder.step == job.total_steps and job.scoring is not None and not recorder.is_scored:
            _score_the_end(gan, callbacks)
        _fit(job, gan, callbacks)
    finally:
        recorder.close()
    end = _End.AS_IT_IS
    if health.collapse is not None and stop.reason is None:
        end = _End.GOES_BACK if _goes_back(job, health) else _End.COLLAPSED
    job.devices.highest(end)
    out_of_time = job.scoring is not None and not recorder.is_scored and not stop.leaves_time()
    return _outcome(job, gan, end, str(health.collapse), out_of_time)


def _fit(job: _Job, gan: GAN, callbacks: list[keras.callbacks.Callback]) -> None:
    """`fit` to the last epoch, from wherever in an epoch, until something ends it."""
    plan, train = job.plan, job.run.config.train
    gan.stop_training = False
    while (step := int(to_numpy(gan.step))) < job.total_steps and not gan.stop_training:
        if job.devices.highest(int(job.stop.reason is not None)):
            break
        epoch, done = divmod(step, plan.steps_per_epoch)
        per_call, steps = next_fit(job.per_call, plan.steps_per_epoch - done)
        gan.set_steps_per_execution(per_call)
        gan.fit(
            batches(
                job.images.images,
                plan,
                step,
                on_device=job.pictures is not None,
                devices=job.devices,
                shares=train.d_steps,
                labels=labels_of(job.run.config, job.images),
            ),
            initial_epoch=epoch,
            # `fit` cannot begin in the middle of an epoch, nor end there but for good: parts are by themselves.
            epochs=train.epochs if steps == plan.steps_per_epoch else epoch + 1,
            steps_per_epoch=steps,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )


def _scores(
    job: _Job, sample: Callable[[int], NDArray[np.uint8]], recorder: Recorder, health: Health
) -> keras.callbacks.Callback:
    assert job.scoring is not None
    settings = job.run.config.train
    return ScoreCallback(
        job.scoring.scorer,
        sample,
        steps_per_epoch=job.plan.steps_per_epoch,
        batch_size=job.plan.batch_size,
        samples=settings.score_samples,
        every_epochs=settings.score_every,
        every_kimg=settings.score_kimg,
        report=recorder.scored,
        step=recorder.step,
        total_steps=job.total_steps,
        scored_at=recorder.scored_at,
        owed=recorder.owed,
        allowed=lambda: job.stop.leaves_time() and health.collapse is None,
        alone=job.devices.alone,
    )


def _some_pictures(job: _Job) -> NDArray[np.uint8]:
    """Training pictures that samples are compared with, as the discriminator sees their middle."""
    return centres(job.images.images[choose(len(job.images), LOOKED_AT, job.plan.seed)], job.plan.image_size)


def _goes_back(job: _Job, health: Health) -> bool:
    """Say that the run collapsed and what follows, and roll it back where that is what follows."""
    assert health.collapse is not None
    run = job.run
    if run.config.train.on_collapse == "rollback":
        before = Rollback.of(run.folder)
        to_step = roll_back(run, health, job.plan.steps_per_epoch)
        if to_step is not None:
            rates = settings_of(run)
            _say(
                f"step {health.step}: {health.collapse}; back to step {to_step}, and on from there with "
                f"{FACTOR} times the learning rates (now g {rates.g_optimizer.lr:.3g}, d {rates.d_optimizer.lr:.3g})"
            )
            return True
        why = f"was rolled back at step {before.from_step} already" if before else "has no checkpoint to go back to"
        _say(f"step {health.step}: {health.collapse}; the run {why}, so it ends here")
    else:
        _say(f"step {health.step}: {health.collapse}; the run ends here")
    return False


def _say(text: str) -> None:
    """Say something that matters with --quiet too."""
    print(text, file=sys.stderr, flush=True)


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


@contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """`gc.collect` looks only at objects made within: not, each time, for a third of a second, at the libraries'."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
