"""The loop that every extractor runs: images by the batch, counted, to features."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from doggan.metrics.pace import Pace

Pictures = NDArray[np.uint8] | NDArray[np.float32]


def features_in_batches(
    compute: Callable[[Pictures], NDArray[np.float32]],
    images: Pictures,
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


def filled(batch: Pictures, size: int) -> Pictures:
    """The batch with its last image repeated up to `size`, so that one compiled program serves every batch."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def require_rgb(images: Pictures, *, unrounded: bool = False) -> None:
    """Raise `ValueError` unless images are uint8 [N, H, W, 3], or float32 where `unrounded` ones are taken too."""
    dtypes = (np.uint8, np.float32) if unrounded else (np.uint8,)
    if images.dtype not in dtypes or images.ndim != 4 or images.shape[-1] != 3:
        wanted = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise ValueError(f"images must be {wanted} [N, H, W, 3], not {images.dtype} {images.shape}")
    require_scale(images)


def require_scale(images: Pictures) -> None:
    """Raise `ValueError` where floats are not from 0 to 255: pictures as networks have them, from −1 to 1, say."""
    if images.dtype != np.uint8 and images.size and not (images.min() >= 0 and images.max() <= 255):
        raise ValueError(f"images must be from 0 to 255, not from {images.min():.3g} to {images.max():.3g}")
