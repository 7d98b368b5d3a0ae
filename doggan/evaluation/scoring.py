"""`evaluate` is the command `doggan evaluate`; `score` is its middle, for pictures that are at hand."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.errors import DogganError
from doggan.evaluation.generated import Generated, read_generated
from doggan.evaluation.report import Evaluation
from doggan.metrics.cache import FeatureCache, Features, features_of
from doggan.metrics.extractors import Extractor, load_extractor
from doggan.metrics.memorization import nearest
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Pictures, Pixels
from doggan.metrics.protocols import RealSet, open_real
from doggan.metrics.scores import DEFAULT_METRICS, check_counts, check_features, check_metrics, compute
from doggan.metrics.standing import standing
from doggan.plots.evidence import Pair, draw_evidence
from doggan.submission import COUNT

EVIDENCE = 12  # pairs in the picture

# The competition had 20,579 photographs and Stanford 20,580; a FID against a part of them is another number.
_ALL_PHOTOGRAPHS = range(20_000, 20_581)
_NASNET = (
    "a private-style score: the network is that of the organisers' second stage, but the private dogs which they "
    "compared with were never published"
)


def evaluate(
    source: str | Path,
    real: str | Path,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    extractor: str = "inception",
    weights: str | Path | None = None,
    precision: str = "float32",
    xla: bool = False,
    split: str | None = None,
    count: int = COUNT,
    seed: int = 0,
    checkpoint: str = "best",
    raw: bool = False,
    bn_samples: int | None = None,
    evidence: str | Path | None = None,
    cache: FeatureCache | None = None,
    progress: bool = False,
) -> Evaluation:
    """Score what is at `source` against what is at `real`.

    Args:
        source, count, seed, checkpoint, raw, bn_samples: see `read_generated`.
        real, split: see `doggan.metrics.protocols.open_real`; what is at `real` decides the protocol. The memorization
            distance is always to training pictures, where those are known.
        metrics: names of `doggan.metrics.scores.METRICS`.
        extractor, weights, precision, xla: see `doggan.metrics.extractors.load_extractor`.
        evidence: a PNG to write: the generated pictures nearest to one that the memorization distance is to, beside it.
        cache: keeps features between calls; None computes all.
        progress: show bars.

    Raises:
        DogganError: something is missing, damaged or does not fit; see the functions named above.
    """
    if evidence is not None:  # said now, not after the features of 30,000 pictures
        _require_writable(Path(evidence))
    network = load_extractor(extractor, weights, precision=precision, xla=xla)
    check_metrics(metrics, network)
    real_set = open_real(real, split)
    check_counts(metrics, real=len(real_set.pictures))
    generated = read_generated(
        source,
        real_set,
        count=count,
        seed=seed,
        checkpoint=checkpoint,
        raw=raw,
        bn_samples=bn_samples,
        progress=progress,
    )
    return score(generated, real_set, network, metrics=metrics, evidence=evidence, cache=cache, progress=progress)


def score(
    generated: Generated,
    real: RealSet,
    extractor: Extractor,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    evidence: str | Path | None = None,
    cache: FeatureCache | None = None,
    progress: bool = False,
    deadline: float | None = None,
) -> Evaluation:
    """Every score asked for, from features computed once.

    Args:
        generated, real: the pictures.
        extractor: makes the features.
        metrics, evidence, cache, progress: see `evaluate`.
        deadline: the `time.monotonic()` at which the features must be there. What follows takes about a minute and a
            half on two busy cores for FID and MiFID of 10,000 against 20,000 images.

    Raises:
        TimeUp: the features cannot be computed before the deadline; raised as soon as the speed shows it.
        DogganError: fewer than two real pictures can be read, or a set is too small for a metric; where the number of
            files shows it, before the features are computed.
    """
    check_metrics(metrics, extractor)
    check_counts(metrics, generated=len(generated.images), real=len(real.pictures))
    measured = "mifid" in metrics or evidence is not None
    learned = real.training if measured else None
    if learned is not None and not len(learned):
        raise DogganError(
            f"The memorization distance is to training pictures, and {real.description} has none beside it; choose the "
            "split 'all', or leave out the metric 'mifid' and the evidence."
        )
    pixels = Pixels(generated.images, generated.names)
    sets = [pixels, real.pictures, *([] if learned is None else [learned])]
    with Pace(sum(map(len, sets)), "features", progress=progress, deadline=deadline) as pace:
        fake, true, *others = [features_of(pictures, extractor, pace, cache) for pictures in sets]
    training = others[0] if others else true
    if len(true.rows) < 2:
        raise DogganError(
            f"Only {len(true.rows)} of {len(real.pictures)} real pictures can be read and a score needs two; give "
            "the folder of the competition's photographs."
        )
    distances = None
    if evidence is not None:
        check_features(extractor, generated=fake.rows, training=training.rows)
        with tqdm(desc="finding the nearest images", bar_format="{desc}: {elapsed}", disable=not progress):
            distances, index = nearest(fake.rows, training.rows)
        found = _pairs(pixels, fake, real.pictures if learned is None else learned, training, distances, index)
        title = (
            f"The {len(found)} of {len(pixels):,} generated pictures nearest to one of {len(training.rows):,} "
            f"{real.distance_to} ones"
        )
        draw_evidence(evidence, found, title, extractor.name, extractor.epsilon)
    scores = compute(
        fake.rows,
        true.rows,
        extractor,
        metrics,
        training=training.rows,
        distances=distances,
        progress=progress,
    )
    return Evaluation(
        scores=scores,
        metrics=tuple(metrics),
        extractor=extractor,
        protocol=real.description,
        n_generated=len(fake.rows),
        n_real=len(true.rows),
        n_generated_skipped=generated.n_skipped,
        n_real_skipped=len(real.pictures) - len(true.rows),
        n_distance=len(training.rows) if measured else 0,
        distance_to=real.distance_to,
        sampled=generated.sampled,
        standing=_standing(scores, real, extractor, len(fake.rows), len(true.rows)),
        notes=(*generated.notes, *_notes(fake, true, extractor, metrics, cache)),
    )


def _standing(
    scores: dict[str, float], real: RealSet, extractor: Extractor, n_generated: int, n_real: int
) -> str | None:
    """Only what the competition itself computed can be placed among its scores."""
    same = real.protocol == "kaggle" and getattr(extractor, "published", False)
    if not same or "mifid" not in scores or n_generated != COUNT or n_real not in _ALL_PHOTOGRAPHS:
        return None
    return str(standing(scores["mifid"]))


def _notes(
    fake: Features, true: Features, extractor: Extractor, metrics: Sequence[str], cache: FeatureCache | None
) -> list[str]:
    notes = []
    fewest = min(len(fake.rows), len(true.rows))
    if {"fid", "mifid"}.intersection(metrics) and fewest <= extractor.dimensions:
        notes.append(
            f"{fewest:,} images are not more than the {extractor.dimensions:,} dimensions of the features, so a "
            "covariance lacks full rank and FID is biased upwards; compare it between equal counts only"
        )
    if extractor.prefix == "nasnet-":
        notes.append(_NASNET)
    if cache is not None and cache.trouble is not None:
        notes.append(cache.trouble)
    return notes


def _pairs(
    generated: Pictures,
    fake: Features,
    real: Pictures,
    true: Features,
    distance: NDArray[np.float64],
    index: NDArray[np.int64],
) -> list[Pair]:
    """The pairs of smallest distance, by what `nearest` found; a generated row that MiFID drops has no nearest."""
    order = np.argsort(distance, kind="stable")[:EVIDENCE]  # NaN, of dropped rows, comes last
    pairs = []
    for i in order[index[order] >= 0].tolist():
        j, k = int(fake.index[i]), int(true.index[index[i]])
        pairs.append(
            Pair(
                generated.read(slice(j, j + 1)).images[0],
                real.read(slice(k, k + 1)).images[0],
                generated.name(j),
                real.name(k),
                float(distance[i]),
            )
        )
    return pairs


def _require_writable(path: Path) -> None:
    if path.is_dir():
        raise DogganError(f"{path} is a folder; name the PNG file to write.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise DogganError(f"{path} cannot be written ({error.strerror or error}); name another PNG file.") from None
