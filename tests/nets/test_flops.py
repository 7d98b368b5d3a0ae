"""How much arithmetic a step is: by hand, as the benchmarks count the reference, and as TensorFlow counts its graph."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from doggan.config import Config, Discriminator, Generator
from doggan.layers import SelfAttention
from doggan.nets import FAMILIES
from doggan.nets.flops import MultiplyAdds, multiply_adds, step_gflop

N_CLASSES = 5
SMALL_G = Generator(
    latent_dim=6, base_size=4, base_depth=5, widths=(8, 16), strides=(2, 2), kernel=3,
    batch_norm=(True, False), dropout=(0.0, 0.0),
)  # fmt: skip
SMALL_D = Discriminator(
    widths=(8, 16), strides=(1, 2), kernel=3, spectral_norm=False, batch_norm=(False, True), dropout=(0.0, 0.0)
)
ATTENTION = {"attention": (2,)}
PAIRS = {
    "dcgan": (SMALL_G, SMALL_D),
    "dcgan, last layer a convolution": (replace(SMALL_G, head="conv", strides=(2, 1), head_stride=2), SMALL_D),
    "dcgan, class as maps": (replace(SMALL_G, condition="one_hot"), replace(SMALL_D, condition="one_hot")),
    "dcgan, projection": (
        replace(SMALL_G, condition="batch_norm"),
        replace(SMALL_D, condition="projection", head="sum"),
    ),
    "attention": (replace(SMALL_G, **ATTENTION), replace(SMALL_D, **ATTENTION)),
    "attention as released": (
        replace(SMALL_G, **ATTENTION, attention_kind="released"),
        replace(SMALL_D, **ATTENTION, attention_kind="released"),
    ),
    "allconv": (
        Generator(network="allconv", latent_dim=6, widths=(8, 4), batch_norm=(True, True), dropout=(0.0, 0.0)),
        Discriminator(
            network="allconv", widths=(4, 8), batch_norm=(False, True), dropout=(0.0, 0.0), spectral_norm=False
        ),
    ),
    "mlp": (
        Generator(network="mlp", latent_dim=6, widths=(7, 9), batch_norm=(True, True), dropout=(0.0, 0.0)),
        Discriminator(network="mlp", widths=(8, 4), batch_norm=(False, False), dropout=(0, 0), spectral_norm=False),
    ),
}  # fmt: skip
PAIRS["mlp, class embedded"] = tuple(
    replace(settings, condition="embedding", embedding_dim=3) for settings in PAIRS["mlp"]
)


def networks(pair, shape=(16, 16, 3)):
    g, d = pair
    return (
        FAMILIES[g.network].generator(g, shape, N_CLASSES),
        FAMILIES[d.network].discriminator(d, shape, N_CLASSES),
    )


def test_dense_networks_by_hand():
    g, d = networks(PAIRS["mlp"], (4, 4, 2))
    layers_of_g = 6 * 7, 7 * 9, 9 * 32
    layers_of_d = 32 * 8, 8 * 4, 4 * 1
    assert multiply_adds(g) == MultiplyAdds(393, 2 * 393 - 42, 393)
    assert sum(layers_of_g) == 393
    assert multiply_adds(d) == MultiplyAdds(292, 2 * 292 - 256, 292)
    assert sum(layers_of_d) == 292


def test_what_is_put_beside_the_input_and_learns_needs_the_gradient_of_the_first_layer_s_input():
    g, d = networks(PAIRS["mlp, class embedded"], (4, 4, 2))
    of_g = (6 + 3) * 7 + 7 * 9 + 9 * 32
    of_d = (32 + 3) * 8 + 8 * 4 + 4 * 1
    assert multiply_adds(g) == MultiplyAdds(of_g, 2 * of_g, of_g)
    assert multiply_adds(d) == MultiplyAdds(of_d, 2 * of_d, of_d)
    one_hot = [replace(settings, condition="one_hot") for settings in PAIRS["mlp"]]
    g, d = networks(one_hot, (4, 4, 2))
    of_d = (32 + N_CLASSES) * 8 + 8 * 4 + 4 * 1
    assert multiply_adds(d) == MultiplyAdds(of_d, 2 * of_d - (32 + N_CLASSES) * 8, of_d)


@pytest.mark.parametrize(("kind", "o"), [("source", 0), ("released", 64 * 8 * 16)])
def test_self_attention_by_hand(kind, o):
    """On 8×8 positions with 16 channels: f and g make 2 of them, h makes 16, or 8."""
    image = keras.Input((8, 8, 16))
    released = kind == "released"
    positions, attended, values = 64, 16 if released else 64, 8 if released else 16
    convolutions = positions * 16 * (2 + 2 + values)
    products = positions * attended * (2 + values)
    forward = convolutions + products + o
    # f, g and h see the input alone; both factors of the products, and what o sees, are learnt.
    assert multiply_adds(keras.Model(image, SelfAttention(kind)(image))) == MultiplyAdds(
        forward, convolutions + 2 * products + 2 * o, convolutions + 2 * products + o
    )


def test_a_projection_is_one_product_more():
    d = PAIRS["dcgan, projection"][1]
    plain, told = (multiply_adds(networks((SMALL_G, each))[1]) for each in (replace(d, condition="none"), d))
    assert told == MultiplyAdds(plain.forward + 16, plain.to_weights + 2 * 16, plain.to_input + 16)


def test_steps_by_hand():
    g, d = networks(PAIRS["mlp"], (4, 4, 2))
    (g_forward, g_back), (d_forward, d_back, d_to_fake) = (393, 744), (292, 328, 292)
    both = g_forward + 2 * d_forward + 2 * d_back + d_to_fake + g_back
    assert step_gflop(g, d, update="simultaneous") * 1e9 == pytest.approx(2 * both)
    d_update = g_forward + 2 * d_forward + 2 * d_back
    g_update = g_forward + d_forward + d_to_fake + g_back
    assert step_gflop(g, d, update="alternating") * 1e9 == pytest.approx(2 * (d_update + g_update))
    relativistic = step_gflop(g, d, update="alternating", relativistic=True)
    assert relativistic * 1e9 == pytest.approx(2 * (d_update + g_update + d_forward))
    five = step_gflop(g, d, update="alternating", d_steps=5)
    assert five * 1e9 == pytest.approx(2 * (5 * d_update + g_update) / 5)


@pytest.mark.parametrize(("update", "d_steps"), [("both", 1), ("simultaneous", 2)])
def test_another_way_to_train_is_refused(update, d_steps):
    g, d = networks(PAIRS["mlp"])
    with pytest.raises(ValueError, match="no way to train"):
        step_gflop(g, d, update=update, d_steps=d_steps)


def test_the_reference_costs_what_the_benchmarks_credit_it_with(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from contest import step_gflop as credited

    config = Config()
    ours = step_gflop(*networks((config.generator, config.discriminator), (64, 64, 3)), update="simultaneous")
    assert ours == pytest.approx(sum(credited(config, 64).values()), rel=1e-12)
    assert ours == pytest.approx(4.5518, abs=1e-4)


def counted_gflop(g, d, update):
    """TensorFlow's own count of the convolutions and matrix products that the gradients of a step depend on."""
    import tensorflow as tf

    conditional = len(g.inputs) > 1

    def told(x, classes):
        return [x, classes] if conditional else x

    def of(network):
        return [variable.value for variable in network.trainable_variables]

    @tf.function
    def simultaneous(z, real, classes):
        with tf.GradientTape(persistent=True) as tape:
            on_real = d(told(real, classes), training=True)
            on_fake = d(told(g(told(z, classes), training=True), classes), training=True)
            g_loss, d_loss = tf.reduce_sum(on_fake**2), tf.reduce_sum(on_real**2 + on_fake**2)
        return tape.gradient(g_loss, of(g)), tape.gradient(d_loss, of(d))

    @tf.function
    def d_update(z, real, classes):
        fake = g(told(z, classes), training=True)
        with tf.GradientTape() as tape:
            d_loss = sum(tf.reduce_sum(d(told(x, classes), training=True) ** 2) for x in (real, fake))
        return tape.gradient(d_loss, of(d))

    @tf.function
    def g_update(z, real, classes):
        with tf.GradientTape() as tape:
            g_loss = tf.reduce_sum(d(told(g(told(z, classes), training=True), classes), training=True) ** 2)
        return tape.gradient(g_loss, of(g))

    steps = [simultaneous] if update == "simultaneous" else [d_update, g_update]
    specs = (
        tf.TensorSpec((1, *g.inputs[0].shape[1:])),
        tf.TensorSpec((1, *d.inputs[0].shape[1:])),
        tf.TensorSpec((1,), tf.int32),
    )
    return sum(_flops(step.get_concrete_function(*specs)) for step in steps) / 1e9


