import csv
from pathlib import Path

import numpy as np
import pytest

from doggan.metrics import standing as module
from doggan.metrics.standing import SUBMISSIONS, standing


def test_ends_of_the_table() -> None:
    assert str(standing(5.0)) == "better than 100% of 497 legitimate submissions"
    assert standing(12.46).percent == 99  # equal to the best, so better than all but that one
    assert standing(87.06).percent == 0
    assert standing(3e16).percent == 0
    assert standing(float("inf")).percent == 0


def test_the_median_is_better_than_just_under_half() -> None:
    assert standing(61.61).percent == 49
    assert standing(61.60).percent == 50


def test_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="not a number"):
        standing(float("nan"))


@pytest.fixture
def legitimate(shared_data: Path) -> np.ndarray:
    with (shared_data / "competition_results.csv").open(newline="") as file:
        return np.array([float(row["public_score"]) for row in csv.DictReader(file) if row["labels"] == "non-mem"])


def test_table_is_that_of_the_published_scores(legitimate: np.ndarray) -> None:
    assert len(legitimate) == SUBMISSIONS
    percentiles = np.quantile(legitimate, np.arange(101) / 100)
    np.testing.assert_array_equal(module._PERCENTILES, np.round(percentiles, 2))


def test_percent_is_the_share_that_scored_worse(legitimate: np.ndarray) -> None:
    for score in np.linspace(10, 90, 321):
        share = 100 * (legitimate > score).mean()
        assert standing(score).percent <= share + 0.5  # half a percent: the table's two decimals
        assert standing(score).percent > share - 1.5
