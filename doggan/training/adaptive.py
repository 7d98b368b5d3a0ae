"""The adaptive probability of augmentation: as much of it as keeps the discriminator from overfitting.

A discriminator that overfits calls nearly all real pictures real. ADA measures that by r_t = E[sign(D(real))], over the
last four steps, and moves the probability of every augmentation up where r_t exceeds a target, and down where not.

Reference: Karras, Aittala, Hellsten, Laine, Lehtinen, Aila: Training Generative Adversarial Networks with Limited Data,
NeurIPS 2020, arXiv:2006.06676, section 3. Target and speed have no default here but the recipe's; the paper's are 0.6
and 500 thousand images.
"""

from typing import Any

import keras
from keras import ops

from doggan.config import Augment

INTERVAL = 4  # steps between adjustments


class AdaptiveProbability:
    """The probability p of augmentation, steered so that the mean sign of D(real) stays at `config.target`.

    After every fourth step p ← clip(p + sign(r_t − target) · 4 n / (1000 · config.kimg), 0, 1), r_t being the mean sign
    of the logits of those four steps and n the real pictures seen in one step, so that p can go from 0 to 1 while
    `config.kimg` thousand pictures are seen. p starts at 0, as the paper's does. (The published code lets p grow beyond
    1, where it means the same as 1 but takes as long to come back.)

    Args:
        config: `target` in (0, 1) and `kimg` > 0.
        start: p before the first step.
    """

    def __init__(self, config: Augment, start: float = 0.0) -> None:
        self.target, self.kimg = config.target, config.kimg
        self._probability = _variable(start, "probability")
        self._signs = _variable(0.0, "signs")  # the sum of the steps' mean signs since the last adjustment

    @property
    def variables(self) -> list[keras.Variable]:
        """What `update` moves and a checkpoint needs: two float32 scalars."""
        return [self._probability, self._signs]

    @property
    def value(self) -> Any:
        """p now, a float32 scalar tensor."""
        return ops.copy(self._probability)  # `convert_to_tensor` would hand out TensorFlow's variable, which moves

    def update(self, on_real: Any, step: Any, images_per_step: int) -> None:
        """Take in the discriminator's verdict on the real pictures of a step; once a step, inside it.

        Args:
            on_real: logits [B, 1] on augmented real pictures, B static. On several replicas those of all of them, so
                that each computes the same p.
            step: the number of this step, an integer scalar (tensor), counted from 0.
            images_per_step: n; more than B where the step updates the discriminator several times.
        """
        signs = ops.convert_to_tensor(self._signs) + ops.mean(ops.sign(ops.cast(on_real, "float32")))
        speed = INTERVAL * images_per_step / (1000.0 * self.kimg)
        adjusted = ops.clip(self.value + speed * ops.sign(signs / INTERVAL - self.target), 0.0, 1.0)
        due = ops.equal((step + 1) % INTERVAL, 0)
        self._probability.assign(ops.where(due, adjusted, self.value))
        self._signs.assign(ops.where(due, ops.zeros_like(signs), signs))


def _variable(value: float, name: str) -> keras.Variable:
    return keras.Variable(
        value, dtype="float32", trainable=False, autocast=False, aggregation="only_first_replica", name=name
    )
