"""Scores while training: a Keras callback for `fit`, and what it scores with."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.metrics.cache import FeatureCache, features_of
from doggan.metrics.extractors import Extractor
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Pixels
from doggan.metrics.scores import check_metrics, compute, score_names

# Whether less is better, of the metrics that can say which of two checkpoints is; prdc is four scores, and cannot.
LESS_IS_BETTER = {"fid": True, "mifid": True, "kid": True, "is": False}

Images = NDArray[np.uint8]


class Scorer:
    """Generated pictures → their scores. The features of the real ones are computed when first needed, and once.

    Args:
        extractor: makes the features.
        real: uint8 [M, H, W, 1 or 3], what the generated pictures are compared with.
        metrics: names of `METRICS`; the first decides which of two generators is better.
        training: uint8 [L, H, W, 1 or 3], what the generator learns from, for the memorization distance; None means
            `real`.
        cache: where the features of real pictures are looked for and kept; None for neither.
        progress: whether to draw a bar while they are computed.

    Raises:
        DogganError: a metric that does not exist, cannot come first, or is not to be had from `extractor`.
    """

    def __init__(
        self,
        extractor: Extractor,
        real: Images,
        metrics: Sequence[str] = ("kid",),
        *,
        training: Images | None = None,
        cache: FeatureCache | None = None,
        progress: bool = False,
    ) -> None:
        check_metrics(metrics, extractor)
        check_first(metrics[0])
        self.extractor, self.metrics, self.cache, self.progress = extractor, tuple(metrics), cache, progress
        self._real_images, self._training_images = real, training

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """The names of the scores, for each metric in its order; the metric's own score comes first."""
        return tuple(score_names(metric, self.extractor.prefix) for metric in self.metrics)

    def prepare(self) -> None:
        """Compute the features of the real pictures now."""
        _ = self._real, self._training

    def __call__(self, images: Images) -> dict[str, float]:
        """The scores of uint8 [N, H, W, 1 or 3], of the real pictures' size, by name; see `compute`."""
        if images.shape[1:] != self._real_images.shape[1:]:
            raise ValueError(f"generated pictures are {images.shape[1:]}, the real ones {self._real_images.shape[1:]}")
        return compute(self.features(images), self._real, self.extractor, self.metrics, training=self._training)

    def features(self, images: Images) -> NDArray[np.float32]:
        """The extractor's features of uint8 [N, H, W, 1 or 3]."""
        return self.extractor.features(Pixels(images).images)

    def rank(self, values: dict[str, float]) -> float:
        """A number that is lower for better scores: the first metric's, or its negative where more is better."""
        value = values[self.names[0][0]]
        return value if LESS_IS_BETTER[self.metrics[0]] else -value

    @cached_property
    def _real(self) -> NDArray[np.float32]:
        return self._features(self._real_images, "real pictures")

    @cached_property
    def _training(self) -> NDArray[np.float32] | None:
        if self._training_images is None or "mifid" not in self.metrics:
            return None
        return self._features(self._training_images, "training pictures")

    def _features(self, images: Images, label: str) -> NDArray[np.float32]:
        with Pace(len(images), f"features of {label}", progress=self.progress) as pace:
            return features_of(Pixels(images), self.extractor, pace, self.cache).rows


def check_first(metric: str) -> None:
    """Refuse a metric that cannot tell which of two checkpoints is better.

    Raises:
        DogganError: it cannot.
    """
    if metric not in LESS_IS_BETTER:
        raise DogganError(
            f"The first metric decides which checkpoint is the best, and {metric!r} cannot; put one of "
            f"{', '.join(LESS_IS_BETTER)} before it."
        )


def score_due(step: int, steps_per_epoch: int, batch_size: int, every_epochs: int, every_kimg: float) -> bool:
    """Whether the weights after this many steps are to be scored; a function of the step, so resuming is exact.

    Args:
        step: training steps done.
        steps_per_epoch, batch_size: of the training data.
        every_epochs, every_kimg: see `ScoreCallback`.
    """
    if every_epochs and step % (every_epochs * steps_per_epoch) == 0:
        return True
    if not every_kimg:
        return False
    interval = 1000 * every_kimg
    return step * batch_size // interval > (step - 1) * batch_size // interval


@dataclass(frozen=True)
class Scored:
    """The scores of one moment of training.

    Attributes:
        step: training steps done.
        kimg: training images seen by then, in thousands.
        values: score → value.
        seconds: what sampling and scoring took.
    """

    step: int
    kimg: float
    values: dict[str, float]
    seconds: float


