"""The loop that every extractor runs: images by the batch, counted, to features."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from doggan.metrics.pace import Pace


def features_in_batches(
    compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    images: NDArray[np.uint8],
    dimensions: int,
    *,
    batch_size: int,
    label: str,
    progress: bool,
    pace: Pace | None,
) -> NDArray[np.float32]:
    """Features float32 [N, dimensions] of `images`.

    Args:
        compute: a batch of at most `batch_size` images → features of each; rows beyond them are cut off.
        images: [N, ...].
        dimensions: of the features.
        batch_size: images at a time, at least 1.
        label: of the bar.
        progress: whether to draw one.
        pace: counts the images instead of a bar of our own, and may raise `TimeUp`.
    """
    if pace is None:
        with Pace(len(images), label, progress=progress) as own:
            return features_in_batches(
                compute, images, dimensions, batch_size=batch_size, label=label, progress=progress, pace=own
            )
    if batch_size < 1:
        raise ValueError(f"a batch has at least one image, not {batch_size}")
    features = np.empty((len(images), dimensions), np.float32)
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        features[start : start + batch_size] = compute(batch)[: len(batch)]
        pace.advance(len(batch))
    return features


def filled(batch: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The batch with its last image repeated up to `size`, so that one compiled program serves every batch."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def require_rgb(images: NDArray[np.uint8]) -> None:
    """Raise `ValueError` unless images are uint8 [N, H, W, 3]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must be uint8 [N, H, W, 3], not {images.dtype} {images.shape}")
