"""What a report shows of a run's networks: its classes, what its samples are near to, and where it looks."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.explore.attention import draw_attention
from doggan.explore.neighbors import find_neighbors
from doggan.explore.subject import open_subject
from doggan.plots.sheets import display_name, read_png
from doggan.reporting.pictures import Picture, picture, sheet
from doggan.runs import Run, load_generator
from doggan.sampling import sample_of_classes

T = TypeVar("T")

_NEIGHBORS = 12
_HELDOUT = 200  # held-out pictures that say how near is usual
_CLASSES, _IN_A_ROW = 12, 8
_ATTENDING = 3


@dataclass(frozen=True)
class Nearest:
    """Samples beside their nearest training pictures.

    Attributes:
        pairs: (sample, nearest, distance, of which photograph), the nearest first.
        summary: the figures in a sentence.
    """

    pairs: list[tuple[Picture, Picture, str, str]]
    summary: str


@dataclass(frozen=True)
class Seen:
    """What the networks of a run show, or sentences why not.

    Attributes:
        classes: (name, pictures from the same z in every row), of conditional runs.
        nearest: None where training pictures are not to be had.
        attention: a figure for each network that has self-attention.
        problems: a sentence for each of "classes", "nearest" and "attention" that could not be made.
    """

    classes: list[tuple[str, Picture]]
    nearest: Nearest | None
    attention: list[Picture]
    problems: dict[str, str]


def look(run: Run) -> Seen:
    """Sample from the run's best checkpoint, and look at it; what cannot be had is a sentence."""
    problems: dict[str, str] = {}

    def tried(name: str, make: Callable[[Run], T], otherwise: T) -> T:
        try:
            return make(run)
        except DogganError as error:
            problems[name] = str(error)
            return otherwise

    no_classes: list[tuple[str, Picture]] = []
    classes = tried("classes", _classes, no_classes)
    nearest = tried("nearest", _nearest, None)
    return Seen(classes, nearest, tried("attention", _attention, []), problems)


def _classes(run: Run) -> list[tuple[str, Picture]]:
    if run.classes is None:
        return []
    generator, *_ = load_generator(run)
    labels = _spread(np.array(run.find_classes([])), _CLASSES)
    rows = sample_of_classes(generator, labels.tolist(), _IN_A_ROW, seed=run.config.seed)
    names = [display_name(run.classes.names[label]) for label in labels]
    return [
        (name, sheet(pictures, f"{_IN_A_ROW} samples of {name}", columns=_IN_A_ROW))
        for name, pictures in zip(names, rows, strict=True)
    ]


def _nearest(run: Run) -> Nearest:
    subject = open_subject(run.folder, count=_NEIGHBORS)
    heldout = subject.heldout.images[_spread(np.arange(len(subject.heldout)), _HELDOUT)]
    training = subject.training
    (found,) = find_neighbors(subject.samples, training.images, heldout, measures=("l2",))
    pairs = []
    for i in np.argsort(found.distance):
        j = int(found.index[i])
        kind = "" if training.labels is None else f" of {display_name(training.class_names[training.labels[j]])}"
        source = str(training.source_ids[j])
        near = picture(training.images[j], f"The nearest training picture{kind}, from {source}")
        pairs.append((picture(subject.samples[i], f"Sample {i}"), near, f"{found.distance[i]:.1f}", source))
    usual = ""
    if found.heldout is not None:
        usual = (
            f" Of {len(heldout)} held-out pictures, which nobody can have copied, the median is "
            f"{np.median(found.heldout):.1f}, and one in a hundred is nearer than {found.threshold:.1f}."
        )
    summary = (
        f"{len(pairs)} samples of the best checkpoint and of {len(training):,} training pictures the one nearest to "
        f"each, by {found.label}: the median is {np.median(found.distance):.1f}.{usual}"
    )
    return Nearest(pairs, summary)


def _attention(run: Run) -> list[Picture]:
    attending = [name for name in ("generator", "discriminator") if getattr(run.config, name).attention]
    shown = []
    with tempfile.TemporaryDirectory() as folder:
        for name in attending:
            path = Path(folder) / f"{name}.png"
            draw_attention(run, path, n=_ATTENDING, network=name)
            alt = f"{_ATTENDING} samples, and what four positions of each attend to in the {name}"
            shown.append(picture(read_png(path), alt, f"the {name}", exact=False))
    return shown


def _spread(values: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """All values, or `most` of them at even distances."""
    return values[np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)]