class ScoreCallback(keras.callbacks.Callback):
    """Scores a generator during `fit`: at intervals in epochs, in images seen, or both, and after the last step.

    Training is not disturbed: scoring draws nothing from Keras' random state. The features of real pictures are
    computed when training begins. A model whose losses or weights are no longer finite is not scored. The scores of
    the end of an epoch are put into Keras' `logs`, so that `ModelCheckpoint` (with a `mode`) and the like, behind this
    one in the list, see them, and `CSVLogger` where every epoch is scored. All of them are also in `scored`, in order.
    Where the model runs several steps in one call, a score that falls due within a call is made after it.

    Args:
        scorer: what scores. Its first metric decides `best`.
        sample: n → uint8 [n, H, W, C] from the generator as it is, from the same z every time.
        steps_per_epoch: of the training data.
        batch_size: of the training data, in pictures a step.
        samples: how many pictures are scored.
        every_epochs: score at the ends of epochs whose number is a multiple of this one, and before the first; 0 never.
        every_kimg: score after the step in which the images seen, in thousands, reach or pass a multiple of this
            number, and before the first; 0 never.
        report: called with each `Scored`.
        step: training steps done before.
        total_steps: training is over after this many, so an earlier end of `fit`, unless it was stopped, is not the
            last step; None takes every end for it.
        scored_at: the step at which the weights were last scored before, if they were; what fell due since is made up
            for when training begins.
        owed: score when training begins even if `step` is not due.
        allowed: asked before each score; where it says no, that score is left out.
        alone: does what needs the network that scores, which must not be spread over the devices that train.

    Example:
        scores = ScoreCallback(Scorer(RandomExtractor(), heldout), sample, steps_per_epoch=160, batch_size=128)
        gan.fit(batches, steps_per_epoch=160, epochs=20, callbacks=[scores, keras.callbacks.CSVLogger("metrics.csv")])
        scores.best
    """

    def __init__(
        self,
        scorer: Scorer,
        sample: Callable[[int], Images],
        *,
        steps_per_epoch: int,
        batch_size: int,
        samples: int = 1000,
        every_epochs: int = 1,
        every_kimg: float = 0.0,
        report: Callable[[Scored], None] | None = None,
        step: int = 0,
        total_steps: int | None = None,
        scored_at: int | None = None,
        owed: bool = False,
        allowed: Callable[[], bool] = lambda: True,
        alone: Callable[[Callable[[], Any]], Any] = lambda task: task(),
    ) -> None:
        super().__init__()
        if every_epochs < 0 or every_kimg < 0:
            raise ValueError(f"intervals are not negative, as every_epochs={every_epochs}, every_kimg={every_kimg} are")
        self.scorer, self.sample, self.samples, self.report = scorer, sample, samples, report
        self.steps_per_epoch, self.batch_size = steps_per_epoch, batch_size
        self.every_epochs, self.every_kimg = every_epochs, every_kimg
        self.step, self.total_steps, self.scored_at = step, total_steps, scored_at
        self.owed, self.allowed, self.alone = owed, allowed, alone
        self.scored: list[Scored] = []
        self._due_now = False  # in the last call
        self._logs: dict[str, Any] = {}

    @property
    def best(self) -> Scored | None:
        """The best of `scored`, the untrained generator's apart; None where there is none."""
        trained = [scored for scored in self.scored if scored.step > 0]
        return min(trained, key=lambda scored: self.scorer.rank(scored.values), default=None)

    def due(self, step: int) -> bool:
        """Whether the weights after this many steps are to be scored; see `score_due`."""
        return score_due(step, self.steps_per_epoch, self.batch_size, self.every_epochs, self.every_kimg)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.alone(self.scorer.prepare)
        before = self.step - 1 if self.scored_at is None else self.scored_at
        if self.owed or self._fell_due(before):  # untrained; or resumed, and killed before it was scored
            self._score()
        self.owed = False

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before = self.step
        self.step += self._model.steps_per_execution
        self._logs = logs or {}
        self._due_now = self._fell_due(before)
        if self._due_now and self.step % self.steps_per_epoch:  # at the end of an epoch its row comes first
            self._score()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        last = epoch + 1 == self.params["epochs"] if self.total_steps is None else self.step == self.total_steps
        if last or self._due_now:
            self._score()
        if logs is not None and self.scored and self.scored_at == self.step:
            logs |= self.scored[-1].values

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        stopped = self._model.stop_training
        if stopped or self.total_steps is None or self.step >= self.total_steps:
            self._score()

    def _fell_due(self, before: int) -> bool:
        """Whether a score was due at any step after `before`, up to now."""
        return any(self.due(step) for step in range(before + 1, self.step + 1))

    def _score(self) -> None:
        if self.scored_at == self.step or not self._finite() or not self.allowed():
            return
        start = time.monotonic()
        values = self.alone(lambda: self.scorer(self.sample(self.samples)))
        seconds = time.monotonic() - start
        scored = Scored(self.step, self.step * self.batch_size / 1000, values, seconds)
        self.scored_at = self.step
        self.scored.append(scored)
        if self.report is not None:
            self.report(scored)

    def _finite(self) -> bool:
        weights = self.model.weights  # on JAX, `model` fetches them from the step: they are there to sample with, too
        return all(math.isfinite(float(value)) for value in self._logs.values()) and all(
            np.isfinite(ops.convert_to_numpy(ops.convert_to_tensor(variable))).all() for variable in weights
        )
