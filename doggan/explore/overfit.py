"""Whether a discriminator memorises: what it says of the pictures it learned from and of those it never saw.

Reference: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016, https://arxiv.org/abs/1511.06434, section 4.1: a model that learns fast generalises. The AUC is the
membership inference of Hayes et al.: LOGAN, 2019, https://arxiv.org/abs/1705.07663.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.cache import Cache, cache_key, kept
from doggan.data.batches import choose
from doggan.data.imageset import ImageSet, hash_images
from doggan.errors import DogganError
from doggan.explore.activations import predicted
from doggan.explore.subject import open_training
from doggan.files import write_text
from doggan.metrics.cache import FeatureCache
from doggan.metrics.callback import Scorer
from doggan.metrics.extractors import load_extractor
from doggan.plots.overfit import overfit_figure
from doggan.runs import Run
from doggan.runs.build import build_discriminator, build_generator
from doggan.sampling import is_conditional, sample_pictures
from doggan.training.checkpoints import restore_discriminator, restore_generator
from doggan.training.sealed import DamagedCheckpoint

_Z95 = 1.959964  # of the normal distribution


@dataclass(frozen=True)
class Verdict:
    """What D says at one checkpoint; logits, the higher the more real.

    Attributes:
        step, epoch: of the checkpoint.
        train, heldout, fake: mean logit of training pictures, of held-out ones, of samples.
        gap: train − heldout.
        gap_error: half the width of its 95% confidence interval, as the difference of two independent means.
        auc: probability that a training picture's logit is above a held-out one's, ties counted half: 0.5 where D
            cannot tell them apart, 1 where it has memorised all of them.
        score: of the samples against the held-out pictures; lower is better.
    """

    step: int
    epoch: float
    train: float
    heldout: float
    fake: float
    gap: float
    gap_error: float
    auc: float
    score: float

    @classmethod
    def of(
        cls,
        step: int,
        epoch: float,
        train: NDArray[np.float32],
        heldout: NDArray[np.float32],
        fake: NDArray[np.float32],
        score: float,
    ) -> "Verdict":
        """From the logits of each picture."""
        from sklearn.metrics import roc_auc_score

        real = [rows.astype(np.float64) for rows in (train, heldout)]
        error = np.sqrt(sum(rows.var(ddof=1) / len(rows) for rows in real))
        members = np.repeat([1, 0], [len(train), len(heldout)])
        return cls(
            step,
            epoch,
            float(real[0].mean()),
            float(real[1].mean()),
            float(fake.mean(dtype=np.float64)),
            float(real[0].mean() - real[1].mean()),
            float(_Z95 * error),
            float(roc_auc_score(members, np.concatenate(real))),
            score,
        )

    def __str__(self) -> str:
        return (
            f"step {self.step:,} (epoch {self.epoch:.3g}): D on training {self.train:.3f}, held out "
            f"{self.heldout:.3f}, fake {self.fake:.3f}; gap {self.gap:.3f} ± {self.gap_error:.3f}, AUC {self.auc:.3f}; "
            f"score {self.score:.4f}"
        )


@dataclass(frozen=True)
class Overfit:
    """The verdicts of a run's checkpoints, oldest first.

    Attributes:
        verdicts: of those that could be read.
        score: the name of the score.
        n: training pictures, held-out pictures and samples, of each so many at most.
        damaged: checkpoints that could not be read.
    """

    verdicts: tuple[Verdict, ...]
    score: str
    n: tuple[int, int, int]
    damaged: tuple[Path, ...] = ()

    def csv(self) -> str:
        """A table, a checkpoint a row."""
        names = [field.name for field in fields(Verdict)]
        lines = [",".join(names)] + [
            ",".join(f"{getattr(verdict, name):.6g}" for name in names) for verdict in self.verdicts
        ]
        return "\n".join(lines) + "\n"


def logits(
    discriminator: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int32] | None = None
) -> NDArray[np.float32]:
    """D's logit of each picture, float32 [N], in inference mode (moving statistics, no dropout, nothing moves).

    Args:
        discriminator: pictures in [-1, 1] [B, H, W, C], and classes [B] where it is conditional → [B, 1].
        images: uint8 [N, H, W, C].
        labels: int32 [N], where it is conditional.
    """
    return predicted(discriminator, images, labels)[:, 0]


def find_overfit(
    run: Run,
    real: Path | None = None,
    *,
    n: int = 1000,
    extractor: str = "random",
    weights: Path | None = None,
    seed: int = 0,
    cache: Cache | None = None,
    progress: bool = False,
) -> Overfit:
    """What D says of training pictures, held-out ones and samples at every numbered checkpoint of a run.

    What one checkpoint gives is kept, so an interrupted call goes on after it.

    Args:
        run: with as many checkpoints as `train.keep` has left.
        real: the `.npz` it was trained on; None for where it was then.
        n: pictures of each kind at most, chosen by the run's seed; at least 10.
        extractor, weights: of the score, KID; see `load_extractor`.
        seed: of the samples' z.
        cache: keeps the verdicts; None computes all.
        progress: show a bar.

    Raises:
        DogganError: the run has no checkpoint that can be read; the pictures are others, or none are held out; the
            extractor is not to be had.
    """
    data, training = open_training(run.folder, real)
    heldout = data.heldout()
    if len(heldout) < 10:
        raise DogganError(
            f"{run.data_path} has {len(heldout)} held-out pictures, and D must be asked about pictures it never saw; "
            "prepare with --holdout 0.1 and train again."
        )
    steps_per_epoch = len(training) // (run.config.train.batch_size * run.config.train.d_steps)
    sets = [_some(images, n, run.config.seed) for images in (training, heldout)]
    scorer = Scorer(load_extractor(extractor, weights), sets[1].images, ("kid",), cache=FeatureCache())
    files = run.checkpoints.saved()
    if not files:
        raise DogganError(f"{run.folder} has no checkpoint; train it first.")
    generator = build_generator(run.config, run.image_shape, run.classes)
    discriminator = build_discriminator(run.config, run.image_shape, run.classes)
    verdicts: list[Verdict] = []
    damaged = []
    pictures = [hash_images(images.images, images.labels) for images in sets]
    for step, path in tqdm(files, desc="checkpoints", disable=not progress):

        def compute(path: Path = path) -> dict[str, NDArray[np.generic]]:
            restore_generator(generator, path)
            restore_discriminator(discriminator, path)
            return _examined(run, generator, discriminator, sets, scorer, n, seed)

        key = cache_key(
            "overfit 1", hashlib.sha256(path.read_bytes()).hexdigest(), *pictures, scorer.extractor.identity, n, seed,
            keras.backend.backend(),
        )  # fmt: skip
        try:
            found = kept(cache, key, compute)
        except DamagedCheckpoint:
            damaged.append(path)
            continue
        rows = (found["train"], found["heldout"], found["fake"])
        verdicts.append(Verdict.of(step, step / max(1, steps_per_epoch), *rows, float(found["score"])))
    if not verdicts:
        raise DogganError(f"None of the {len(files)} checkpoints of {run.folder} can be read; train again.")
    return Overfit(tuple(verdicts), scorer.names[0][0], (len(sets[0]), len(sets[1]), n), tuple(damaged))


def draw_overfit(run: Run, path: Path, table: Path | None = None, **options: object) -> Overfit:
    """Find whether a run's D memorises, draw it, and write the table; `options` are those of `find_overfit`.

    Raises:
        DogganError: as `find_overfit`.
        OSError: a file cannot be written.
    """
    found = find_overfit(run, **options)  # type: ignore[arg-type]
    overfit_figure(path, found, run.folder.resolve().name)
    if table is not None:
        write_text(table, found.csv())
    return found


def _some(images: ImageSet, n: int, seed: int) -> ImageSet:
    return images if len(images) <= n else images.select(choose(len(images), n, seed))


def _examined(
    run: Run,
    generator: keras.Model,
    discriminator: keras.Model,
    sets: Sequence[ImageSet],
    scorer: Scorer,
    n: int,
    seed: int,
) -> dict[str, NDArray[np.generic]]:
    """Logits of training pictures, of held-out ones and of samples, and the score of the samples."""
    classes = run.draw_classes(n, seed)
    samples = sample_pictures(generator, n, seed=seed, classes=classes)
    told = is_conditional(discriminator)
    train, heldout = (logits(discriminator, images.images, images.labels if told else None) for images in sets)
    return {
        "train": train,
        "heldout": heldout,
        "fake": logits(discriminator, samples, classes if told else None),
        "score": np.array(scorer(samples)[scorer.names[0][0]]),
    }
