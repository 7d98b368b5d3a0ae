"""Layers whose weight matrix has spectral norm one: y = x W/σ(W) + b.

The spectral norm σ(W) is the largest singular value of W, the most by which the map x → xW can stretch a
vector. A discriminator of dense layers with σ = 1 and 1-Lipschitz activations is itself 1-Lipschitz, which
keeps its gradients towards the generator bounded; a convolution, whose σ is that of its kernel alone,
stretches by √(kh·kw) at most.

Computing σ by a singular value decomposition in every step would be slow. Power iteration uses that W moves
only a little in a step: it keeps an estimate u of the right singular vector that belongs to σ, and improves
it by

    v ← W u / ‖W u‖,   u ← Wᵀ v / ‖Wᵀ v‖,

once per training call. With v = W u / ‖W u‖ for the improved u, σ = vᵀ W u. The gradient takes u and v as
constants, so that ∂σ/∂W = v uᵀ, which is the exact gradient of the largest singular value once u has
converged.

W is seen as a matrix with the output channels as its columns and everything else as its rows: u has one entry
per output channel. (The paper and PyTorch write the transposed matrix; their u is this u.)

Reference: Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative Adversarial Networks,
ICLR 2018, https://arxiv.org/abs/1802.05957
"""

from typing import Any

import keras
from keras import ops


