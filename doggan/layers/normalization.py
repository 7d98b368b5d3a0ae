"""Batch normalisation that may be differentiated twice, as gradient penalties do, and is fast on TensorFlow.

Also in a conditional form, with a scale and an offset for each class.
"""

import math
from typing import Any

import keras
from keras import ops

from doggan import replicas


@keras.saving.register_keras_serializable(package="doggan")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` whose second derivatives are right under TensorFlow too.

    `tf.nn.moments`, which Keras' layer uses there, stops the gradient at the mean inside of the variance. The first
    derivative does not notice, since ∂/∂μ Σ(x − μ)² = 0 at the mean; the second does, ∂²σ²/∂xᵢ∂xⱼ = 2/N (δᵢⱼ − 1/N),
    of which the last term is lost. R1, R2 and WGAN-GP penalties of a discriminator with batch normalisation would
    then have gradients that are wrong by up to some percent.

    In training on images TensorFlow's fused kernel does all of it in two passes over them, in a quarter of the time
    that one operation after the other takes on a CPU.

    On several replicas the moments are those of the whole batch (Keras' `synchronized`, for which there is no need).

    Arguments and variables are those of Keras' layer.
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        # Every replica computes the same moments.
        kwargs.setdefault("aggregation", "only_first_replica")
        return super().add_weight(*args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        fuses = (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and None not in inputs.shape
            and self.axis in (-1, 3)
            and mask is None
            and not self.synchronized
            and replicas.count() == 1
            and not getattr(self, "renorm", False)  # newer Keras has it
        )
        return self._fused(inputs) if training and self.trainable and fuses else super().call(inputs, training, mask)

    def _fused(self, inputs: Any) -> Any:
        import tensorflow as tf

        channels = inputs.shape[-1:]
        gamma = ops.cast(self.gamma, "float32") if self.scale else ops.ones(channels, "float32")
        beta = ops.cast(self.beta, "float32") if self.center else ops.zeros(channels, "float32")
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=self.epsilon, is_training=True
        )
        # The kernel's variance has N − 1 in its denominator, and Keras' N.
        n = math.prod(inputs.shape[:3])
        variance = variance * ((n - 1) / n)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        if mask is not None or self.synchronized:  # neither goes through `tf.nn.moments`
            return super()._moments(inputs, mask)
        axes = self._reduction_axes
        mean, variance = ops.mean(inputs, axis=axes), ops.var(inputs, axis=axes)
        if replicas.count() == 1:
            return mean, variance
        means, variances = ops.unstack(replicas.gather(ops.stack([mean, variance])[None]), axis=1)  # [replicas, C] each
        return ops.mean(means, axis=0), ops.mean(variances, axis=0) + ops.var(means, axis=0)


@keras.saving.register_keras_serializable(package="doggan")
class ConditionalBatchNormalization(BatchNormalization):
    """Batch normalisation with a scale and an offset for each class: γ[class] · x̂ + β[class].

    x̂ is what `BatchNormalization` makes of x without scale and offset, by the moments of all classes together. The
    variables are `gamma` and `beta` [n_classes, C], which start at ones and zeros, and `moving_mean` and
    `moving_variance` [C].

    References: Dumoulin, Shlens, Kudlur: A Learned Representation for Artistic Style, ICLR 2017,
    https://arxiv.org/abs/1610.07629; in GANs, Miyato, Koyama: cGANs with Projection Discriminator, ICLR 2018,
    https://arxiv.org/abs/1802.05637.

    Called on a pair `(x, classes)`: x [B, H, W, C] or [B, C], and classes int32 [B] from 0 to n_classes − 1; gives the
    shape of x in the compute dtype.

    Args:
        n_classes: at least 1.
        **kwargs: those of `BatchNormalization`, except `center` and `scale`. Initializers, regularizers and
            constraints of gamma and beta are for the tables.

    Raises:
        ValueError: no classes; at build, classes that are not [B].
    """

    def __init__(self, n_classes: int, **kwargs: Any) -> None:
        if n_classes < 1:
            raise ValueError(f"n_classes must be at least 1, not {n_classes}")
        super().__init__(center=False, scale=False, **kwargs)
        self.n_classes = n_classes

    def build(self, input_shape: Any) -> None:
        x_shape, _ = input_shape
        super().build(tuple(x_shape))
        self.input_spec: list[Any] = [self.input_spec, keras.layers.InputSpec(ndim=1)]
        self.gamma, self.beta = (
            self.add_weight(
                name=name,
                shape=(self.n_classes, x_shape[self.axis]),
                initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
                autocast=False,
            )
            for name in ("gamma", "beta")
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # type: ignore[override]
        x, classes = inputs
        gamma, beta = (self._rows(table, classes, len(x.shape)) for table in (self.gamma, self.beta))
        normed = ops.cast(super().call(x, training=training), gamma.dtype)
        return ops.cast(gamma * normed + beta, self.compute_dtype)

    def _rows(self, table: Any, classes: Any, ndim: int) -> Any:
        """γ or β for each of the batch, in a shape that broadcasts with x, [B, 1, 1, C] for images."""
        shape = [1] * ndim
        shape[self.axis] = -1
        # In this order: under TensorFlow the gradient of a table that is not reshaped first is sparse.
        return ops.take(ops.reshape(table, (self.n_classes, *shape[1:])), classes, axis=0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return super().compute_output_shape(tuple(input_shape[0]))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["center"], config["scale"]
        return {**config, "n_classes": self.n_classes}


@keras.saving.register_keras_serializable(package="doggan")
class ModulatedBatchNormalization(BatchNormalization):
    """Batch normalisation whose scale and offset are given, a pair for each picture: (1 + scale) · x̂ + offset.

    x̂ is what `BatchNormalization` makes of x without scale and offset. In BigGAN both are linear in the class's shared
    embedding and a part of z (Brock, Donahue, Simonyan 2019, arXiv:1809.11096, appendix B). The only variables are
    `moving_mean` and `moving_variance` [C].

    Called on `(x, scale, offset)`: x [B, H, W, C], the others [B, C]; gives the shape of x in the compute dtype.

    Args:
        **kwargs: those of `BatchNormalization`, except `center` and `scale`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(center=False, scale=False, **kwargs)

    def build(self, input_shape: Any) -> None:
        x_shape, *_ = input_shape
        super().build(tuple(x_shape))
        self.input_spec: list[Any] = [self.input_spec, *(keras.layers.InputSpec(ndim=2) for _ in range(2))]

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # type: ignore[override]
        x, scale, offset = inputs
        normed = super().call(x, training=training)
        shape = [-1] + [1] * (len(x.shape) - 1)
        shape[self.axis] = x.shape[self.axis]
        # Half precision has no 1 + scale for the small scales that training begins with.
        normed, scale, offset = (ops.cast(part, "float32") for part in (normed, scale, offset))
        return ops.cast(ops.reshape(1 + scale, shape) * normed + ops.reshape(offset, shape), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return super().compute_output_shape(tuple(input_shape[0]))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["center"], config["scale"]
        return config
