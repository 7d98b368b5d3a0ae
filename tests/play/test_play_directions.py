"""Directions against singular values by NumPy and derivatives by TensorFlow."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from doggan.config import Generator  # noqa: E402
from doggan.nets import FAMILIES  # noqa: E402
from doggan.play.directions import mean_response, principal_directions  # noqa: E402
from doggan.sampling import draw_z  # noqa: E402


def linear_generator(kernel, side):
    """Pictures that are a matrix times z: [D, side · side · 3]."""
    z = keras.Input((len(kernel),))
    dense = keras.layers.Dense(kernel.shape[1], use_bias=False)
    image = keras.layers.Reshape((side, side, 3))(dense(z))
    model = keras.Model(z, image)
    dense.kernel.assign(kernel)
    return model


def test_of_a_linear_generator_they_are_the_singular_vectors_of_its_matrix():
    rng = np.random.default_rng(0)
    blocks = rng.normal(0, 0.03, (5, 8, 8, 3)) * np.array([1, 4, 2, 0.5, 3]).reshape(5, 1, 1, 1)
    kernel = blocks.repeat(4, axis=1).repeat(4, axis=2).reshape(5, -1)  # 32×32, constant over what is pooled
    response = mean_response(linear_generator(kernel, 32), points=2)
    pooled = 127.5 * blocks.repeat(2, axis=1).repeat(2, axis=2).reshape(5, -1)
    np.testing.assert_allclose(response, pooled, atol=2e-3 * np.abs(pooled).max())
    _, values, rows = np.linalg.svd(pooled.T, full_matrices=False)
    found = principal_directions(response, 3)
    assert found.shape == (3, 5)
    np.testing.assert_allclose(np.abs(found @ rows.T), np.eye(3, 5), atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(found @ pooled, axis=1), values[:3], rtol=0.01)
    assert ((found @ pooled).sum(1) > 0).all()  # lighter along each


def test_there_are_no_more_of_them_than_entries_of_z():
    rng = np.random.default_rng(1)
    for response in (rng.normal(size=(4, 100)), rng.normal(size=(9, 3))):
        found = principal_directions(response, 6)
        assert found.shape == (min(6, len(response)), len(response))
        np.testing.assert_allclose(found @ found.T, np.eye(len(found)), atol=1e-9)
    assert (principal_directions(np.zeros((4, 5)), 4).max(1) > 0).all()


NETWORKS = {
    "dcgan": {"base_depth": 8, "widths": (8, 8), "strides": (2, 2), "batch_norm": (True, True), "dropout": (0.5, 0.0)},
    "mlp": {"widths": (24,), "batch_norm": (True,), "dropout": (0.0,), "z_distribution": "uniform"},
    "allconv": {"widths": (8, 8), "batch_norm": (True, True), "dropout": (0.0, 0.0)},
    "resnet": {"base_depth": 8, "widths": (8, 8), "strides": (2, 2), "kernel": 3, "hierarchical_z": True,
               "condition": "shared", "embedding_dim": 4},
    "r3gan": {"widths": (16, 16), "strides": (2, 2), "group_width": 8, "slope": 0.2, "condition": "embedding"},
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_the_response_is_the_mean_jacobian_of_every_network(network):
    import tensorflow as tf

    config = Generator(network=network, latent_dim=6, base_size=4, **NETWORKS[network])
    generator = FAMILIES[network].generator(config, (16, 16, 3), 3, seed=1)
    rng = np.random.default_rng(2)
    for variable in generator.trainable_variables:
        if variable.name == "kernel":
            variable.assign(variable + rng.normal(0, 0.1, variable.shape))  # so that z is seen in the picture
    told = len(generator.inputs) == 2
    classes = np.array([0, 2, 1], np.int32) if told else None
    found = mean_response(generator, classes, points=3, step=0.001, seed=5)

    # Backwards, for some random sums of pixels.
    sums = rng.normal(size=(16, 16, 16, 3)).astype(np.float32)
    z = tf.constant(draw_z(3, 6, 5))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        pictures = 127.5 * generator([z, tf.constant(classes)] if told else z, training=False)
        summed = [tf.reduce_sum(pictures * each) for each in sums]
    exact = np.stack([tape.gradient(each, z).numpy().mean(0) for each in summed])
    assert np.linalg.norm(exact) > 50
    error = sums.reshape(16, -1) @ found.T - exact
    assert np.linalg.norm(error) < 0.06 * np.linalg.norm(exact)