class SpectralNorm:
    """Mixin for a Keras layer: divides its weight by σ, in training and in inference.

    The parent's weight stays the raw W and is what the optimizer trains; W/σ exists only during a call. The
    one variable added is `u`, float32 [output channels], not trainable; it is saved with the layer. At build
    it is the exact singular vector, so that σ is right before the first step. A call with `training=True`
    moves it by `power_iterations`; any other call leaves it alone.

    σ is computed in float32 under every dtype policy; W/σ is then cast to the compute dtype.

    A subclass sets `_weight_name` and computes its output from `normalized_weight(training)`.

    Args:
        power_iterations: Steps of power iteration per training call.
        epsilon: Norms and σ are taken as at least this, so that a weight of zeros stays zeros.
    """

    _weight_name = "kernel"

    def __init__(self, *args: Any, power_iterations: int = 1, epsilon: float = 1e-12, **kwargs: Any) -> None:
        if power_iterations < 1:
            raise ValueError(f"power_iterations must be at least 1, not {power_iterations}")
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive, not {epsilon}")
        super().__init__(*args, **kwargs)
        self.power_iterations = power_iterations
        self.epsilon = epsilon

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        # A mixed policy would hand out the weight in half precision, too coarse for σ.
        kwargs.setdefault("autocast", False)
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    def build(self, input_shape: Any = None) -> None:
        if self.quantization_mode is not None:  # type: ignore[attr-defined]
            raise NotImplementedError(f"{type(self).__name__} cannot be quantized: its W/σ changes with u")
        super().build(input_shape)  # type: ignore[misc]
        self.u = self.add_weight(
            name="u",
            shape=self._weight_matrix().shape[-1:],
            initializer=self._top_singular_vector,
            dtype="float32",
            trainable=False,
            # Every replica computes the same u from the same W.
            aggregation="only_first_replica",
        )

    def sigma(self) -> Any:
        """σ(W) with the present u, a float32 scalar: what inference divides by. Moves nothing."""
        return self._sigma(self._weight_matrix(), self._unit(self.u))

    def normalized_weight(self, training: bool = False) -> Any:
        """W/σ in the weight's own shape and the layer's compute dtype; with `training`, u moves first."""
        w = self._weight_matrix()
        # The average of two unit vectors (EMA of all weights) is shorter than one.
        u = self._unit(self.u)
        if training:
            for _ in range(self.power_iterations):
                v = self._unit(ops.matmul(w, u))
                u = self._unit(ops.matmul(v, w))
            self.u.assign(u)
        weight = ops.convert_to_tensor(getattr(self, self._weight_name))
        sigma = ops.maximum(self._sigma(w, u), self.epsilon)
        return ops.cast(weight / ops.cast(sigma, weight.dtype), self.compute_dtype)  # type: ignore[attr-defined]

    def _sigma(self, w: Any, u: Any) -> Any:
        """vᵀ W u, with gradient v uᵀ. w: [rows, out], u: [out]."""
        u = ops.stop_gradient(u)
        wu = ops.matmul(w, u)  # [rows]
        v = ops.stop_gradient(self._unit(wu))
        return ops.sum(v * wu)

    def _unit(self, x: Any) -> Any:
        return x / ops.maximum(ops.norm(x), self.epsilon)

    def _weight_matrix(self) -> Any:
        """W as float32 [everything else, output channels]."""
        w = ops.cast(getattr(self, self._weight_name), "float32")
        return ops.reshape(w, (-1, w.shape[-1]))

    def _top_singular_vector(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Where power iteration on W converges to: the eigenvector of WᵀW with the largest eigenvalue.

        It is Wᵀ times that of WWᵀ, the smaller matrix where there are more columns than rows: for a dense layer from
        128 to 8192 that takes milliseconds in place of minutes.
        """
        w = self._weight_matrix()
        rows, columns = w.shape
        gram = ops.matmul(ops.transpose(w), w) if rows >= columns else ops.matmul(w, ops.transpose(w))
        top = ops.linalg.eigh(gram)[1][:, -1]  # eigenvalues ascend
        u = top if rows >= columns else self._unit(ops.matmul(top, w))
        return ops.cast(ops.reshape(u, shape), dtype)

    def _add_bias_and_activate(self: Any, y: Any) -> Any:
        if self.use_bias:
            bias = ops.cast(self.bias, y.dtype)
            if getattr(self, "data_format", "channels_last") == "channels_first":
                bias = ops.reshape(bias, (-1,) + (1,) * self.rank)
            y = y + bias
        return y if self.activation is None else self.activation(y)

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no LoRA: it would bypass the spectral norm")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()  # type: ignore[misc]
        return {**config, "power_iterations": self.power_iterations, "epsilon": self.epsilon}

    # Keras' own layers list what they save by name, without u: save all variables, as a plain layer does.
    def save_own_variables(self: Any, store: Any) -> None:
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self: Any, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)


@keras.saving.register_keras_serializable(package="doggan")
class DenseSN(SpectralNorm, keras.layers.Dense):
    """`keras.layers.Dense` with W/σ in place of its kernel W [in, out].

    Args:
        power_iterations, epsilon: see `SpectralNorm`. All others are those of `keras.layers.Dense`.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self._add_bias_and_activate(ops.matmul(inputs, self.normalized_weight(training)))


@keras.saving.register_keras_serializable(package="doggan")
class ConvSN2D(SpectralNorm, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with W/σ in place of its kernel W [kh, kw, in, out].

    σ is that of the matrix [kh·kw·in, out], as in the paper.

    Args:
        power_iterations, epsilon: see `SpectralNorm`. All others are those of `keras.layers.Conv2D`.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self._add_bias_and_activate(self.convolution_op(inputs, self.normalized_weight(training)))


@keras.saving.register_keras_serializable(package="doggan")
class ConvSN2DTranspose(SpectralNorm, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with W/σ in place of its kernel W [kh, kw, out, in].

    σ is that of the matrix [kh·kw·in, out], so that the output channels are the columns here too.

    Args:
        power_iterations, epsilon: see `SpectralNorm`. All others are those of `keras.layers.Conv2DTranspose`.
    """

    def _weight_matrix(self) -> Any:
        w = ops.cast(self.kernel, "float32")
        w = ops.transpose(w, (0, 1, 3, 2))  # [kh, kw, in, out]
        return ops.reshape(w, (-1, w.shape[-1]))

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = ops.conv_transpose(
            inputs,
            self.normalized_weight(training),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self._add_bias_and_activate(outputs)


@keras.saving.register_keras_serializable(package="doggan")
class EmbeddingSN(SpectralNorm, keras.layers.Embedding):
    """`keras.layers.Embedding` that looks up rows of W/σ; W is [vocabulary, dim].

    Args:
        power_iterations, epsilon: see `SpectralNorm`. All others are those of `keras.layers.Embedding`,
            except `weights`: give initial values by `embeddings_initializer`.
    """

    _weight_name = "embeddings"

    def call(self, inputs: Any, training: bool = False) -> Any:
        return ops.take(self.normalized_weight(training), ops.cast(inputs, "int32"), axis=0)

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        return super().compute_output_spec(inputs)
