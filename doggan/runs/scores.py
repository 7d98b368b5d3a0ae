"""How a run is scored: with which features, and against which pictures."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.config import Config
from doggan.data.batches import choose
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.files import write_text
from doggan.metrics.cache import FeatureCache
from doggan.metrics.callback import Scorer
from doggan.metrics.extractors import load_extractor
from doggan.metrics.scores import check_counts
from doggan.runs.build import scores_wanted

FEWEST_HELDOUT = 100  # with fewer the scores would be mostly noise
SCORED_REAL = 2000  # real pictures the scores compare with: enough for a stable ranking of checkpoints


@dataclass(frozen=True)
class Comparison:
    """What the scores of a run are; kept in its `scores.json`, printed when it starts and drawn into `scores.png`.

    Attributes:
        extractor: its name, which says the weights as well where they are not the published ones.
        samples: generated pictures.
        real: real ones that they are compared with.
        split: which those are, "held-out" or "training".
        training: training pictures that the memorization distance is to; 0 where it is not asked for.
    """

    extractor: str
    samples: int
    real: int
    split: str
    training: int

    def __str__(self) -> str:
        distance = f", distance to {self.training:,} training crops" if self.training else ""
        return f"{self.extractor}, {self.samples:,} samples against {self.real:,} {self.split} crops{distance}"

    def keep(self, path: Path) -> None:
        """Write the file at `path`; or, where it is, make sure that it says the same.

        Raises:
            DogganError: it does not: the scores could not be compared with those that the run has.
        """
        if not path.exists():
            write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")
            return
        try:
            before = Comparison(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise DogganError(f"{path} does not say what the scores are; move it away to resume.") from None
        if before != self:
            raise DogganError(
                f"{path.parent} was scored by {before}, and would now be by {self}; resume it with the pictures and "
                "the weights it was started with."
            )


@dataclass(frozen=True)
class Scoring:
    """What scores a run, and what its scores are."""

    scorer: Scorer
    comparison: Comparison


def load_scoring(
    config: Config,
    data: ImageSet,
    training: ImageSet,
    size: int,
    weights: Path | None = None,
    *,
    progress: bool = False,
) -> Scoring | None:
    """Scores against held-out pictures, or training ones where there are too few of those; None where none are wanted.

    The memorization distance is to all training pictures. Where training cuts windows at random, the pictures'
    centres stand for them.

    Args:
        config: as `plan_data` has checked it.
        data: all pictures.
        training: those the run trains on.
        size: side of the pictures that are scored.
        weights: the file of the network; None looks in the default folders.
        progress: show a bar while the features of real pictures are computed.

    Raises:
        DogganError: the weights are not to be found, or damaged, or not needed; or a metric cannot be had.
    """
    settings = config.train
    if not scores_wanted(config):
        if weights is not None:
            raise DogganError(
                f"The run is not scored, so {weights} is not read; leave it out or set train.score_every."
            )
        return None
    extractor = load_extractor(settings.extractor, weights)
    heldout = data.heldout()
    split, compared = ("held-out", heldout) if len(heldout) >= FEWEST_HELDOUT else ("training", data.training())
    real = centres(compared.images[choose(len(compared), SCORED_REAL, config.seed)], size)
    check_counts(settings.metrics, generated=settings.score_samples, real=len(real))
    scorer = Scorer(
        extractor,
        real,
        settings.metrics,
        training=centres(training.images, size),
        # Random features cost too little to be worth keeping.
        cache=None if settings.extractor == "random" else FeatureCache(),
        progress=progress,
    )
    learned = len(training) if "mifid" in settings.metrics else 0
    return Scoring(
        scorer,
        Comparison(extractor.name, settings.score_samples, len(real), split, learned),
    )


def centres(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The middle of each picture: a view [N, size, size, C] of [N, H, H, C]."""
    corner = (images.shape[1] - size) // 2
    window = slice(corner, corner + size)
    return images[:, window, window]
