"""From generated pictures and real ones to scores with their extractor, protocol and counts."""

from doggan.evaluation.generated import Generated, read_generated
from doggan.evaluation.report import Evaluation
from doggan.evaluation.scoring import evaluate, score

__all__ = ["Evaluation", "Generated", "evaluate", "read_generated", "score"]
