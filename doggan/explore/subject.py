"""What is explored: generated pictures, and the real ones that their generator learned from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.evaluation.generated import Generated, read_generated
from doggan.metrics.protocols import crops_set


@dataclass(frozen=True)
class Subject:
    """Generated pictures beside real ones of their size.

    Attributes:
        name: of where the generated ones come from, for titles.
        generated: RGB; see `Generated`.
        training: what the generator learned from, where it is a run's; else the training split.
        heldout: pictures that it never saw, perhaps none.
    """

    name: str
    generated: Generated
    training: ImageSet
    heldout: ImageSet

    @property
    def samples(self) -> NDArray[np.uint8]:
        """The generated pictures, uint8 [N, H, W, 3], RGB."""
        return self.generated.images


def open_subject(
    source: str | Path,
    real: str | Path | None = None,
    *,
    count: int,
    seed: int = 0,
    checkpoint: str = "best",
    raw: bool = False,
    progress: bool = False,
) -> Subject:
    """The pictures of `source` beside those of an image set.

    Args:
        source: a run, or pictures as a submission, a folder or an `.npz`; see `read_generated`.
        real: the `.npz` of an `ImageSet`; None for the one that a run was trained on.
        count, seed, checkpoint, raw, progress: of a run's samples; see `read_generated`.

    Raises:
        DogganError: something is missing or does not fit; the set is not the one that the run was trained on.
    """
    source = Path(source)
    data, training = open_training(source, real)
    generated = read_generated(
        source,
        crops_set(training, "train", str(real or source)),
        count=count,
        seed=seed,
        checkpoint=checkpoint,
        raw=raw,
        progress=progress,
    )
    return Subject(source.resolve().name, generated, training, data.heldout())


def open_training(source: Path, real: str | Path | None = None) -> tuple[ImageSet, ImageSet]:
    """An image set, cut to the size that a run's networks see, and those of its pictures that training has seen.

    Args:
        source: a run, or anything else.
        real: the `.npz`; None for the one that a run was trained on.

    Raises:
        DogganError: there is no such file, or it is not the one that the run was trained on; or none is named, and
            `source` is no run.
    """
    if not (source / "config.json").exists():
        if real is None:
            raise DogganError(f"{source} is not a run, so name the .npz of real pictures by --real.")
        data = ImageSet.load(real)
        return data, data.training()
    from doggan.runs import Run  # loads Keras, which other sources do without
    from doggan.runs.build import data_hash, training_images

    run = Run.open(source)
    if real is None and not run.data_path.exists():
        raise DogganError(f"{run.data_path}, which {source} was trained on, is gone; give its new place by --real.")
    data = ImageSet.load(real or run.data_path)
    training = training_images(run.config, data)
    run.check_pictures(data_hash(run.config, training))
    size = run.image_shape[0]
    return _cut(data, size), _cut(training, size)


def _cut(images: ImageSet, size: int) -> ImageSet:
    from doggan.runs.scores import centres  # loads Keras too

    return images if images.image_shape[0] == size else replace(images, images=centres(images.images, size))
