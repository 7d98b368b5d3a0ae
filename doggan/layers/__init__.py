"""Keras layers that Keras does not have."""

from doggan.layers.dropout import Dropout
from doggan.layers.normalization import BatchNormalization
from doggan.layers.spectral import ConvSN2D, ConvSN2DTranspose, DenseSN, EmbeddingSN, SpectralNorm

__all__ = ["BatchNormalization", "ConvSN2D", "ConvSN2DTranspose", "DenseSN", "Dropout", "EmbeddingSN", "SpectralNorm"]
