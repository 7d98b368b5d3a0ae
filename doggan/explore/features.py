"""What a discriminator's features are worth: a linear classifier on them, beside what needs no learning.

Reference: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016, https://arxiv.org/abs/1511.06434, section 5.1.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.cache import Cache, cache_key, kept
from doggan.data.imageset import TRAIN, ImageSet, hash_images
from doggan.errors import DogganError
from doggan.explore.activations import discriminator_features
from doggan.metrics.pictures import Pixels
from doggan.plots.features import features_figure
from doggan.runs import Run
from doggan.runs.build import build_discriminator
from doggan.runs.scores import centres
from doggan.training.checkpoints import restore_discriminator

_GRID = (0.01, 0.1, 1.0, 10.0)  # of C
_FEWEST = 100  # held-out pictures, to be the test
_TEST_SHARE = 0.25
_COLOURS = 8  # bins of a channel

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Quality:
    """How well a linear classifier does on some features.

    Attributes:
        name: of the features.
        dimensions: of each picture's.
        c: the C of the L2-SVM, chosen on a part of the pictures that it learns from.
        correct, n: pictures of the test that it named rightly, and all.
    """

    name: str
    dimensions: int
    c: float
    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% confidence interval of the accuracy, by Wilson's score."""
        from scipy.stats import binomtest

        found = binomtest(self.correct, self.n).proportion_ci(0.95, "wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.name}: {self.accuracy:.1%} ({low:.1%} to {high:.1%}), {self.dimensions:,} dimensions, C {self.c:g}"
        )


@dataclass(frozen=True)
class Comparison:
    """Features side by side on the same pictures.

    Attributes:
        qualities: the discriminator's first.
        chance: accuracy of naming the most frequent class always.
        classes: how many.
        n_train, n_test: pictures.
        seen: whether training has seen the pictures of the test, without their labels.
    """

    qualities: tuple[Quality, ...]
    chance: float
    classes: int
    n_train: int
    n_test: int
    seen: bool


def linear_quality(
    name: str, train: Features, labels: NDArray[np.int32], test: Features, truth: NDArray[np.int32], seed: int = 0
) -> Quality:
    """Fit scikit-learn's linear L2-SVM (squared hinge, L2 penalty, one against the rest), and test it.

    C is the one of 0.01, 0.1, 1 and 10 that is best on a quarter of the pictures to learn from; then all are learned
    from.

    Args:
        name: of the features.
        train, labels: float32 [N, D], and int32 [N] of at least two classes, each with at least two pictures.
        test, truth: float32 [M, D] and int32 [M].
        seed: of the split, and of liblinear.
    """
    from sklearn.model_selection import train_test_split
    from sklearn.svm import LinearSVC

    fitted, held = train_test_split(np.arange(len(train)), test_size=_TEST_SHARE, random_state=seed)

    def svm(c: float) -> LinearSVC:
        return LinearSVC(C=c, random_state=seed, max_iter=5000)

    best = max(_GRID, key=lambda c: svm(c).fit(train[fitted], labels[fitted]).score(train[held], labels[held]))
    right = svm(best).fit(train, labels).predict(test) == truth
    return Quality(name, train.shape[1], best, int(right.sum()), len(truth))


def colour_histogram(images: NDArray[np.uint8]) -> Features:
    """The share of each of 8×8×8 colours, of length 1: float32 [N, 512] of uint8 [N, H, W, 1 or 3]."""
    colours = Pixels(images).images.astype(np.int32) * _COLOURS // 256
    index = (colours[..., 0] * _COLOURS + colours[..., 1]) * _COLOURS + colours[..., 2]
    counts = np.stack([np.bincount(each.ravel(), minlength=_COLOURS**3) for each in index])
    return _unit(counts.astype(np.float32))


def raw_pixels(images: NDArray[np.uint8]) -> Features:
    """Pixels in [-1, 1], flattened, of length 1: float32 [N, H·W·C]."""
    return _unit(images.reshape(len(images), -1).astype(np.float32) / np.float32(127.5) - 1)


