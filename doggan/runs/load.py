"""A run's generator, to draw samples with."""

import keras

from doggan.runs.build import build_generator
from doggan.runs.folder import Run
from doggan.training.checkpoints import describe_weights, restore_generator
from doggan.training.statistics import STREAM, reestimate


def load_generator(
    run: Run, which: str = "best", *, raw: bool = False, bn_samples: int | None = 0, progress: bool = False
) -> tuple[keras.Model, int, str]:
    """The generator of a run from the checkpoint "best", "newest" or a step number, its step, and its weights in words.

    The words are for what is printed of samples: "averaged weights, batch norm re-estimated on 20 z".

    Args:
        run, which: the run and its checkpoint.
        raw: the weights as trained, where the checkpoint has an average of them too, which is taken else.
        bn_samples: batch norm's statistics become those of so many fresh z, with classes where it is told them, drawn
            by the run's seed; 0 leaves them, None does what `sampling.bn_samples` of the run says.
        progress: show a bar while they are estimated.

    Raises:
        DogganError: the run has no such checkpoint, or no batch normalisation to re-estimate.
    """
    generator = build_generator(run.config, run.image_shape, run.classes)
    step, averaged = restore_generator(generator, run.checkpoints.find(which), raw=raw)
    if bn_samples is None:
        bn_samples = run.config.sampling.bn_samples
    if bn_samples:
        classes = run.draw_classes(bn_samples, run.config.seed + STREAM)
        reestimate(generator, bn_samples, run.config.seed, progress=progress, classes=classes)
    return generator, step, describe_weights(averaged, bn_samples)
