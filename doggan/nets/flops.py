"""How much arithmetic a network and a training step are, counted from the layers of functional Keras models.

A multiply-add is one multiplication and one addition, two FLOP. Counted are those of convolutions, dense layers,
self-attention and the inner product of a projection, where padding counts as pixels. Not counted, together some per
cent: normalisation, activations, embeddings, dropout, spectral norm, losses, augmentation, penalties, optimizers, the
average.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import keras
from keras import layers

from doggan.layers import SelfAttention


@dataclass(frozen=True)
class MultiplyAdds:
    """Of one network, for one picture.

    The gradient of a product with respect to one of its two factors costs as much as the product.

    Attributes:
        forward: the network itself.
        to_weights: from its output back to the gradients of all its weights. A layer that sees only the network's input
            needs the gradient of its weights alone; another that of its input, too.
        to_input: from its output back to the gradient of its first input, z or the picture, and to no weights.
    """

    forward: int
    to_weights: int
    to_input: int


class _Tensor(NamedTuple):
    """Whether features depend on trainable weights of the network, and whether on its first input."""

    learns: bool
    varies: bool


class _Product(NamedTuple):
    """Its multiply-adds, whether one factor is a layer's weights, and the features that are the other, or both."""

    macs: int
    of_weights: bool
    features: tuple[_Tensor, ...]


def multiply_adds(network: keras.Model) -> MultiplyAdds:
    """Count a functional model whose layers are called once each; kinds of layers not named above count as nothing."""
    tensors = {id(x): _Tensor(learns=False, varies=x is network.inputs[0]) for x in network.inputs}
    forward = to_weights = to_input = 0
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        inputs = [tensors[id(x)] for x in (layer.input if isinstance(layer.input, list | tuple) else [layer.input])]
        for macs, of_weights, features in _products(layer, inputs):
            forward += macs
            to_weights += macs * (of_weights + sum(x.learns for x in features))
            to_input += macs * sum(x.varies for x in features)
        tensors[id(layer.output)] = _Tensor(
            learns=bool(layer.trainable_variables) or any(x.learns for x in inputs),
            varies=any(x.varies for x in inputs),
        )
    return MultiplyAdds(forward, to_weights, to_input)


def _products(layer: keras.layers.Layer, inputs: list[_Tensor]) -> Iterator[_Product]:
    """The products that a layer computes for one picture."""
    if isinstance(layer, layers.Dense):  # at every position
        yield _Product(math.prod(layer.output.shape[1:]) * layer.input.shape[-1], True, (inputs[0],))
    elif isinstance(layer, layers.Conv2D):
        # The kernel, [kh, kw, in, out], is multiplied once for each pixel of the output; of a transposed one, of the
        # input.
        yield _Product(math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape), True, (inputs[0],))
    elif isinstance(layer, layers.Conv2DTranspose):
        yield _Product(math.prod(layer.input.shape[1:3]) * math.prod(layer.kernel.shape), True, (inputs[0],))
    elif isinstance(layer, SelfAttention):
        yield from _attention_products(layer, inputs[0])
    elif isinstance(layer, layers.Dot):
        size = layer.input[0].shape[layer.axes if isinstance(layer.axes, int) else layer.axes[0]]
        yield _Product(math.prod(layer.output.shape[1:]) * size, False, tuple(inputs))


def _attention_products(layer: SelfAttention, x: _Tensor) -> Iterator[_Product]:
    _, height, width, _ = layer.input.shape
    positions = height * width
    attended = positions // 4 if layer.kind == "released" else positions
    inside = _Tensor(learns=True, varies=x.varies)
    for conv in (layer.f, layer.g, layer.h):
        yield _Product(positions * math.prod(conv.kernel.shape), True, (x,))
    for channels in (layer.f.filters, layer.h.filters):  # queries with keys, weights with values
        yield _Product(positions * attended * channels, False, (inside, inside))
    if layer.kind == "released":
        yield _Product(positions * math.prod(layer.o.kernel.shape), True, (inside,))


def step_gflop(
    generator: keras.Model,
    discriminator: keras.Model,
    *,
    update: str,
    d_steps: int = 1,
    relativistic: bool = False,
) -> float:
    """GFLOP of one training step per real picture that it sees, of which a step on batches of B has d_steps · B.

    Simultaneous: forward G, and D on a real picture and the fake; d_loss back to D's weights from both; g_loss back
    through D to the fake, and through G to its weights. Alternating: `d_steps` times forward G, and D on a real picture
    and the fake, and back to D's weights from both; then once forward G and D on another fake, and back through D to
    the fake and through G to its weights; all of it divided by `d_steps`.

    Args:
        generator, discriminator: functional models.
        update: "simultaneous" or "alternating".
        d_steps: alternating: updates of D for each of G.
        relativistic: alternating: G's loss reads D on a real picture, too, which is one more forward pass.

    Raises:
        ValueError: another `update`, or several steps of D where both networks are updated at once.
    """
    g, d = multiply_adds(generator), multiply_adds(discriminator)
    learning = g.forward + 2 * d.forward + 2 * d.to_weights
    teaching = d.to_input + g.to_weights
    if update == "simultaneous" and d_steps == 1:
        macs: float = learning + teaching
    elif update == "alternating":
        macs = learning + (g.forward + (1 + relativistic) * d.forward + teaching) / d_steps
    else:
        raise ValueError(f"update = {update!r} with d_steps = {d_steps} is no way to train")
    return 2 * macs / 1e9
