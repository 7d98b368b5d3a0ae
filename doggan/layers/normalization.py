"""Batch normalisation that may be differentiated twice, as gradient penalties do."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="doggan")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` whose second derivatives are right under TensorFlow too.

    `tf.nn.moments`, which Keras' layer uses there, stops the gradient at the mean inside of the variance. The first
    derivative does not notice, since ∂/∂μ Σ(x − μ)² = 0 at the mean; the second does, ∂²σ²/∂xᵢ∂xⱼ = 2/N (δᵢⱼ − 1/N),
    of which the last term is lost. R1, R2 and WGAN-GP penalties of a discriminator with batch normalisation would
    then have gradients that are wrong by up to some percent.

    Arguments and variables are those of Keras' layer.
    """

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        if mask is not None or self.synchronized:  # neither goes through `tf.nn.moments`
            return super()._moments(inputs, mask)
        axes = self._reduction_axes
        return ops.mean(inputs, axis=axes), ops.var(inputs, axis=axes)
