"""The arithmetic that benchmarks/train.py and gpu.py credit a step with, and their PyTorch networks."""

from dataclasses import replace
from pathlib import Path

import keras
import pytest

from doggan.config import Config
from doggan.nets.dcgan import discriminator, generator


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """Their modules can be imported."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))


def uneven() -> Config:
    """Small, 12×12, no two layers alike: strides of 1, 2 and 3, kernels of 4 and 5, with batch norm and without."""
    config = Config()
    return replace(
        config,
        generator=replace(
            config.generator,
            latent_dim=7,
            base_size=2,
            base_depth=3,
            widths=(5, 4),
            strides=(3, 2),
            batch_norm=(True, False),
            dropout=(0.5, 0.0),
        ),
        discriminator=replace(
            config.discriminator,
            widths=(4, 6, 8),
            strides=(1, 2, 2),
            kernel=4,
            batch_norm=(False, True, True),
            dropout=(0.0, 0.25, 0.0),
        ),
    )


def networks(config: Config, size: int) -> tuple[keras.Model, keras.Model]:
    shape = (size, size, 3)
    return generator(config.generator, shape), discriminator(config.discriminator, shape)


def counted_flops(config: Config, size: int) -> int:
    """TensorFlow's own count of the convolutions and matrix products that both gradients of one image depend on."""
    import tensorflow as tf
    from tensorflow.python.framework.ops import get_stats_for_node_def

    # Its matrix products are no part of what is checked.
    plain = replace(config, discriminator=replace(config.discriminator, spectral_norm=False))
    g, d = networks(plain, size)

    @tf.function
    def gradients(z, real):
        with tf.GradientTape(persistent=True) as tape:
            on_real, on_fake = d(real, training=True), d(g(z, training=True), training=True)
            g_loss, d_loss = tf.reduce_sum(on_fake**2), tf.reduce_sum(on_real**2 + on_fake**2)
        return [
            tape.gradient(loss, [variable.value for variable in network.trainable_variables])
            for loss, network in ((g_loss, g), (d_loss, d))
        ]

    shapes = ((1, config.generator.latent_dim), (1, size, size, 3))
    whole = gradients.get_concrete_function(*(tf.TensorSpec(shape, tf.float32) for shape in shapes))
    outputs = [output.op.name for output in whole.outputs]
    needed = tf.compat.v1.graph_util.extract_sub_graph(whole.graph.as_graph_def(), outputs).node
    if any(node.op == "BatchMatMulV2" for node in needed):
        pytest.skip("older versions of Keras apply a dense layer by an operation that TensorFlow miscounts")
    return sum(
        int(get_stats_for_node_def(whole.graph, node, "flops").value or 0)
        for node in needed
        if node.op in ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "MatMul")
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow counts the operations")
@pytest.mark.parametrize("name", ["uneven", "full width"])
def test_a_step_costs_what_tensorflow_counts(name):
    from contest import step_gflop

    config, size = (uneven(), 12) if name == "uneven" else (Config(), 64)
    assert sum(step_gflop(config, size).values()) * 1e9 == pytest.approx(counted_flops(config, size), rel=1e-9)


def test_narrowed_networks_are_narrower_and_nothing_else():
    from contest import narrowed

    config = narrowed(Config(), 64)
    assert config.generator.widths == (8, 4, 2, 1, 1)
    assert config.generator.base_depth == 2
    assert config.discriminator.widths == (1, 1, 2, 4)
    assert narrowed(config, 1) == config
    g, d = networks(config, 64)
    assert g.output_shape[1:] == d.input_shape[1:] == (64, 64, 3)


def test_pytorch_networks_have_the_sizes_of_ours():
    """Where PyTorch is installed; the benchmarks check the same before they time anything."""
    torch = pytest.importorskip("torch")
    from torch_dcgan import Discriminator, Generator

    config = uneven()
    pair = Generator(config, torch.channels_last), Discriminator(config, 12)
    for other, ours in zip(pair, networks(config, 12), strict=True):
        trained = sum(parameter.numel() for parameter in other.parameters())
        assert trained == sum(int(keras.ops.size(variable)) for variable in ours.trainable_variables)
    images = pair[0](torch.zeros(2, 7))
    assert tuple(images.shape) == (2, 3, 12, 12)
    assert tuple(pair[1](images).shape) == (2, 1)
