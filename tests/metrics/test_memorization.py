import csv
import json
from pathlib import Path

import numpy as np
import pytest

from doggan.metrics import memorization
from doggan.metrics.memorization import memorization_distance, mifid


def test_by_hand() -> None:
    real = [[1.0, 0.0], [3.0, 4.0]]
    generated = [[0.0, 2.0], [5.0, 0.0], [1.0, 1.0]]
    # Largest cosines: (0, 1)·(.6, .8) = .8, (1, 0)·(1, 0) = 1, (1, 1)/√2·(.6, .8) = 1.4/√2.
    expected = (0.2 + 0.0 + 1 - 1.4 / np.sqrt(2)) / 3
    assert memorization_distance(generated, real) == pytest.approx(expected, abs=1e-14)


def test_sign_does_not_matter() -> None:
    assert memorization_distance([[-2.0, -0.5]], [[4.0, 1.0]]) == pytest.approx(0, abs=1e-14)


def test_rows_with_zero_sum_are_dropped() -> None:
    real = [[1.0, 0.0], [0.0, 0.0]]
    # (1, −1) is not a zero row, but its sum is zero, so the scorer drops it all the same.
    assert memorization_distance([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]], real) == pytest.approx(1 - np.sqrt(0.5))


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    generated = rng.random((23, 9)).astype(np.float32)
    real = rng.random((31, 9)).astype(np.float32)
    a, b = generated.astype(np.float64), real.astype(np.float64)
    cosine = a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    whole = (1 - np.abs(cosine)).min(axis=1).mean()
    monkeypatch.setattr(memorization, "_GENERATED_ROWS", 5)
    monkeypatch.setattr(memorization, "_REAL_ROWS", 7)
    assert memorization_distance(generated, real) == pytest.approx(whole, abs=1e-14)


def test_memory_is_bounded() -> None:
    """6,000 × 20,000 cosines would be 960 MB; the inputs here are 2 MB."""
    import tracemalloc

    rng = np.random.default_rng(0)
    generated, real = rng.random((6000, 8)), rng.random((20000, 8))
    tracemalloc.start()
    memorization_distance(generated, real)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


@pytest.mark.parametrize(
    ("generated", "real", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], "dimensions"),
        ([[0.0, 0.0]], [[1.0, 1.0]], "no generated features"),
        ([[1.0, np.inf]], [[1.0, 1.0]], "not finite"),
        ([1.0, 2.0], [[1.0, 1.0]], "shape"),
    ],
)
def test_refuses(generated: list, real: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        memorization_distance(generated, real)


def test_mifid() -> None:
    assert mifid(30.0, 0.25) == pytest.approx(30)
    assert mifid(30.0, 0.1) == pytest.approx(30)  # at ε it no longer bites
    assert mifid(30.0, 0.05) == pytest.approx(600)
    assert mifid(30.0, 0.2, epsilon=0.25) == pytest.approx(150)
    assert mifid(30.0, 0.0) == pytest.approx(3e16)


def test_published_submissions(shared_data: Path) -> None:
    with (shared_data / "competition_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stages = {"public": 0.1, "private": 0.25}
    checked = 0
    for row in rows:
        for stage, epsilon in stages.items():
            score, fid, distance = (
                float(row[name]) for name in (f"{stage}_score", f"FID_{stage}", f"distance_{stage}")
            )
            if score != 999999:
                assert mifid(fid, distance, epsilon) == pytest.approx(score, rel=1e-4)
                checked += 1
    assert checked > 2800  # 1,666 public rows and the private ones that were not disqualified


def test_reference_evaluators(shared_data: Path) -> None:
    scores = json.loads((shared_data / "reference/scores.json").read_text())
    with np.load(shared_data / "reference/features-500.npz") as file:
        features = file["features"]
    first, last = features[:250], features[250:]
    forward = scores["memorization_distance_generated_first250_training_last250"]
    assert memorization_distance(first, last) == pytest.approx(forward, abs=1e-12)
    backward = scores["memorization_distance_the_other_way_round"]
    assert memorization_distance(last, first) == pytest.approx(backward, abs=1e-12)
    copier = np.concatenate([last[:25], first[25:]])
    copied = scores["memorization_distance_with_25_of_250_copied"]
    assert memorization_distance(copier, last) == pytest.approx(copied, abs=1e-12)
    repeater = np.tile(last[:2], (125, 1))
    assert memorization_distance(repeater, last) == pytest.approx(0, abs=1e-12)
    reversed_ = scores["the_same_in_torchmetrics_direction"]
    assert memorization_distance(last, repeater) == pytest.approx(reversed_, abs=1e-12)
