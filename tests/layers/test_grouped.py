"""Convolutions in groups, against one convolution whose kernel is zero between the groups."""

import keras
import numpy as np
import pytest
from keras import ops
from layer_checks import run_layer_test, second_gradient

from doggan.layers import GroupedConv2D

RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((2, 5, 4, 6)).astype("float32")
GROUPS, WIDTH = 3, 9


def block_diagonal(kernel):
    """[3, 3, 2, 9] of 3 groups → [3, 3, 6, 9]."""
    whole = np.zeros((3, 3, 6, WIDTH), "float32")
    for group in range(GROUPS):
        inputs, outputs = slice(2 * group, 2 * group + 2), slice(3 * group, 3 * group + 3)
        whole[:, :, inputs, outputs] = kernel[..., outputs]
    return whole


def both(strides=1):
    grouped = GroupedConv2D(WIDTH, 3, groups=GROUPS, padding="same", strides=strides)
    plain = keras.layers.Conv2D(WIDTH, 3, padding="same", strides=strides)
    grouped.build(INPUTS.shape)
    plain.build(INPUTS.shape)
    kernel, bias = RNG.standard_normal((3, 3, 2, WIDTH)), RNG.standard_normal(WIDTH)
    grouped.set_weights([kernel, bias])
    plain.set_weights([block_diagonal(kernel), bias])
    return grouped, plain


@pytest.mark.both_backends
@pytest.mark.parametrize("strides", [1, 2])
def test_it_is_one_convolution_with_zeros_between_the_groups(strides):
    grouped, plain = both(strides)
    np.testing.assert_allclose(*(ops.convert_to_numpy(layer(INPUTS)) for layer in (grouped, plain)), atol=1e-5)


@pytest.mark.both_backends
def test_the_gradient_of_a_gradient_penalty():
    grouped, plain = both()
    ours, theirs = (
        second_gradient(lambda x, layer=layer: ops.sum(ops.square(layer(x))), layer, INPUTS)
        for layer in (grouped, plain)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.both_backends
def test_layer(tmp_path):
    arguments = {"filters": WIDTH, "kernel_size": 3, "groups": GROUPS, "padding": "same"}
    run_layer_test(GroupedConv2D, arguments, INPUTS, (2, 5, 4, WIDTH), tmp_path, weights=(2, 0))
