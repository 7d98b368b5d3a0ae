"""Where a public score stands among the competition's own submissions.

Facts from `competition_results.csv`, which the organisers published with their paper (Bai et al. 2021, "On Training
Sample Memorization: Lessons from Benchmarking Generative Modeling with a Large-scale Competition", KDD): 1,666
submissions, of which the organisers labelled 497 as not memorising ("non-mem").
"""

from typing import NamedTuple

import numpy as np

SUBMISSIONS = 497

# Percentiles 0, 1, … 100 of the public scores of these 497, NumPy's linear quantiles to two decimals.
_PERCENTILES = (
    12.46, 15.81, 30.12, 31.96, 36.42, 38.88, 40.45, 42.45, 44.07, 44.58,
    46.14, 46.95, 47.40, 49.09, 50.09, 50.64, 52.29, 53.01, 53.40, 53.99,
    54.25, 55.05, 55.63, 55.92, 56.10, 56.47, 56.97, 57.31, 57.47, 57.61,
    57.80, 57.97, 58.22, 58.52, 58.90, 58.99, 59.22, 59.32, 59.45, 59.83,
    59.97, 60.10, 60.20, 60.37, 60.49, 60.58, 60.83, 61.04, 61.16, 61.37,
    61.61, 61.86, 61.95, 62.09, 62.43, 62.64, 62.82, 62.91, 63.13, 63.25,
    63.48, 63.73, 63.92, 64.04, 64.21, 64.67, 64.80, 65.03, 65.21, 65.33,
    65.47, 65.56, 65.72, 65.96, 66.16, 66.27, 66.48, 66.65, 66.91, 67.05,
    67.17, 67.33, 67.57, 68.00, 68.16, 68.46, 68.66, 69.10, 69.33, 69.90,
    70.45, 71.28, 72.27, 72.82, 74.17, 75.31, 76.45, 77.03, 78.51, 80.93,
    87.06,
)  # fmt: skip


class Standing(NamedTuple):
    """Attributes: `percent`, the share of the legitimate submissions that scored worse, in whole percent."""

    percent: int

    def __str__(self) -> str:
        return f"better than {self.percent}% of {SUBMISSIONS} legitimate submissions"


def standing(mifid: float) -> Standing:
    """How a public MiFID compares; lower is better.

    It means something only for what the competition scored: 10,000 images by the `kaggle` protocol on the
    published Inception.

    Args:
        mifid: the public score, at least 0.

    Returns:
        The percent rounded down to what the table of percentiles is sure of: 100 below the best submission's
        score, 0 from the worst one's on.

    Raises:
        ValueError: the score is not a number.
    """
    if np.isnan(mifid):
        raise ValueError("a score that is not a number has no standing")
    return Standing(max(0, 100 - int(np.searchsorted(_PERCENTILES, mifid, side="right"))))
