"""Pictures from a generator: z by NumPy, a compiled forward pass in batches, one rounding to eight bits."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError

if TYPE_CHECKING:  # keras.Model stands in signatures only: whoever hands the generator in has imported Keras
    import keras

BATCH_SIZE = 100


def draw_z(n: int, latent_dim: int, seed: int, truncation: float | None = None) -> NDArray[np.float32]:
    """Draw z from the standard normal distribution; row i depends on `seed`, `latent_dim` and i only.

    NumPy draws it, so it is the same on every backend and for every batch size, and a longer draw begins
    with a shorter one.

    With `truncation` t every value beyond ±t is drawn again until it lies within (the truncation trick of
    Brock, Donahue & Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019,
    section 3.1: less variety for more typical pictures). What redrawing ends with is a draw from the normal
    distribution cut at ±t, so it is taken from there at once, Φ⁻¹(Φ(−t) + u (Φ(t) − Φ(−t))) with u uniform.
    Values within ±t are kept, so one seed shows similar pictures at neighbouring truncations.

    Args:
        n: number of rows.
        latent_dim: length of one z.
        seed: non-negative.
        truncation: t > 0, in standard deviations; None does not truncate.

    Returns:
        float32 [n, latent_dim].

    Raises:
        DogganError: `truncation` is not a positive number, or `seed` is negative.
    """
    if seed < 0:
        raise DogganError(f"The seed must not be negative, and is {seed}.")
    first, again = (np.random.default_rng((seed, stream)) for stream in (0, 1))
    z = first.standard_normal((n, latent_dim), dtype=np.float32)
    if truncation is None:
        return z
    if not truncation > 0:
        raise DogganError(f"The truncation must be a positive number of standard deviations, and is {truncation}.")

    from scipy.special import ndtr, ndtri

    low, high = ndtr(-truncation), ndtr(truncation)
    redrawn = ndtri(low + (high - low) * again.random((n, latent_dim)))
    return np.where(np.abs(z) > truncation, redrawn.clip(-truncation, truncation), z).astype(np.float32)


def quantise(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """[-1, 1] → 0 … 255, rounded to the nearest level: the inverse of u ↦ u / 127.5 − 1 for every level u.

    Truncating instead darkens every picture by half a level and almost never gives 255. Values outside
    [-1, 1] are clipped.

    Args:
        images: floats of any shape.

    Returns:
        uint8 of the same shape.

    Raises:
        DogganError: a value is NaN or infinite.
    """
    images = np.asarray(images, dtype=np.float32)
    if not np.isfinite(images).all():
        raise DogganError("The generator returns NaN or infinity: its training diverged, so use an earlier checkpoint.")
    return np.rint((images + 1.0) * 127.5).clip(0, 255).astype(np.uint8)


def latent_dim(generator: "keras.Model") -> int:
    """The length of its z, which is the first input or the only one."""
    return int(generator.inputs[0].shape[-1])


def is_conditional(generator: "keras.Model") -> bool:
    """Whether a generator, or a discriminator, is told classes, as a second input."""
    return len(generator.inputs) == 2


def generate(
    generator: "keras.Model",
    n: int,
    *,
    seed: int,
    classes: NDArray[np.int32] | None = None,
    batch_size: int = BATCH_SIZE,
    truncation: float | None = None,
    progress: bool = False,
) -> Iterator[NDArray[np.uint8]]:
    """Make `n` pictures, a batch at a time.

    The forward pass is inference (moving statistics, no dropout) through `predict_on_batch`, which is
    compiled once on every backend and kept by the model. The last batch is filled up and cut afterwards, so
    that there is one shape to compile for.

    Args:
        generator: z float32 [B, latent_dim], or z and classes int32 [B] → pictures in [-1, 1], [B, H, W, C].
        n: number of pictures.
        seed: decides z; see `draw_z`.
        classes: int32 [n], where the generator is conditional; see `doggan.data.classes.Classes`.
        batch_size: pictures per forward pass; it decides memory and speed, not z.
        truncation: see `draw_z`.
        progress: show a bar.

    Yields:
        uint8 [B, H, W, C], RGB; the last batch may be shorter.

    Raises:
        DogganError: the generator returns NaN or infinity; a setting is out of range.
        ValueError: a conditional generator without `classes`, or the reverse.
    """
    if batch_size < 1:
        raise DogganError(f"The batch size must be at least 1, and is {batch_size}.")
    if is_conditional(generator) != (classes is not None):
        raise ValueError("classes are given exactly where the generator is conditional")
    if classes is not None and len(classes) != n:
        raise ValueError(f"{len(classes)} classes for {n} pictures")
    from tqdm import tqdm

    z = draw_z(n, latent_dim(generator), seed, truncation)
    with tqdm(total=n, desc="sampling", unit=" images", disable=not progress) as bar:
        for start in range(0, n, batch_size):
            rows = slice(start, start + batch_size)
            inputs = filled(batch_size, z[rows], None if classes is None else classes[rows])
            made = len(z[rows])
            yield quantise(generator.predict_on_batch(inputs)[:made])
            bar.update(made)


def sample_pictures(
    generator: "keras.Model",
    n: int,
    *,
    seed: int,
    classes: NDArray[np.int32] | None = None,
    truncation: float | None = None,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> NDArray[np.uint8]:
    """What `generate` makes in one array, uint8 [n, H, W, C], n > 0; the arguments are its."""
    made = generate(
        generator, n, seed=seed, classes=classes, batch_size=batch_size, truncation=truncation, progress=progress
    )
    return np.concatenate(list(made))


def sample_of_classes(
    generator: "keras.Model", labels: Sequence[int], n: int, *, seed: int, truncation: float | None = None
) -> NDArray[np.uint8]:
    """Pictures of each class from the same z: uint8 [len(labels), n, H, W, C].

    Args:
        generator: a conditional one.
        labels: the classes.
        n, seed, truncation: of each; see `generate`.
    """
    rows = [
        sample_pictures(
            generator, n, seed=seed, classes=np.full(n, label, np.int32), truncation=truncation, batch_size=n
        )
        for label in labels
    ]
    return np.stack(rows)


def filled(batch_size: int, z: NDArray[np.float32], classes: NDArray[np.int32] | None) -> Any:
    """The inputs of a generator, repeated until there are `batch_size` rows: so there is one shape to compile for."""
    rows = np.resize(z, (batch_size, z.shape[1]))
    return rows if classes is None else [rows, np.resize(classes, batch_size)]


def sampling_rate(generator: "keras.Model", *, batch_size: int = BATCH_SIZE, seconds: float = 1.0) -> float:
    """Pictures per second of the forward pass alone, for estimating how long `generate` will take.

    The first batch compiles and is not counted; then batches run until `seconds` are over, at least one.
    """
    some_class = np.zeros(batch_size, np.int32) if is_conditional(generator) else None
    inputs = filled(batch_size, draw_z(batch_size, latent_dim(generator), seed=0), some_class)
    generator.predict_on_batch(inputs)
    start, batches = time.perf_counter(), 0
    while not batches or time.perf_counter() - start < seconds:
        generator.predict_on_batch(inputs)
        batches += 1
    return batches * batch_size / (time.perf_counter() - start)
