import numpy as np

from doggan.metrics.inception_layers import LAYERS, npz_key


def test_the_layers_of_the_network() -> None:
    assert len(LAYERS) == 94
    kernels = sum(int(np.prod(shape)) for shape in LAYERS.values())
    # Keras' own Inception v3 without its top has the same: β, μ and σ² for each filter, no γ.
    assert kernels + 3 * sum(shape[3] for shape in LAYERS.values()) == 21_802_784
    assert LAYERS["mixed_7/tower_1/conv_1"] == (7, 1, 192, 192)
    assert LAYERS["mixed_10/tower/mixed/conv_1"] == (3, 1, 384, 384)


def test_keys_of_the_npz() -> None:
    assert npz_key("conv_4") == "conv_4"
    assert npz_key("mixed_7/tower_1/conv_1") == "mixed_7.tower_1.conv_1"
    assert npz_key("mixed_10/tower/mixed/conv_1") == "mixed_10.tower_mixed_conv_1"
