"""What turns pictures into the features that scores are made of, behind one interface.

`inception` gives the scores people compare, `nasnet` those of the organisers' second stage, `vgg19` looks
for pictures that look alike, and `random` is a cheap stand-in whose scores carry another name.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.metrics.batching import Pictures, features_in_batches
from doggan.metrics.pace import Pace

PRECISIONS = ("float32", "bfloat16")
UNROUNDED = ("inception", "random")  # take float32 pictures as well; see `UnroundedExtractor`


class Extractor(Protocol):
    """Pictures → features.

    Attributes:
        name: printed with every score, such as "inception-2015-12-05 pool_3".
        identity: everything that the features depend on (network, digest of its weights, precision), for caches.
        prefix: before the name of every score: "" for Inception, "random-", "nasnet-".
        epsilon: the memorization distance from which MiFID is FID: 0.1, for NASNet 0.25.
        dimensions: D.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def dimensions(self) -> int: ...

    def features(
        self,
        images: NDArray[np.uint8],
        *,
        batch_size: int | None = None,
        progress: bool = False,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """The features float32 [N, D] of images uint8 [N, H, W, 3], RGB.

        Args:
            images: any number.
            batch_size: images at a time; None for what suits the network. It does not change the features.
            progress: whether to draw a bar.
            pace: counts the images instead of a bar of its own, and may raise `TimeUp`.
        """
        ...


class UnroundedExtractor(Extractor, Protocol):
    """An extractor that takes float32 pictures from 0 to 255 as well, for distances smaller than rounding makes."""

    def features(
        self,
        images: Pictures,
        *,
        batch_size: int | None = None,
        progress: bool = False,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """See `Extractor.features`; float32 pictures that hold whole numbers have the features of uint8 ones."""
        ...


class RandomExtractor:
    """`random_features` as an `Extractor`: no weights to fetch, and no score to compare with Inception's.

    Attributes:
        has_weights: whether they come from a file, which may be the wrong one.
        name, identity, prefix, epsilon, dimensions: see `Extractor`.
    """

    has_weights = False
    name = "random-conv"
    prefix = "random-"
    epsilon = 0.1

    def __init__(self) -> None:
        from doggan.metrics.random_features import DIMENSIONS, features_digest

        self.dimensions = DIMENSIONS
        self.identity = f"{self.name} {features_digest()} float32"

    def features(
        self,
        images: Pictures,
        *,
        batch_size: int | None = None,
        progress: bool = False,
        pace: Pace | None = None,
    ) -> NDArray[np.float32]:
        """float32 [N, 1030] of images uint8, or float32 0 to 255, [N, H, W, 1 or 3]; see `Extractor.features`.

        Raises:
            DogganError: the pictures are smaller or larger than the network works on.
        """
        from doggan.metrics.random_features import BATCH_SIZE, MAX_SIDE, MIN_SIDE, random_features

        height, width = images.shape[1:3]
        if not MIN_SIDE <= min(height, width) <= max(height, width) <= MAX_SIDE:
            raise DogganError(
                f"The random extractor works on pictures of {MIN_SIDE} to {MAX_SIDE} pixels and these are "
                f"{width}×{height}; use another extractor."
            )
        size = BATCH_SIZE if batch_size is None else batch_size
        return features_in_batches(
            lambda batch: random_features(batch, size),
            images,
            self.dimensions,
            batch_size=size,
            label="random features",
            progress=progress,
            pace=pace,
        )


def load_extractor(
    name: str, weights: str | Path | None = None, *, precision: str = "float32", xla: bool = False
) -> Extractor:
    """The extractor of that name.

    Args:
        name: one of `EXTRACTORS`.
        weights: the file; None looks in the default folders. "random" has none.
        precision: "float32", or "bfloat16" for Inception.
        xla: compile Inception by XLA on TensorFlow too, for accelerators.

    Raises:
        DogganError: there is no such extractor, its weights are not found, or an argument is not for it.
    """
    if name not in EXTRACTORS:
        raise DogganError(f"There is no extractor {name!r}; choose one of {', '.join(EXTRACTORS)}.")
    if precision not in PRECISIONS:
        raise DogganError(f"There is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}.")
    if name != "inception" and (precision != "float32" or xla):
        raise DogganError(f"bfloat16 and XLA are for the extractor inception, not for {name}; leave them out.")
    return EXTRACTORS[name](weights, precision, xla)


def load_unrounded(name: str, weights: str | Path | None = None) -> UnroundedExtractor:
    """The extractor of that name, one of `UNROUNDED`; see `load_extractor`.

    Raises:
        DogganError: it takes uint8 pictures only, or is none; its weights are not found.
    """
    if name not in UNROUNDED:
        raise DogganError(f"Pictures that are not rounded suit the extractors {' and '.join(UNROUNDED)}, not {name}.")
    return cast(UnroundedExtractor, load_extractor(name, weights))


def _inception(weights: str | Path | None, precision: str, xla: bool) -> Extractor:
    from doggan.metrics.inception import load_inception

    return load_inception(weights, precision=precision, xla=xla)


def _random(weights: str | Path | None, precision: str, xla: bool) -> Extractor:
    if weights is not None:
        raise DogganError(f"The random extractor reads no weights; leave {weights} out, or choose extractor inception.")
    return RandomExtractor()


def _nasnet(weights: str | Path | None, precision: str, xla: bool) -> Extractor:
    from doggan.metrics.nasnet import load_nasnet

    return load_nasnet(weights)


def _vgg19(weights: str | Path | None, precision: str, xla: bool) -> Extractor:
    from doggan.metrics.vgg import load_vgg19

    return load_vgg19(weights)


EXTRACTORS: dict[str, Callable[[str | Path | None, str, bool], Extractor]] = {
    "inception": _inception,
    "random": _random,
    "nasnet": _nasnet,
    "vgg19": _vgg19,
}
