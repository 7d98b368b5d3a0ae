"""What a run will cost, for `--dry-run`."""

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from doggan.config import Config
from doggan.data.batches import BatchPlan, batches
from doggan.data.classes import Classes
from doggan.data.device import DevicePictures
from doggan.data.imageset import ImageSet
from doggan.metrics.callback import score_due
from doggan.runs.build import build_gan, classes_of, labels_of, plan_data, training_images
from doggan.runs.execution import made_on_device, next_fit, steps_wanted
from doggan.runs.scores import Scoring, load_scoring
from doggan.sampling import sample_pictures
from doggan.training.backend import has_accelerator

_TIMED_STEPS = 3  # at least, unless they take too long
_TIMED_SECONDS = 15.0  # the call in which they end is the last
_TIMED_SAMPLES = 64


def describe_cost(config: Config, data: ImageSet, weights: Path | None = None) -> str:
    """Parameters, memory and time of a run; the time is measured on a few real steps and a few samples.

    What a `fit` does before its first call of the compiled function ends is left out, compilation included. The steps
    are a whole number of the intervals at which penalties and the replay buffer come, if there is time for that many.

    Args:
        config, data, weights: as for `start_run`.

    Raises:
        DogganError: as `start_run`.
    """
    images = training_images(config, data)
    plan = plan_data(config, images)
    scoring = load_scoring(config, data, images, plan.image_size, weights)
    shape = (plan.image_size, plan.image_size, images.image_shape[-1])
    accelerator = has_accelerator()
    on_device = made_on_device(config.data.place, accelerator)
    classes = classes_of(config, images)
    labels = labels_of(config, images)
    pictures = DevicePictures(images.images, plan, labels) if on_device else None
    gan = build_gan(config, shape, plan.steps_per_epoch, pictures, classes)
    networks = (gan.generator, gan.discriminator)
    trained = [variable for network in networks for variable in network.trainable_variables]
    average = [] if gan.average is None else gan.average.generator.variables
    # Every trained weight has a gradient of its size.
    state = _bytes([v for network in networks for v in network.variables] + gan.optimizer.variables + trained)
    # D sees real and fake.
    activations = config.train.batch_size * (_activations(gan.generator) + 2 * _activations(gan.discriminator))

    steps = plan.steps_per_epoch * config.train.epochs
    per_call, _ = next_fit(steps_wanted(config.train.steps_per_execution, accelerator), plan.steps_per_epoch)
    gan.set_steps_per_execution(per_call)

    every = (config.penalty.interval, config.train.replay or 1)
    period = math.lcm(per_call, *every)
    clock = Clock(_TIMED_SECONDS)
    gan.fit(
        batches(images.images, plan, on_device=on_device, labels=labels),
        steps_per_epoch=per_call + period * math.ceil(_TIMED_STEPS / period),
        callbacks=[clock],
        verbose=0,
        shuffle=False,
    )
    timed = clock.calls * per_call
    step_seconds = clock.seconds / timed
    short = f", too few for what happens every {max(every)} steps" if timed < max(every) else ""
    place = "kept on the device, where the step makes the batches" if on_device else "made into batches on the host"
    return "\n".join(
        [
            *(f"{network.name} parameters: {network.count_params():,}" for network in networks),
            f"training pictures: {plan.n_images:,} ({_mib(images.images.nbytes)}), {place}",
            f"{plan.steps_per_epoch:,} steps an epoch, {steps:,} in all, {per_call} in a call",
            f"memory, about: {_mib(state)} for weights, gradients and optimizers, {_mib(_bytes(average))} for the "
            f"generator's average, {_mib(activations)} for the activations of one step",
            f"time of training, about: {step_seconds:.3g} s a step measured here over {timed} steps{short} "
            f"({plan.batch_size / step_seconds:.0f} images/s), {steps * step_seconds / 3600:.1f} h in all",
            "scores: none" if scoring is None else _scoring_cost(config, plan, scoring, gan.sampler, classes),
        ]
    )


class Clock(keras.callbacks.Callback):
    """The time from the end of a `fit`'s first call of the compiled function to that of its last.

    Args:
        limit: seconds, after which the `fit` is stopped.

    Attributes:
        calls: how many were timed.
        seconds: that they took together.
    """

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.begin, self.calls, self.seconds = math.nan, -1, math.nan

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        float(logs["g_loss"])  # JAX hands out results that are still being computed
        now = time.perf_counter()
        self.calls += 1
        if self.calls == 0:
            self.begin = now
        self.seconds = now - self.begin
        if self.seconds > self.limit:
            self.model.stop_training = True


def _scoring_cost(
    config: Config, plan: BatchPlan, scoring: Scoring, generator: keras.Model, classes: Classes | None
) -> str:
    """How often the run is scored and how long that takes, without the arithmetic on the features."""

    asked = None if classes is None else classes.draw(_TIMED_SAMPLES, seed=0)

    def timed() -> float:
        start = time.perf_counter()
        samples = sample_pictures(generator, _TIMED_SAMPLES, seed=0, classes=asked, batch_size=_TIMED_SAMPLES)
        scoring.scorer.features(samples)
        return time.perf_counter() - start

    timed()  # compiles
    rate = _TIMED_SAMPLES / timed()
    train, comparison = config.train, scoring.comparison
    steps = plan.steps_per_epoch * train.epochs
    times = 1 + sum(  # the last state is scored in any case
        score_due(step, plan.steps_per_epoch, plan.batch_size, train.score_every, train.score_kimg)
        for step in range(steps)
    )
    once = comparison.real + comparison.training
    hours = (times * comparison.samples + once) / rate / 3600
    return (
        f"scores: {comparison}\n"
        f"time of scoring, about: {times:,} times {comparison.samples:,} samples and once {once:,} real pictures at "
        f"{rate:.0f} images/s measured here, {hours:.1f} h in all, without the arithmetic on the features"
    )


def _activations(network: keras.Model) -> int:
    """Bytes of the outputs of the layers for one picture; backpropagation keeps them all."""
    return sum(
        math.prod(layer.output.shape[1:]) * (4 if layer.compute_dtype == "float32" else 2) for layer in network.layers
    )


def _bytes(variables: Iterable[Any]) -> int:
    """Of variables in float32."""
    return 4 * sum(math.prod(variable.shape) for variable in variables)


def _mib(n: float) -> str:
    return f"{n / 2**20:.0f} MiB"
