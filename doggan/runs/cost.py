"""What a run will cost, for `--dry-run`."""

import time
from pathlib import Path

import keras
import numpy as np

from doggan.config import Config
from doggan.data.batches import BatchPlan, batches
from doggan.data.imageset import ImageSet
from doggan.metrics.callback import score_due
from doggan.runs.build import build_gan, plan_data, training_images
from doggan.runs.scores import Scoring, load_scoring
from doggan.sampling import generate

_TIMED_STEPS = 3
_TIMED_SAMPLES = 64


def describe_cost(config: Config, data: ImageSet, weights: Path | None = None) -> str:
    """Parameters, memory and time of a run; the time is measured on a few real steps and a few samples.

    Args:
        config, data, weights: as for `start_run`.

    Raises:
        DogganError: as `start_run`.
    """
    images = training_images(config, data)
    plan = plan_data(config, images)
    scoring = load_scoring(config, data, images, plan.image_size, weights)
    shape = (plan.image_size, plan.image_size, images.image_shape[-1])
    gan = build_gan(config, shape, plan.steps_per_epoch)
    parameters = {net.name: net.count_params() for net in (gan.generator, gan.discriminator)}
    trainable = sum(
        int(np.prod(v.shape)) for net in (gan.generator, gan.discriminator) for v in net.trainable_variables
    )
    # Weights, gradients and Adam's two moments, float32.
    state = (sum(parameters.values()) + 3 * trainable) * 4
    activations = _activation_bytes(gan.generator, plan) + 2 * _activation_bytes(gan.discriminator, plan)

    gan.fit(batches(images.images, plan), steps_per_epoch=1, verbose=0, shuffle=False)  # compiles
    start = time.perf_counter()
    gan.fit(batches(images.images, plan, 1), steps_per_epoch=_TIMED_STEPS, verbose=0, shuffle=False)
    step_seconds = (time.perf_counter() - start) / _TIMED_STEPS
    steps = plan.steps_per_epoch * config.train.epochs
    return "\n".join(
        [
            *(f"{name} parameters: {count:,}" for name, count in parameters.items()),
            f"training pictures: {plan.n_images:,} ({images.images.nbytes / 2**20:.0f} MiB), "
            f"{plan.steps_per_epoch:,} steps an epoch, {steps:,} in all",
            f"memory, about: {state / 2**20:.0f} MiB for weights, gradients and optimizers, "
            f"{activations / 2**20:.0f} MiB for the activations of one step",
            f"time of training, about: {step_seconds:.2f} s a step measured here over {_TIMED_STEPS} steps "
            f"({plan.batch_size / step_seconds:.0f} images/s), {steps * step_seconds / 3600:.1f} h in all",
            "scores: none" if scoring is None else _scoring_cost(config, plan, scoring, gan.generator),
        ]
    )


def _scoring_cost(config: Config, plan: BatchPlan, scoring: Scoring, generator: keras.Model) -> str:
    """How often the run is scored and how long that takes, without the arithmetic on the features."""

    def timed() -> float:
        start = time.perf_counter()
        samples = np.concatenate(list(generate(generator, _TIMED_SAMPLES, seed=0, batch_size=_TIMED_SAMPLES)))
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


def _activation_bytes(network: keras.Model, plan: BatchPlan) -> int:
    """What the outputs of the layers take in float32; backpropagation keeps them all."""
    per_image = sum(int(np.prod(layer.output.shape[1:])) for layer in network.layers)
    return per_image * plan.batch_size * 4
