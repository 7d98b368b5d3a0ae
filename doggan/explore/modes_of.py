"""`doggan.explore.modes` of pictures: features, and the classes that they and a run have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.data.imageset import ImageSet
from doggan.explore.modes import Modes, analyse_modes, predict_classes
from doggan.explore.subject import Subject
from doggan.metrics.cache import FeatureCache, features_of
from doggan.metrics.extractors import Extractor
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Pixels


def modes_of(
    subject: Subject,
    extractor: Extractor,
    *,
    source: Path | None = None,
    n_clusters: int = 100,
    real_count: int = 10_000,
    seed: int = 0,
    cache: FeatureCache | None = None,
    progress: bool = False,
) -> Modes:
    """How diverse the samples of a subject are, beside held-out pictures.

    Where no pictures were held out a fifth of the training pictures takes their place, and is not used for the rest.

    Args:
        subject: samples and real pictures.
        extractor: what makes the features.
        source: the run that the samples are of, drawn with `seed`; where it is conditional the classes that it was
            told are compared with those predicted. None for pictures of other origin.
        n_clusters: of training pictures.
        real_count: training pictures at most, drawn by `seed`.
        seed: decides everything that is drawn.
        cache: where features are looked for and kept; None for neither.
        progress: whether to draw a bar.

    Raises:
        DogganError: there are too few pictures of a kind, or the extractor cannot take them.
    """
    training, heldout = _real(subject, real_count, seed)
    sets = [subject.samples, training.images, heldout.images]
    with Pace(sum(map(len, sets)), "features", progress=progress) as pace:
        rows = [features_of(Pixels(images), extractor, pace, cache).rows for images in sets]
    samples, known, unseen = rows
    found = analyse_modes(samples, known, unseen, n_clusters=n_clusters, seed=seed, extractor=extractor.name)
    if training.labels is None or heldout.labels is None or len(np.unique(training.labels)) < 2:
        return found
    classes = predict_classes(
        samples,
        (known, training.labels),
        (unseen, heldout.labels),
        training.class_names,
        _asked(subject, source, training.class_names, seed),
    )
    return replace(found, classes=classes)


def _real(subject: Subject, real_count: int, seed: int) -> tuple[ImageSet, ImageSet]:
    training, heldout = subject.training, subject.heldout
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(training))
    if len(heldout) < 2:
        part = min(len(subject.samples), len(training) // 5)
        heldout, order = training.select(np.sort(order[:part])), order[part:]
    used = np.sort(rng.permutation(len(heldout))[: len(subject.samples)])
    return training.select(np.sort(order[:real_count])), heldout.select(used)


def _asked(subject: Subject, source: Path | None, names: tuple[str, ...], seed: int) -> NDArray[np.int32] | None:
    """The classes that a run was told when the samples were drawn; None where it was told none, or others."""
    if source is None or subject.generated.sampled is None:
        return None
    from doggan.runs import Run  # loads Keras, which other sources do without

    run = Run.open(source)
    if run.classes is None or run.classes.names != names:
        return None
    return run.draw_classes(len(subject.samples), seed)
