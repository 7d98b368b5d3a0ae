"""Scores as lines and as JSON, each with what it was made with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from doggan.evaluation.generated import Sampled
from doggan.metrics.extractors import Extractor
from doggan.metrics.memorization import SCORER_TINY
from doggan.metrics.scores import score_names


@dataclass(frozen=True)
class Evaluation:
    """The scores of one set of generated pictures; its `str` is a line per metric and one per note.

    MiFID is FID / (m + 1e-15) with the memorization distance m below ε, and FID from ε on: the constant of the scorer
    that the organisers released (`SCORER_TINY`), not the 1e-14 of their evaluator kernels.

    Attributes:
        scores: as `doggan.metrics.scores.compute` returns them.
        metrics: the metrics asked for, in order.
        extractor: what made the features.
        protocol: what the pictures were compared with; see `doggan.metrics.protocols`.
        n_generated, n_real: pictures that were compared.
        n_generated_skipped, n_real_skipped: files that could not be read.
        n_distance: pictures that the memorization distance is to, all or part of the real ones or others; 0 where it
            was not asked for.
        distance_to: what they are: "training", or "real" where nobody says what the generator was trained on.
        sampled: what of a run the generated pictures are; None where they are not.
        standing: where MiFID stands among the competition's legitimate submissions, or None where it means nothing.
        notes: sentences to print.
    """

    scores: Mapping[str, float]
    metrics: tuple[str, ...]
    extractor: Extractor
    protocol: str
    n_generated: int
    n_real: int
    n_generated_skipped: int = 0
    n_real_skipped: int = 0
    n_distance: int = 0
    distance_to: str = "training"
    sampled: Sampled | None = None
    standing: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self._values(metric)}: {self._conditions(metric)}" for metric in self.metrics]
        if self.standing is not None:
            lines.append(f"mifid {self.scores['mifid']:.4f} is {self.standing}")
        if self.sampled is not None:
            lines.append(f"generated pictures: {self.sampled}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def as_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON has."""
        return {
            "scores": dict(self.scores),
            "extractor": self.extractor.name,
            "epsilon": self.extractor.epsilon,
            "tiny": SCORER_TINY,
            "protocol": self.protocol,
            "n_generated": self.n_generated,
            "n_real": self.n_real,
            "n_generated_skipped": self.n_generated_skipped,
            "n_real_skipped": self.n_real_skipped,
            "n_distance": self.n_distance,
            "distance_to": self.distance_to,
            "sampled": None if self.sampled is None else asdict(self.sampled),
            "standing": self.standing,
            "notes": list(self.notes),
        }

    def _values(self, metric: str) -> str:
        names = score_names(metric, self.extractor.prefix)
        values = [self.scores[name] for name in names]
        if metric == "mifid":
            distance = f"memorization distance {values[1]:.4f} to {self.n_distance:,} {self.distance_to} images"
            return f"{names[0]} {values[0]:.4f} ({distance}, ε {self.extractor.epsilon:g})"
        if metric in ("kid", "is"):
            digits = 6 if metric == "kid" else 4
            return f"{names[0]} {values[0]:.{digits}f} ± {values[1]:.{digits}f}"
        return ", ".join(f"{name} {value:.4f}" for name, value in zip(names, values, strict=True))

    def _conditions(self, metric: str) -> str:
        made = f"{self.extractor.name}, protocol {self.protocol}"
        generated = f"{self.n_generated:,} generated{_skipped(self.n_generated_skipped)}"
        if metric == "is":
            return f"{made}, {generated} images"
        real = f"{self.n_real:,} real{_skipped(self.n_real_skipped)}"
        return f"{made}, {generated} against {real} images"


def _skipped(n: int) -> str:
    return f" ({n:,} unreadable left out)" if n else ""
