"""What the explorations of z share: samples by their numbers, a class for each, pictures that are not rounded."""

import keras
import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.runs import Run
from doggan.sampling import filled

_BATCH_SIZE = 64


def sample_numbers(text: str, option: str, limit: int) -> list[int]:
    """The numbers of samples in "3,7,9", which count from 0 along the rows of a sheet: rows of `draw_z`.

    Args:
        text: what the user typed.
        option: where it was typed, for messages.
        limit: how many samples there are.

    Raises:
        DogganError: there are no numbers, something is not a number, or it is none of a sample.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise DogganError(f"{option} takes numbers of samples with commas between them, as in 3,7,9, and not {text!r}.")
    numbers = [int(word) for word in words]
    if max(numbers) >= limit:
        raise DogganError(f"There is no sample {max(numbers)} for {option}; choose from 0 to {limit - 1}.")
    return numbers


def classes_for(run: Run, n: int, class_name: str | None) -> NDArray[np.int32] | None:
    """Classes int32 [n] for samples of a run: all of one class, or spread over all; None where it is told none.

    Raises:
        DogganError: the run's networks know no such class, or none at all.
    """
    labels = run.find_classes([class_name] if class_name is not None else [])
    if run.classes is None:
        return None
    return run.classes.spread(n) if class_name is None else np.full(n, labels[0], np.int32)


def unrounded_pictures(
    generator: keras.Model, z: NDArray[np.floating], classes: NDArray[np.int32] | None = None
) -> NDArray[np.float32]:
    """Pictures on the scale of uint8 that are not rounded: float32 [..., H, W, C] from 0 to 255.

    Args:
        generator: z [B, D], or z and classes [B] → pictures [B, H, W, C] in [-1, 1].
        z: [..., D]; it is rounded to float32 here, and not before.
        classes: int32 [...], where the generator is conditional.

    Raises:
        DogganError: the generator returns NaN or infinity.
    """
    rows = z.reshape(-1, z.shape[-1]).astype(np.float32)
    labels = None if classes is None else np.broadcast_to(classes, z.shape[:-1]).reshape(-1)
    size = min(_BATCH_SIZE, len(rows))
    made = []
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        inputs = filled(size, rows[part], None if labels is None else labels[part])
        made.append(generator.predict_on_batch(inputs)[: len(rows[part])])
    pictures = np.concatenate(made).astype(np.float32)
    if not np.isfinite(pictures).all():
        raise DogganError("The generator returns NaN or infinity: its training diverged, so use an earlier checkpoint.")
    return ((pictures + np.float32(1)) * np.float32(127.5)).clip(0, 255).reshape(*z.shape[:-1], *pictures.shape[1:])


def rounded(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pictures of `unrounded_pictures` in eight bits."""
    return np.rint(pictures).astype(np.uint8)
