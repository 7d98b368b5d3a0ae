"""The Inception Score (Salimans et al. 2016, "Improved Techniques for Training GANs", section 4)."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class InceptionScore(NamedTuple):
    """Mean and standard deviation over the splits."""

    mean: float
    std: float


def inception_score(logits: ArrayLike, splits: int = 10) -> InceptionScore:
    """exp E KL(p(y|x) ‖ p(y)): how sure the classifier is of each image and how many classes there are.

    As in the paper's code the images are cut into `splits` consecutive parts, the score is taken of each and
    the mean and the standard deviation (divided by the number of splits) are returned. p(y) is the mean over
    the part, so the order of the images matters a little and small parts score low. All in float64.

    Args:
        logits: [N, C] before the softmax, N ≥ `splits`. Finite.
        splits: number of parts.

    Returns:
        `InceptionScore(mean, std)`: from 1 (the same distribution for every image) to C (every class equally
        often, each with certainty).

    Raises:
        ValueError: fewer images than splits, another shape, or values that are not finite.
    """
    x = np.asarray(logits, np.float64)
    if x.ndim != 2 or not 1 <= splits <= len(x):
        raise ValueError(f"the Inception Score in {splits} splits needs logits [N ≥ {splits}, C], not {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("logits hold values that are not finite")
    bounds = [i * len(x) // splits for i in range(splits + 1)]
    scores = [_score(x[start:stop]) for start, stop in pairwise(bounds)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _score(logits: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    marginal = p.mean(axis=0)
    # A class that no image can have adds nothing: 0 log 0 = 0.
    log_marginal = np.log(marginal, out=np.zeros_like(marginal), where=marginal > 0)
    terms = np.where(p > 0, p * (log_p - log_marginal), 0.0)
    return float(np.exp(terms.sum(axis=1).mean()))
