"""Guided backpropagation: which pixels speak for a feature.

Reference: Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity: The All Convolutional Net, ICLR 2015
workshop, https://arxiv.org/abs/1412.6806
"""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="doggan")
class GuidedReLU(layers.Layer):
    """ReLU, or LeakyReLU of this slope, which lets back only what speaks for a feature.

    Backwards it passes a gradient where it is positive and the input was, and nothing elsewhere: for LeakyReLU too,
    whose own gradient where the input was negative would bring back what speaks against it.
    """

    def __init__(self, slope: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slope = slope

    def call(self, x: Any) -> Any:
        @ops.custom_gradient
        def guided(x: Any) -> tuple[Any, Any]:
            positive = ops.cast(x > 0, x.dtype)

            def backwards(*arguments: Any, upstream: Any = None) -> Any:
                gradient = arguments[0] if upstream is None else upstream
                return positive * ops.relu(gradient)

            return positive * x + (1 - positive) * self.slope * x, backwards

        return guided(x)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"slope": self.slope}


def guided(network: keras.Model) -> keras.Model:
    """A copy of a network, with its weights, whose ReLUs and LeakyReLUs are guided; forwards it is the same.

    Everything else goes back as ever: other activation functions, and those inside of a convolution, which only
    networks of your own have. Normalisation, dropout and self-attention are to be called in inference mode.
    """

    def replaced(layer: Any) -> Any:
        if isinstance(layer, layers.LeakyReLU):
            return GuidedReLU(float(layer.negative_slope), name=layer.name, dtype=layer.dtype_policy)
        is_relu = isinstance(layer, layers.ReLU) and layer.max_value is None and not layer.threshold
        is_relu |= isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu
        if is_relu:
            return GuidedReLU(float(getattr(layer, "negative_slope", 0.0)), name=layer.name, dtype=layer.dtype_policy)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=replaced)
    copy.set_weights(network.get_weights())
    return copy
