"""`evaluate` is the command `doggan evaluate`; `score` is its middle, for pictures that are at hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from doggan.errors import DogganError
from doggan.evaluation.generated import Generated, read_generated
from doggan.evaluation.report import Evaluation
from doggan.metrics.cache import FeatureCache, Features, features_of
from doggan.metrics.extractors import Extractor, load_extractor
from doggan.metrics.memorization import nearest
from doggan.metrics.pace import Pace
from doggan.metrics.pictures import Pictures, Pixels
from doggan.metrics.protocols import RealSet, open_real
from doggan.metrics.scores import DEFAULT_METRICS, check_metrics, compute
from doggan.metrics.standing import standing
from doggan.plots.evidence import Pair, draw_evidence
from doggan.submission import COUNT

EVIDENCE = 12  # pairs in the picture

_PUBLISHED = "inception-2015-12-05 pool_3"  # the name of Inception with the published weights in float32
_FEWEST_PHOTOGRAPHS = 20_000  # of the competition's 20,579; a FID against a part of them is another number


def evaluate(
    source: str | Path,
    real: str | Path,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    extractor: str = "inception",
    weights: str | Path | None = None,
    precision: str = "float32",
    xla: bool = False,
    split: str = "train",
    count: int = COUNT,
    seed: int = 0,
    checkpoint: str = "best",
    evidence: str | Path | None = None,
    cache: FeatureCache | None = None,
    progress: bool = False,
) -> Evaluation:
    """Score what is at `source` against what is at `real`.

    Args:
        source, count, seed, checkpoint: see `read_generated`.
        real, split: see `doggan.metrics.protocols.open_real`; what is at `real` decides the protocol.
        metrics: names of `doggan.metrics.scores.METRICS`.
        extractor, weights, precision, xla: see `doggan.metrics.extractors.load_extractor`.
        evidence: a PNG to write: the generated pictures nearest to a real one, beside it.
        cache: keeps features between calls; None computes all.
        progress: show bars.

    Raises:
        DogganError: something is missing, damaged or does not fit; see the functions named above.
    """
    if evidence is not None and Path(evidence).is_dir():  # said now, not after the features of 30,000 pictures
        raise DogganError(f"{evidence} is a folder; name the PNG file to write.")
    network = load_extractor(extractor, weights, precision=precision, xla=xla)
    check_metrics(metrics, network)
    real_set = open_real(real, split)
    generated = read_generated(source, real_set, count=count, seed=seed, checkpoint=checkpoint, progress=progress)
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
        DogganError: fewer than two real pictures can be read, or too few for a metric.
    """
    check_metrics(metrics, extractor)
    pixels = Pixels(generated.images, generated.names)
    total = len(pixels) + len(real.pictures)
    with Pace(total, "features", progress=progress, deadline=deadline) as pace:
        fake = features_of(pixels, extractor, pace, cache)
        true = features_of(real.pictures, extractor, pace, cache)
    if len(true.rows) < 2:
        raise DogganError(
            f"Only {len(true.rows)} of {len(real.pictures)} real pictures can be read and a score needs two; give "
            "the folder of the competition's photographs."
        )
    scores = compute(fake.rows, true.rows, extractor, metrics)
    if evidence is not None:
        _draw(evidence, pixels, fake, real.pictures, true, extractor)
    return Evaluation(
        scores=scores,
        metrics=tuple(metrics),
        extractor=extractor,
        protocol=real.description,
        n_generated=len(fake.rows),
        n_real=len(true.rows),
        n_generated_skipped=generated.n_skipped,
        n_real_skipped=len(real.pictures) - len(true.rows),
        standing=_standing(scores, real, extractor, len(fake.rows), len(true.rows)),
        notes=(*generated.notes, *_notes(fake, true, extractor, metrics, cache)),
    )


def _standing(
    scores: dict[str, float], real: RealSet, extractor: Extractor, n_generated: int, n_real: int
) -> str | None:
    """Only what the competition itself computed can be placed among its scores."""
    same = real.protocol == "kaggle" and extractor.name == _PUBLISHED
    if not same or "mifid" not in scores or n_generated != COUNT or n_real < _FEWEST_PHOTOGRAPHS:
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
    if cache is not None and cache.trouble is not None:
        notes.append(cache.trouble)
    return notes


def _draw(
    path: str | Path, generated: Pictures, fake: Features, real: Pictures, true: Features, extractor: Extractor
) -> None:
    """The pairs of smallest distance; a generated row that MiFID drops has no nearest."""
    distance, index = nearest(fake.rows, true.rows)
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
    title = f"The {len(pairs)} of {len(generated):,} generated pictures nearest to one of {len(true.rows):,} real ones"
    draw_evidence(path, pairs, title, extractor.name, extractor.epsilon)
