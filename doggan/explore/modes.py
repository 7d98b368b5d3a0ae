"""How many modes of the data samples reach: near-identical samples, clusters of real pictures, predicted classes.

Every figure stands beside that of held-out real pictures, since what is low for one extractor is high for another.

Reference of NDB: Richardson, Weiss: On GANs and GMMs, NeurIPS 2018, section 4, https://arxiv.org/abs/1805.12462.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.explore.groups import Groups, mean_distance, near_identical, nearest_other

SIGNIFICANCE = 0.05
_PERCENTILE = 1.0  # of the real pictures' nearest-neighbour distances, below which samples are near-identical
_COLLAPSED = 0.5  # share of samples in groups
_FEWER = 0.8  # of the clusters that held-out pictures hit


@dataclass(frozen=True)
class Clusters:
    """Which clusters of real training pictures some pictures fall into.

    Attributes:
        training, samples, heldout: int64 [K], pictures in each cluster; the last two are of equally many pictures.
    """

    training: NDArray[np.int64]
    samples: NDArray[np.int64]
    heldout: NDArray[np.int64]

    @property
    def hit(self) -> tuple[int, int]:
        """Clusters with at least one sample, and with at least one held-out picture."""
        return int((self.samples > 0).sum()), int((self.heldout > 0).sum())

    @property
    def ndb(self) -> tuple[int, int]:
        """Clusters whose share of samples, and of held-out pictures, differs significantly from that of training."""
        return ndb(self.training, self.samples), ndb(self.training, self.heldout)

    def __str__(self) -> str:
        n, k = self.samples.sum(), len(self.training)
        (hit, hit_real), (bins, bins_real) = self.hit, self.ndb
        share, share_real = self.samples.max() / n, self.heldout.max() / n
        return (
            f"{hit} of {k} clusters hit by {n:,} samples (held-out: {hit_real}), NDB {bins} (held-out: {bins_real}), "
            f"largest cluster {share:.1%} of the samples (held-out: {share_real:.1%})"
        )


@dataclass(frozen=True)
class PredictedClasses:
    """Classes that logistic regression on the features predicts.

    Attributes:
        names: of the classes.
        accuracy: on held-out real pictures.
        chance: share of the most frequent class among them: what guessing gives.
        real: float64 [C], true shares of the classes among the real pictures.
        heldout, samples: float64 [C], shares predicted of held-out pictures and of samples.
        as_asked: share of samples predicted as the class that their generator was told; None where it was told none.
    """

    names: tuple[str, ...]
    accuracy: float
    chance: float
    real: NDArray[np.float64]
    heldout: NDArray[np.float64]
    samples: NDArray[np.float64]
    as_asked: float | None = None

    @property
    def believable(self) -> bool:
        """Whether at least half of the held-out pictures are predicted correctly, and many more than by guessing."""
        return self.accuracy >= max(0.5, self.chance + 0.1)

    @property
    def distance(self) -> tuple[float, float]:
        """Total variation distance from the real shares to those predicted of samples, and of held-out pictures."""
        samples, heldout = (float(np.abs(each - self.real).sum() / 2) for each in (self.samples, self.heldout))
        return samples, heldout

    def __str__(self) -> str:
        samples, heldout = self.distance
        text = (
            f"classes predicted with {self.accuracy:.1%} accuracy on held-out pictures (guessing: {self.chance:.1%}), "
            f"{'to be believed' if self.believable else 'too low to believe what follows'}: total variation distance "
            f"of the samples' shares from the real ones {samples:.3f} (held-out: {heldout:.3f})"
        )
        if self.as_asked is not None:
            text += f", {self.as_asked:.1%} of the samples are predicted as the class asked for"
        return text


@dataclass(frozen=True)
class Modes:
    """How diverse samples are.

    Attributes:
        distance: mean feature distance of pairs of samples, and of pairs of held-out pictures.
        threshold: feature distance below which pictures are near-identical: below it 1% of the real pictures have
            their nearest neighbour.
        groups, heldout_groups: of samples that are near-identical, and of as many held-out pictures as `n_heldout`.
        n_samples, n_heldout: N and how many held-out pictures were compared.
        clusters: see there.
        classes: None where there are no labels.
        extractor: name of what made the features.
    """

    distance: tuple[float, float]
    threshold: float
    groups: Groups
    heldout_groups: Groups
    n_samples: int
    n_heldout: int
    clusters: Clusters
    classes: PredictedClasses | None
    extractor: str

    @property
    def collapsed(self) -> bool:
        """Whether at least half of the samples, and twice the share of held-out pictures, are in groups."""
        share = self.groups.grouped / self.n_samples
        return share >= _COLLAPSED and share >= 2 * self.heldout_groups.grouped / self.n_heldout

    @property
    def verdict(self) -> str:
        """The finding in words."""
        n, groups = self.n_samples, self.groups
        held = f"{_count(len(groups), 'group')} {'holds' if len(groups) == 1 else 'hold'} {groups.grouped:,} of {n:,}"
        if self.collapsed:
            return f"{held} samples: collapsed"
        hit, hit_real = self.clusters.hit
        bins, bins_real = self.clusters.ndb
        clusters = len(self.clusters.training)
        if hit < _FEWER * hit_real:
            return f"samples hit {hit} of {clusters} clusters where real pictures hit {hit_real}: modes are missing"
        share, real = groups.grouped / n, self.heldout_groups.grouped / self.n_heldout
        if share > 0.05 and share > 3 * real:
            return f"{held} samples: some are repeated"
        if bins - bins_real > clusters / 5:
            return f"no collapse, but {bins} of {clusters} clusters have another share than in the data: unbalanced"
        repeated = f"{held} samples" if len(groups) else "no two samples are near-identical"
        return f"{repeated} and {hit} of {clusters} clusters are hit: no sign of collapse"

    def __str__(self) -> str:
        samples, real = self.distance
        largest, largest_real = self.groups.largest, self.heldout_groups.largest
        lines = [
            f"mean pairwise distance {samples:.4g}, {samples / real:.2f} of that of held-out pictures ({real:.4g}), "
            f"by {self.extractor}",
            f"{self.groups.grouped:,} of {self.n_samples:,} samples in {_count(len(self.groups), 'group')} of "
            f"near-identical ones, the largest of {largest:,}; of {self.n_heldout:,} held-out pictures "
            f"{self.heldout_groups.grouped:,} in {len(self.heldout_groups):,}, the largest of {largest_real:,} "
            f"(nearer than {self.threshold:.4g}, as 1% of real pictures are to another)",
            str(self.clusters),
        ]
        if self.classes is not None:
            lines.append(str(self.classes))
        return "\n".join([*lines, f"verdict: {self.verdict}"])


def ndb(reference: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
    """Number of statistically different bins: by a two-proportion z-test with pooled variance at 5%, two-sided.

    Args:
        reference, counts: int64 [K], pictures of the two sets in each bin.
    """
    from scipy.stats import norm

    n, m = reference.sum(), counts.sum()
    pooled = (reference + counts) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    difference = np.abs(reference / n - counts / m)
    return int((difference > norm.ppf(1 - SIGNIFICANCE / 2) * error).sum())


def analyse_modes(
    samples: NDArray[np.float32],
    training: NDArray[np.float32],
    heldout: NDArray[np.float32],
    *,
    n_clusters: int = 100,
    seed: int = 0,
    extractor: str = "features",
) -> Modes:
    """The diversity of samples, without classes.

    Args:
        samples, training, heldout: features float32 [N, D], [M, D] and [H, D].
        n_clusters: K; at most a fifth of M.
        seed: decides clusters, pairs, and which of the larger set are compared where N and H differ.
        extractor: name of what made the features.

    Raises:
        DogganError: there are too few pictures of a kind.
    """
    if min(len(samples), len(heldout)) < 2 or len(training) < 10:
        raise DogganError(
            f"{len(samples)} samples, {len(training)} training and {len(heldout)} held-out pictures are too few; give "
            "at least 2, 10 and 2."
        )
    k = min(n_clusters, len(training) // 5)
    centre = training.mean(axis=0)
    samples, training, heldout = (each - centre for each in (samples, training, heldout))
    rng = np.random.default_rng(seed)
    n = min(len(samples), len(heldout))
    compared = samples[np.sort(rng.permutation(len(samples))[:n])]
    natural = heldout[np.sort(rng.permutation(len(heldout))[:n])]
    distances = nearest_other(training)
    threshold = float(np.percentile(distances[distances > 0], _PERCENTILE)) if distances.any() else 0.0
    return Modes(
        distance=(mean_distance(samples, seed), mean_distance(natural, seed)),
        threshold=threshold,
        groups=near_identical(samples, threshold),
        heldout_groups=near_identical(natural, threshold),
        n_samples=len(samples),
        n_heldout=n,
        clusters=_clusters(training, compared, natural, k, seed),
        classes=None,
        extractor=extractor,
    )


def predict_classes(
    samples: NDArray[np.float32],
    training: tuple[NDArray[np.float32], NDArray[np.int32]],
    heldout: tuple[NDArray[np.float32], NDArray[np.int32]],
    names: tuple[str, ...],
    asked: NDArray[np.int32] | None = None,
) -> PredictedClasses:
    """The classes of samples, by logistic regression on standardised features of the training pictures.

    Args:
        samples: features float32 [N, D].
        training, heldout: features float32 [M, D] and labels int32 [M] of real pictures, of at least two classes.
        names: of the classes.
        asked: int32 [N], classes that the generator was told.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Features may be more than pictures, so the weights are kept small; a few steps are as good as convergence here.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, tol=1e-2, max_iter=200))
    model.fit(*training)
    predicted, known = model.predict(samples), model.predict(heldout[0])

    def shares(labels: NDArray[np.integer]) -> NDArray[np.float64]:
        return np.bincount(labels, minlength=len(names)) / len(labels)

    return PredictedClasses(
        names,
        float((known == heldout[1]).mean()),
        float(shares(heldout[1]).max()),
        shares(np.concatenate([training[1], heldout[1]])),
        shares(known),
        shares(predicted),
        None if asked is None else float((predicted == asked).mean()),
    )


def _clusters(
    training: NDArray[np.float32], samples: NDArray[np.float32], heldout: NDArray[np.float32], k: int, seed: int
) -> Clusters:
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(k, n_init=3, batch_size=2048, random_state=seed).fit(training)
    counts = [np.bincount(found.predict(each), minlength=k) for each in (training, samples, heldout)]
    return Clusters(*counts)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
