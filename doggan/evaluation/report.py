"""Scores as lines and as JSON, each with what it was made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doggan.metrics.extractors import Extractor
from doggan.metrics.scores import score_names


@dataclass(frozen=True)
class Evaluation:
    """The scores of one set of generated pictures; its `str` is a line per metric and one per note.

    Attributes:
        scores: as `doggan.metrics.scores.compute` returns them.
        metrics: the metrics asked for, in order.
        extractor: what made the features.
        protocol: what the pictures were compared with; see `doggan.metrics.protocols`.
        n_generated, n_real: pictures that were compared.
        n_generated_skipped, n_real_skipped: files that could not be read.
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
    standing: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self._values(metric)}: {self._conditions(metric)}" for metric in self.metrics]
        if self.standing is not None:
            lines.append(f"mifid {self.scores['mifid']:.4f} is {self.standing}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def as_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON has."""
        return {
            "scores": dict(self.scores),
            "extractor": self.extractor.name,
            "epsilon": self.extractor.epsilon,
            "protocol": self.protocol,
            "n_generated": self.n_generated,
            "n_real": self.n_real,
            "n_generated_skipped": self.n_generated_skipped,
            "n_real_skipped": self.n_real_skipped,
            "standing": self.standing,
            "notes": list(self.notes),
        }

    def _values(self, metric: str) -> str:
        names = score_names(metric, self.extractor.prefix)
        values = [self.scores[name] for name in names]
        if metric == "mifid":
            distance = f"memorization distance {values[1]:.4f}, ε {self.extractor.epsilon:g}"
            return f"{names[0]} {values[0]:.4f} ({distance})"
        if metric in ("kid", "is"):
            digits = 6 if metric == "kid" else 4
            return f"{names[0]} {values[0]:.{digits}f} ± {values[1]:.{digits}f}"
        return ", ".join(f"{name} {value:.4f}" for name, value in zip(names, values, strict=True))

    def _conditions(self, metric: str) -> str:
        generated = f"{self.n_generated:,} generated{_skipped(self.n_generated_skipped)}"
        if metric == "is":
            return f"{self.extractor.name}, {generated} images"
        real = f"{self.n_real:,} real{_skipped(self.n_real_skipped)}"
        return f"{self.extractor.name}, protocol {self.protocol}, {generated} against {real} images"


def _skipped(n: int) -> str:
    return f" ({n:,} unreadable left out)" if n else ""
