"""Whether training still gets anywhere: its losses are numbers, D has not won, G's pictures differ."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from doggan.config import Config, Train
from doggan.errors import DogganError
from doggan.metrics.diversity import mean_pairwise_distance
from doggan.training.backend import to_numpy

DIVERGED = "losses or weights are no longer numbers"
WON = 1e-3  # a d_loss below it leaves G next to no gradient
STREAK = 200  # steps with such a d_loss
LOOK_EVERY = 200  # steps
LOOKED_AT = 64  # pictures
UNIFORM = 0.2  # mean distance of samples as a share of that of real pictures
FORMED = 2 * UNIFORM
GRACE = 2000  # steps, where nothing makes training begin slowly
_WITHOUT_FLOOR = ("wasserstein",)  # whose d_loss falls below zero as D gets better
_PAIRS = 500  # of pictures: the mean over all of them is four times the work, and no other


class Health(keras.callbacks.Callback):
    """Ends training when it collapsed; stands behind `Stop` and before `Recorder`.

    Three things are a collapse:

    * the losses, or the weights at the end of an epoch, are no longer finite numbers;
    * D has won: `d_loss` was below 1e-3 for 200 steps in a row. Not with the loss wasserstein, whose d_loss has no
      floor; and never where label noise keeps d_loss up. Of several steps in one call the last one's counts for all;
    * the samples are nearly the same: the mean pairwise L2 distance of 64 samples, always from the same z, is below a
      fifth of that of as many training pictures. Looked at every 200 steps.

    The samples of an untrained generator are as uniform as those of a collapsed one, so they count only once they have
    been twice as far apart as that, and in any case from step `grace` on. Measured on 32 px crops of real dogs in
    batches of 32, samples of the average: the recipe dogs-demo has 0.01 of the real distance at first, 0.24 after 100
    steps, 0.62 after 200, and then never less than 0.50; a quarter-width dogs-dcgan, whose rates are a fifth of those,
    0.005 after 200, 0.31 after 500, 0.50 after 600, and then never less than 0.34.

    Args:
        config: `loss` and `on_collapse`, with "ignore" of which training goes on and a collapse is only said, once. It
            ends nevertheless where there are no numbers to go on with.
        sample: n → uint8 [n, H, W, C] from the networks as they are, always from the same z.
        real: as many training pictures as samples are compared with them, uint8 [n, H, W, C]; where there are fewer
            than two of them, or they are all the same, samples are not looked at.
        step, total_steps: where training begins, and where it is over.
        begun: what the checkpoint had of `state`; None where there was none.
        say: takes the line on a collapse that is ignored.
        grace: step from which samples count that never differed; see `patience`.

    Attributes:
        collapse: what is wrong, in words and numbers, where that ends training; or None.
        diverged: whether it is that there are no numbers any more.
    """

    def __init__(
        self,
        config: Train,
        sample: Callable[[int], NDArray[np.uint8]],
        real: NDArray[np.uint8],
        step: int,
        total_steps: int,
        begun: Mapping[str, NDArray[np.float64]] | None,
        say: Callable[[str], None],
        grace: int = GRACE,
    ) -> None:
        super().__init__()
        self.ignores, self.has_floor = config.on_collapse == "ignore", config.loss not in _WITHOUT_FLOOR
        self.sample, self.samples, self.say, self.grace = sample, len(real), say, grace
        self.real_distance = _distance(real) if len(real) > 1 else 0.0
        self.step, self.total_steps = step, total_steps
        begun = begun or {}
        self.low_steps = int(begun.get("health_low_steps", 0))
        self.varied_at = int(begun.get("health_varied_at", 0))
        self.formed = bool(begun.get("health_formed", False))
        self.uniform = bool(begun.get("health_uniform", False))
        self.collapse: str | None = None
        self.diverged = False
        self._said = False

    @property
    def state(self) -> dict[str, NDArray[np.float64]]:
        """What a resumed run must know, for the checkpoint."""
        values = {
            "health_low_steps": self.low_steps,  # d_loss has been too low for so long
            "health_varied_at": self.varied_at,  # the last step at which samples were seen to differ
            "health_formed": self.formed,  # they have differed enough to take uniform ones for a collapse
            "health_uniform": self.uniform,  # they did not, when they were last looked at, and it counts
        }
        return {name: np.array(float(value)) for name, value in values.items()}

    @property
    def suspicious(self) -> bool:
        """Whether what is saved now would be no good checkpoint to go back to: a collapse may just be beginning.

        Never where collapses are ignored or training is over: nobody will go back, then.
        """
        if self.collapse is not None:
            return True
        return (self.low_steps > 0 or self.uniform) and not self.ignores and self.step < self.total_steps

    @property
    def sound_until(self) -> int:
        """The last step at which nothing pointed to the collapse that there is now, or that the next look may find."""
        if self.diverged:
            return self.step
        before_streak = self.step - self.low_steps
        if self.low_steps >= STREAK and not self.uniform:
            return before_streak
        return min(self.varied_at, before_streak)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        steps = self._model.steps_per_execution
        before, self.step = self.step, self.step + steps
        # The means over the epoch so far, which know of every step, where the losses are those of a call's last one.
        if not math.isfinite(float(logs["g_loss_mean"]) + float(logs["d_loss_mean"])):
            self._diverge()
            return
        d_loss = float(logs["d_loss"])
        self.low_steps = self.low_steps + steps if self.has_floor and d_loss < WON else 0
        if self.low_steps >= STREAK:
            self._collapse(f"the discriminator has won: d_loss is {d_loss:.2g}, below {WON} for {self.low_steps} steps")
        if self.step // LOOK_EVERY > before // LOOK_EVERY and self.real_distance > 0:
            self._look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.diverged and not finite(self.model.weights):
            self._diverge()

    def _look(self) -> None:
        _ = self.model  # on JAX, brings the weights from the step, to sample with
        try:
            share = _distance(self.sample(self.samples)) / self.real_distance
        except DogganError:  # the pictures are no numbers
            self._diverge()
            return
        self.formed = self.formed or share >= FORMED
        self.uniform = share < UNIFORM and (self.formed or self.step >= self.grace)
        if share >= UNIFORM:
            self.varied_at = self.step
        if self.uniform:
            self._collapse(
                f"the samples are nearly the same: the mean distance of {self.samples} is {share:.2g} of that of as "
                f"many training pictures, and should be at least {UNIFORM}"
            )

    def _diverge(self) -> None:
        self.diverged = True
        self._end(DIVERGED)

    def _collapse(self, what: str) -> None:
        if not self.ignores:
            self._end(what)
        elif not self._said:
            self._said = True
            self.say(f"step {self.step}: {what}; going on, as train.on_collapse=ignore says")

    def _end(self, what: str) -> None:
        self.collapse = self.collapse or what
        self._model.stop_training = True


def patience(config: Config, batch_size: int) -> int:
    """The step from which samples that never differed are a collapse: later, where they begin to differ late.

    A warm-up delays learning, and samples are drawn from an average, which without a ramp has to forget the untrained
    generator: two half-lives leave a quarter of it.

    Args:
        config: of the run.
        batch_size: pictures a step.
    """
    forgetting = 0 if config.ema.ramp_up > 0 else math.ceil(2 * config.ema.half_life / batch_size)
    return GRACE + config.lr.warm_up + forgetting


def finite(variables: Sequence[Any]) -> bool:
    """Whether all values of all variables are finite numbers."""
    return all(np.isfinite(to_numpy(variable)).all() for variable in variables)


def _distance(images: NDArray[np.uint8]) -> float:
    return mean_pairwise_distance(images, max_pairs=_PAIRS)
