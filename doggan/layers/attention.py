"""Self-attention over the positions of a feature map, in the two forms that go by the name of SAGAN.

Reference: Zhang, Goodfellow, Metaxas, Odena: Self-Attention Generative Adversarial Networks, ICML 2019,
https://arxiv.org/abs/1805.08318
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from doggan.layers.spectral import ConvSN2D

KINDS = ("source", "released")


@keras.saving.register_keras_serializable(package="doggan")
class SelfAttention(keras.layers.Layer):
    """y = x + γ · attention(x): every position of a feature map adds a weighted mean over other positions.

    Position i asks by its query f(xᵢ), position j answers by its key g(xⱼ) and gives its value h(xⱼ):

        wᵢⱼ = exp(f(xᵢ)ᵀ g(xⱼ)) / Σₖ exp(f(xᵢ)ᵀ g(xₖ)),   aᵢ = Σⱼ wᵢⱼ h(xⱼ).

    f, g, h (and o) are 1×1 convolutions, sub-layers of these names; in the paper's formula f and g have changed
    places. γ, a scalar, starts at zero: the layer begins as the identity, and what it adds is learnt.

    "source" is the paper's figure 2 and the form of the popular PyTorch ports: f and g have C/8 channels, h has C, all
    with biases; every position attends to all of them; y = x + γ a. (g's bias is idle: it adds the same to all of a
    position's logits, which softmax does not notice. The ports have it, so it is here and counts.)

    "released" is the code that the authors published, and BigGAN's (Brock et al. 2019, arXiv:1809.11096): f and g have
    C/8 channels, h has C/2; the outputs of g and h are max-pooled 2×2, so that there are a quarter as many positions
    to attend to; o brings a back from C/2 to C channels; no biases; y = x + γ o(a).

    Logits and softmax are float32 under every dtype policy, the weights are then cast to the compute dtype: bfloat16
    holds a logit between 16 and 32 to ±0.06 only, which is ±6% of a weight, and float16 overflows at 65504, after which
    softmax is NaN.

    Input and output: [B, H, W, C] in the compute dtype, with H, W and C known and C a multiple of 8; for "released" H
    and W are even. Memory for the weights: 4 · B · (H·W)² bytes, a quarter of it for "released".

    Args:
        kind: "source" or "released".
        spectral_norm: Divide the kernels of the 1×1 convolutions by their spectral norm (`ConvSN2D`).
        kernel_initializer: Of the kernels of the 1×1 convolutions, as for `keras.layers.Conv2D`. One with an integer as
            its seed is given another seed, derived from it, for each kernel: f and g would start out equal otherwise.

    Raises:
        ValueError: an unknown kind; at build, a feature map of the wrong shape.
    """

    def __init__(
        self,
        kind: str = "source",
        spectral_norm: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        super().__init__(**kwargs)
        self.kind = kind
        self.spectral_norm = spectral_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        _check_shape(input_shape, self.kind)
        channels = input_shape[-1]
        released = self.kind == "released"
        filters = {"f": channels // 8, "g": channels // 8, "h": channels // 2 if released else channels}
        if released:
            filters["o"] = channels
        for i, (name, n) in enumerate(filters.items()):
            conv = (ConvSN2D if self.spectral_norm else keras.layers.Conv2D)(
                n,
                1,
                use_bias=not released,
                kernel_initializer=_derived(self.kernel_initializer, i),
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=name,
            )
            conv.build((*input_shape[:-1], filters["h"] if name == "o" else channels))
            setattr(self, name, conv)
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, inputs: Any, training: bool = False) -> Any:
        _, height, width, _ = inputs.shape
        weights = ops.cast(self._weights(inputs, training), self.compute_dtype)  # [B, N, M]
        values = self._flat(self._pooled(self.h(inputs, training=training)))  # [B, M, C or C/2]
        attended = ops.matmul(weights, values)
        attended = ops.reshape(attended, (-1, height, width, values.shape[-1]))
        if self.kind == "released":
            attended = self.o(attended, training=training)
        return inputs + ops.cast(self.gamma, self.compute_dtype) * attended

    def attention_map(self, x: Any) -> Any:
        """The weights wᵢⱼ of feature maps x: float32 [B, H, W, h, w], for inference; moves nothing.

        `[b, i, j]` is a picture of what position (i, j) of feature map b attends to; it sums to one. h×w is H×W for
        "source" and H/2 × W/2 for "released". The layer must be built. x may be a symbolic tensor too, so that with a
        functional model, `keras.Model(model.inputs, layer.attention_map(layer.input))` draws the maps of its pictures.
        """
        _, height, width, _ = x.shape
        pool = 2 if self.kind == "released" else 1
        weights = self._weights(ops.cast(x, self.compute_dtype), training=False)
        return ops.reshape(weights, (-1, height, width, height // pool, width // pool))

    def _weights(self, x: Any, training: bool) -> Any:
        """[B, H, W, C] → float32 [B, N, M]: N positions that attend to M."""
        queries = self._flat(self.f(x, training=training))  # [B, N, C/8]
        keys = self._flat(self._pooled(self.g(x, training=training)))  # [B, M, C/8]
        queries, keys = ops.cast(queries, "float32"), ops.cast(keys, "float32")
        return ops.softmax(ops.matmul(queries, ops.transpose(keys, (0, 2, 1))), axis=-1)

    def _pooled(self, x: Any) -> Any:
        return ops.max_pool(x, 2, 2, data_format="channels_last") if self.kind == "released" else x

    def _flat(self, x: Any) -> Any:
        """[B, H, W, C] → [B, H·W, C]."""
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        _check_shape(input_shape, self.kind)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _check_shape(shape: Any, kind: str) -> None:
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(f"SelfAttention needs feature maps [B, H, W, C] with H, W and C known, not {tuple(shape)}")
    _, height, width, channels = shape
    if channels % 8:
        raise ValueError(f"SelfAttention needs a multiple of 8 channels, not {channels}")
    if kind == "released" and (height % 2 or width % 2):
        raise ValueError(f'SelfAttention of kind "released" needs an even height and width, not {height}×{width}')


def _derived(initializer: Any, i: int) -> Any:
    """Initializer number i made of one: with an unrelated seed, and equal in everything else."""
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    if isinstance(config.get("seed"), int):
        config["seed"] = int(np.random.default_rng((config["seed"] % 2**32, i)).integers(2**31 - 1))
    elif "seed" not in config or config["seed"] is not None:
        return initializer  # constants, or a `SeedGenerator`, which gives other values at each call
    return type(initializer).from_config(config)
