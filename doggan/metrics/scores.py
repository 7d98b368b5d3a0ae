"""All scores of one set of generated pictures, from features that were computed once."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.errors import DogganError
from doggan.metrics.extractors import Extractor
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.inception_score import inception_score
from doggan.metrics.kid import kid
from doggan.metrics.memorization import mean_distance, mifid, nearest
from doggan.metrics.prdc import DENSITY_K, PRECISION_K, prdc

METRICS = ("fid", "mifid", "kid", "prdc", "is")
DEFAULT_METRICS = ("fid", "mifid", "kid", "prdc")  # "is" needs logits, which not all weights have

_SCORES = {
    "fid": ("fid",),
    "mifid": ("mifid", "memorization_distance"),
    "kid": ("kid", "kid_standard_error"),
    "prdc": ("precision", "recall", "density", "coverage"),
    "is": ("inception_score", "inception_score_std"),
}
# Images that a metric needs: KID's error leaves one out of pairs, and the Inception Score cuts them into ten parts.
_FEWEST = {"fid": 2, "mifid": 2, "kid": 3, "prdc": max(PRECISION_K, DENSITY_K) + 1, "is": 10}


def score_names(metric: str, prefix: str = "") -> tuple[str, ...]:
    """The keys that `compute` returns for one metric, the metric's own score first.

    >>> score_names("kid", "random-")
    ('random-kid', 'random-kid_standard_error')
    """
    return tuple(prefix + name for name in _SCORES[metric])


def check_metrics(metrics: Sequence[str], extractor: Extractor) -> None:
    """Refuse, before hours of work, what `compute` could not give.

    Raises:
        DogganError: a metric has no such name or is asked for twice, or the Inception Score is asked of an
            extractor without logits.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise DogganError(f"There is no metric {metric!r}; choose from {', '.join(METRICS)}.")
        if metrics.count(metric) > 1:
            raise DogganError(f"The metric {metric!r} is asked for twice.")
    if not metrics:
        raise DogganError(f"No metric is asked for; choose from {', '.join(METRICS)}.")
    if "is" in metrics:
        _logits(extractor, np.zeros((1, extractor.dimensions), np.float32))


def check_counts(metrics: Sequence[str], *, generated: int | None = None, real: int | None = None) -> None:
    """Refuse sets that are too small for a metric.

    Args:
        metrics: names of `METRICS`.
        generated, real: how many images there are; None where that is not known yet.

    Raises:
        DogganError: a set is too small.
    """
    for metric in metrics:
        for name, n in (("generated", generated), ("real", None if metric == "is" else real)):
            if n is not None and n < _FEWEST[metric]:
                raise DogganError(
                    f"The metric {metric!r} needs at least {_FEWEST[metric]} {name} images, and there are {n}; give "
                    "more, or choose other metrics."
                )


def check_features(extractor: Extractor, **sets: NDArray[np.float32]) -> None:
    """Refuse features that come of a broken network.

    Args:
        extractor: what made them.
        sets: features [N, D] by what they are of: generated, real, training.

    Raises:
        DogganError: they are not finite or all zero.
    """
    remedy = "fetch its weights again" if getattr(extractor, "has_weights", True) else "look at the pictures"
    for name, rows in sets.items():
        if not np.isfinite(rows).all() or not rows.any():
            raise DogganError(
                f"{extractor.name} gives features that are not finite, or all zero, for the {name} images; {remedy}."
            )


def compute(
    generated: NDArray[np.float32],
    real: NDArray[np.float32],
    extractor: Extractor,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    training: NDArray[np.float32] | None = None,
    distances: NDArray[np.float64] | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Every score asked for, from features.

    Args:
        generated, real: features [N, D] and [M, D] from `extractor`.
        extractor: gives the scores their prefix, MiFID its ε and the Inception Score its logits.
        metrics: names of `METRICS`; decides the order of the result.
        training: features [L, D] of what the generator was trained on, for the memorization distance, where `real`
            are other pictures; None means `real`.
        distances: of `nearest(generated, training)`, where the caller has them already.
        progress: whether to draw a bar on stderr that names the metric in work.

    Returns:
        Score → value, each name with the extractor's prefix: fid; mifid, memorization_distance; kid,
        kid_standard_error; precision, recall, density, coverage; inception_score, inception_score_std. A FID that
        rounding makes negative is 0.

    Raises:
        DogganError: as `check_metrics`; a set is too small for a metric; features that are not finite or all zero.
    """
    check_metrics(metrics, extractor)
    training = real if training is None else training
    check_counts(metrics, generated=len(generated), real=len(real))
    check_features(extractor, generated=generated, real=real, training=training)

    fid: float | None = None

    def frechet() -> float:
        nonlocal fid
        if fid is None:
            fid = max(0.0, frechet_distance(*statistics(real), *statistics(generated)))
        return fid

    def memorization() -> tuple[float, ...]:
        distance = mean_distance(nearest(generated, training)[0] if distances is None else distances)
        return mifid(frechet(), distance, extractor.epsilon), distance

    values: dict[str, Callable[[], tuple[float, ...]]] = {
        "fid": lambda: (frechet(),),
        "mifid": memorization,
        "kid": lambda: tuple(kid(generated, real)),
        "prdc": lambda: tuple(prdc(generated, real)),
        "is": lambda: tuple(inception_score(_logits(extractor, generated))),
    }
    scores: dict[str, float] = {}
    with tqdm(metrics, unit="metric", disable=not progress) as bar:
        for metric in bar:
            bar.set_description(f"computing {metric}")
            scores |= dict(zip(score_names(metric, extractor.prefix), map(float, values[metric]()), strict=True))
    return scores


def _logits(extractor: Extractor, features: NDArray[np.float32]) -> NDArray[np.float32]:
    logits: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = getattr(extractor, "logits", None)
    if logits is None:
        raise DogganError(f"The Inception Score needs the logits of Inception, which {extractor.name} does not have.")
    return logits(features)
