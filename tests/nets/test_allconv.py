"""The all-convolutional DCGAN: it follows the size of the pictures; its full width is counted in tests/recipes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.nets.allconv import discriminator, fitted, generator

G = Generator(
    network="allconv", latent_dim=5, widths=(8, 4, 3, 2), batch_norm=(True, True, True, True),
    dropout=(0.5, 0.0, 0.0, 0.0),
)  # fmt: skip
D = Discriminator(network="allconv", widths=(2, 3, 4, 8), spectral_norm=False)


def count(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("side", "g_widths", "d_widths"),
    [(16, [3, 2], [2, 3]), (32, [4, 3, 2], [2, 3, 4]), (64, [8, 4, 3, 2], [2, 3, 4, 8]),
     (128, [16, 8, 4, 3, 2], [2, 3, 4, 8, 16])],
)  # fmt: skip
def test_the_deep_end_follows_the_size(side, g_widths, d_widths):
    g, d = generator(G, (side, side, 3)), discriminator(D, (side, side, 3))
    assert g.output_shape == (None, side, side, 3)
    assert d.output_shape == (None, 1)
    chain = [5, *g_widths, 3]
    kernels = sum(16 * a * b for a, b in itertools.pairwise(chain))
    assert count(g) == kernels + 2 * sum(g_widths)
    chain = [3, *d_widths, 1]
    kernels = sum(16 * a * b for a, b in itertools.pairwise(chain))
    assert count(d) == kernels + 2 * sum(d_widths[1:])  # no batch norm on the first


def test_settings_by_layer_are_continued_at_the_deep_end():
    assert fitted(G, 128).dropout == (0.5, 0.5, 0.0, 0.0, 0.0)
    assert fitted(G, 32).dropout == (0.0, 0.0, 0.0)
    assert fitted(D, 128).batch_norm == (False, True, True, True, True)
    assert fitted(D, 16).batch_norm == (False, True)
    assert fitted(G, 64) == G


@pytest.mark.parametrize("side", [4, 48, 96])
def test_sizes_that_do_not_fit(side):
    with pytest.raises(DogganError, match=f"these pictures have {side}; prepare them with --size 32, 64 or 128"):
        discriminator(D, (side, side, 3))


def test_settings_that_do_not_fit():
    with pytest.raises(DogganError, match=r"not a setting that generator\.network = 'allconv' reads"):
        generator(replace(G, kernel=3), (64, 64, 3))
    with pytest.raises(DogganError, match="needs a vector before the logit"):
        discriminator(replace(D, condition="projection"), (64, 64, 3), 10)