def _flops(function):
    import tensorflow as tf
    from tensorflow.python.framework.ops import get_stats_for_node_def

    graph = function.graph
    needed = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [output.op.name for output in function.outputs]
    ).node
    counted = 0
    for node in needed:
        operation = graph.get_operation_by_name(node.name)
        if node.op.startswith("BatchMatMul"):
            counted += 2 * int(np.prod(operation.outputs[0].shape)) * _inner(operation)
        elif node.op.startswith("Conv2DBackprop") and node.attr["padding"].s == b"VALID":
            counted += 2 * _unpadded(operation)
        elif node.op in ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "MatMul"):
            counted += int(get_stats_for_node_def(graph, node, "flops").value)
    return counted


def _inner(operation):
    """What a batch of matrix products sums over: TensorFlow's statistics forget that a factor may be transposed."""
    return operation.inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]


def _unpadded(operation):
    """Multiply-adds of a gradient of a convolution without padding, which TensorFlow's statistics take for padded."""
    of_input = operation.type == "Conv2DBackpropInput"
    kernel = operation.inputs[1].shape if of_input else operation.outputs[0].shape
    return int(np.prod(kernel)) * int(np.prod(operation.inputs[2].shape[1:3]))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow counts the operations")
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_step_costs_what_tensorflow_counts(name, update):
    g, d = networks(PAIRS[name])
    assert step_gflop(g, d, update=update) == pytest.approx(counted_gflop(g, d, update), rel=1e-9)
