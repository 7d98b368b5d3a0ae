"""A submission from a run."""

from dataclasses import dataclass
from pathlib import Path

from doggan.runs.folder import Run
from doggan.runs.load import load_generator
from doggan.sampling import generate
from doggan.submission import COUNT, SubmissionCheck, SubmissionFile, check_submission, write_submission


@dataclass(frozen=True)
class Submitted:
    """A submission that was written and has passed its check; its `str` is two lines.

    Attributes:
        file: the zip.
        check: what the check found.
        step: training steps of the checkpoint that it was sampled from.
        weights: which of its weights, in words.
    """

    file: SubmissionFile
    check: SubmissionCheck
    step: int
    weights: str

    def __str__(self) -> str:
        return f"{self.file}, from step {self.step}, {self.weights}\n{self.check}"


def submit(
    run: Run,
    out: str | Path = "images.zip",
    *,
    count: int = COUNT,
    checkpoint: str = "best",
    raw: bool = False,
    bn_samples: int | None = None,
    truncation: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Submitted:
    """Sample `count` pictures from a run's generator, write them as a zip, and check what was written.

    Args:
        run: whose generator.
        out: the zip.
        count: pictures; the competition wants 10,000.
        checkpoint, raw, bn_samples: see `load_generator`.
        truncation, seed: see `doggan.sampling.draw_z`.
        progress: show bars.

    Raises:
        DogganError: there is no such checkpoint; the run makes pictures that the competition does not take; or two of
            them are equal.
        OSError: the zip cannot be written.
    """
    generator, step, weights = load_generator(run, checkpoint, raw=raw, bn_samples=bn_samples, progress=progress)
    classes = run.draw_classes(count, seed)
    batches = generate(generator, count, seed=seed, classes=classes, truncation=truncation, progress=progress)
    file = write_submission(batches, out, count)
    return Submitted(file, check_submission(out, count), step, weights)
