"""Keras layers that Keras does not have."""

from doggan.layers.attention import SelfAttention
from doggan.layers.dropout import Dropout
from doggan.layers.grouped import GroupedConv2D
from doggan.layers.normalization import (
    BatchNormalization,
    ConditionalBatchNormalization,
    ModulatedBatchNormalization,
)
from doggan.layers.spectral import ConvSN2D, ConvSN2DTranspose, DenseSN, EmbeddingSN, SpectralNorm

__all__ = [
    "BatchNormalization",
    "ConditionalBatchNormalization",
    "ConvSN2D",
    "ConvSN2DTranspose",
    "DenseSN",
    "Dropout",
    "EmbeddingSN",
    "GroupedConv2D",
    "ModulatedBatchNormalization",
    "SelfAttention",
    "SpectralNorm",
]
