"""Dropout whose masks are a function of the training step."""

from typing import Any

import keras
from keras import ops

from doggan import randomness


@keras.saving.register_keras_serializable(package="doggan")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` that draws its mask from the step's own randomness.

    In training inside `doggan.randomness.step_scope(seed, step)` the mask depends on the seed, the step and
    the order of the calls within the step, and on nothing that was drawn before: a resumed run drops what the
    uninterrupted one would have dropped, with nothing saved. Outside of such a scope it is Keras' own layer,
    with its own seed.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not (training and self.rate > 0 and randomness.in_step_scope()):
            return super().call(inputs, training=training)
        sizes = zip(self.noise_shape or inputs.shape, inputs.shape, strict=True)
        shape = tuple(size if chosen is None else chosen for chosen, size in sizes)
        kept = randomness.uniform(shape) >= self.rate
        return ops.where(kept, inputs / (1 - self.rate), ops.zeros_like(inputs))
