"""An exponential moving average of the generator: what samples, scores and submissions are drawn from.

Adversarial training circles around where it would converge to, and the mean of the weights over the last stretch of
the circle makes better pictures than its end. References: Yazıcı, Foo, Winkler, Yap, Piliouras, Chandrasekhar: The
Unusual Effectiveness of Averaging in GAN Training, ICLR 2019, arXiv:1806.04498; the half-life in images and its ramp
(`ema_rampup`) are those of Karras, Aittala, Hellsten, Laine, Lehtinen, Aila: Training Generative Adversarial Networks
with Limited Data, 2020, arXiv:2006.06676.
"""

import math
from typing import Any

import keras
from keras import ops

from doggan import replicas
from doggan.config import Ema

_SHORTEST = 1e-6  # images: of a step that sees one, nothing older is left in float32


class GeneratorAverage:
    """A second generator whose weights follow those of the first.

    After a step that saw n images, with `seen` images before it,

        mean ← mean + (1 − β) (now − mean),   β = ½^(n / h),   h = min(half_life, ramp_up · seen),

    so that after h images with the same new weights half of the distance to them is left. The ramp lets an average
    that began at random weights forget them: at the first step h = 0, and the average becomes the generator itself.
    With `ramp_up` 0 there is no ramp, and the half-life holds from the first step.

    All of `weights` are averaged, batch norm's moving statistics among them, for the averaged kernels give other
    activations than the present ones. Of a spectral-norm vector u the average is shorter than one; the layer divides
    by its length. States of dropout's seeds are not weights.

    Args:
        generator: a functional or sequential model, built. It is copied with its dtype policies.
        config: `half_life` in images, above 0.

    Attributes:
        generator: the average: a `keras.Model` like the one given, with variables of its own, none of them trainable.
    """

    def __init__(self, generator: keras.Model, config: Ema) -> None:
        if not config.half_life > 0:
            raise ValueError(f"the half-life of an average must be positive, not {config.half_life}")
        self.config = config
        self.generator = keras.models.clone_model(generator)
        self.generator.trainable = False
        for mean, now in zip(self.generator.weights, generator.weights, strict=True):
            mean.assign(ops.copy(now))  # JAX donates the buffers of a step, and not one of them twice

    def update(self, generator: keras.Model, images_seen: Any, images_per_step: int) -> None:
        """Move the average towards `generator`, whose step is done; assigns, eagerly or in a compiled step.

        Args:
            generator: the one the average was made of.
            images_seen: before this step: a number, or a scalar tensor, int32 or float32.
            images_per_step: n, at least 1.
        """
        rate = self.rate(images_seen, images_per_step)
        replicas.assign(
            (mean, ops.convert_to_tensor(mean) + rate * (ops.convert_to_tensor(now) - ops.convert_to_tensor(mean)))
            for mean, now in zip(self.generator.weights, generator.weights, strict=True)
        )

    def rate(self, images_seen: Any, images_per_step: int) -> Any:
        """1 − β as a float32 scalar in [0, 1]."""
        half_life = ops.convert_to_tensor(self.config.half_life, "float32")
        if self.config.ramp_up > 0:
            ramp = self.config.ramp_up * ops.cast(images_seen, "float32")
            half_life = ops.maximum(ops.minimum(half_life, ramp), _SHORTEST)
        # Not 1 − exp, which has few digits left where the half-life is many steps.
        return -ops.expm1(-math.log(2.0) * images_per_step / half_life)