def compare_features(
    run: Run,
    data: ImageSet,
    *,
    which: str = "best",
    classes: int = 10,
    n: int = 3000,
    seed: int = 0,
    cache: Cache | None = None,
    progress: bool = False,
) -> Comparison:
    """A linear classifier on the features of a run's discriminator, and on those of other kinds on the same pictures.

    These are the same network's, untrained; the pixels; and the colours.

    The test are held-out pictures, where there are 100 of these classes; else a quarter of the training pictures, which
    the discriminator has seen, though not their labels. What each classifier gives is kept, so an interrupted call goes
    on after the last one.

    Args:
        run: with a convolutional discriminator for pictures of the size and channels of `data`.
        data: labelled pictures, which need not be those that the run was trained on.
        which: checkpoint; see `Checkpoints.find`.
        classes: the most frequent ones only; 0 for all.
        n: pictures to learn from, at most, chosen by `seed`.
        seed: see above; of the classifiers too.
        cache: keeps the results; None computes all.
        progress: show a bar.

    Raises:
        DogganError: there are no labels, fewer than two classes, or pictures that do not fit the network.
    """
    train, test, seen = _split(data, classes, n, seed)
    size, _, channels = run.image_shape
    if data.image_shape[0] < size or data.image_shape[2] != channels:
        raise DogganError(f"The pictures are {data.image_shape} and the run's {run.image_shape}; prepare such ones.")
    sets = [centres(images.images, size) for images in (train, test)]
    path = run.checkpoints.find(which)

    def features_of(trained: bool) -> Callable[[NDArray[np.uint8]], Features]:
        discriminator = build_discriminator(run.config, run.image_shape, run.classes)
        if trained:
            restore_discriminator(discriminator, path)
        return lambda images: discriminator_features(discriminator, images)

    makers: dict[str, Callable[[], Callable[[NDArray[np.uint8]], Features]]] = {
        "discriminator": lambda: features_of(True),
        "the same, untrained": lambda: features_of(False),
        "raw pixels": lambda: raw_pixels,
        "colour histogram": lambda: colour_histogram,
    }
    truths = [images.labels for images in (train, test)]
    pictures = [hash_images(images, labels) for images, labels in zip(sets, truths, strict=True)]
    checkpoint = hashlib.sha256(path.read_bytes()).hexdigest()
    qualities = []
    with tqdm(makers.items(), desc="classifiers", disable=not progress) as bar:
        for name, make in bar:
            bar.set_postfix_str(name)

            def compute(name: str = name, make: Callable[[], Callable[..., Features]] = make) -> dict[str, np.ndarray]:
                rows = [make()(images) for images in sets]
                found = linear_quality(name, rows[0], truths[0], rows[1], truths[1], seed)  # type: ignore[arg-type]
                return {"figures": np.array([found.dimensions, found.c, found.correct])}

            key = cache_key("features 1", name, checkpoint, *pictures, seed, _GRID)
            dimensions, c, correct = kept(cache, key, compute)["figures"].tolist()
            qualities.append(Quality(name, int(dimensions), c, int(correct), len(test)))
    labels, truth = truths
    assert labels is not None
    assert truth is not None
    values, counts = np.unique(labels, return_counts=True)
    chance = float(np.mean(truth == values[counts.argmax()]))
    return Comparison(tuple(qualities), chance, len(values), len(train), len(test), seen)


def draw_features(run: Run, path: Path, data: ImageSet, **options: object) -> Comparison:
    """Compare features and draw it; `options` are those of `compare_features`.

    Raises:
        DogganError: as `compare_features`.
        OSError: the file cannot be written.
    """
    found = compare_features(run, data, **options)  # type: ignore[arg-type]
    features_figure(path, found, run.folder.resolve().name)
    return found


def _split(data: ImageSet, classes: int, n: int, seed: int) -> tuple[ImageSet, ImageSet, bool]:
    """Pictures to learn from and to test with, of the most frequent classes, and whether training has seen the test."""
    if data.labels is None:
        raise DogganError("The pictures have no labels to learn; give a data set with classes by --real.")
    counts = np.bincount(data.labels[data.split == TRAIN], minlength=len(data.class_names))
    frequent = np.argsort(-counts, kind="stable")[: classes or None]
    chosen = frequent[counts[frequent] >= 4]
    if len(chosen) < 2:
        raise DogganError("A classifier needs two classes with four training pictures each; give another --real.")
    data = data.select(np.isin(data.labels, chosen))
    train, test = data.training(), data.heldout()
    order = np.random.default_rng(seed).permutation(len(train))
    seen = len(test) < _FEWEST
    if seen:
        cut = int(len(train) * _TEST_SHARE)
        train, test = train.select(order[cut:]), train.select(order[:cut])
        order = np.arange(len(train))
    return train.select(np.sort(order[:n])), test, seen


def _unit(rows: Features) -> Features:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
