"""Dropout whose masks are a function of the training step."""

from typing import Any

import keras

from doggan import randomness


@keras.saving.register_keras_serializable(package="doggan")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` that draws its mask from the step's own randomness.

    In training inside `doggan.randomness.step_scope(seed, step)` the mask depends on the seed, the step and
    the order of the calls within the step, and on nothing that was drawn before: a resumed run drops what the
    uninterrupted one would have dropped, with nothing saved. Outside of such a scope it is Keras' own layer,
    with its own seed. The masks of different backends differ, since their random number generators do.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        seed = randomness.next_seed() if training and self.rate > 0 else None
        if seed is None:
            return super().call(inputs, training=training)
        return keras.random.dropout(inputs, self.rate, noise_shape=self.noise_shape, seed=seed)
