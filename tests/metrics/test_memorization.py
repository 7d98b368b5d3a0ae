import csv
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from doggan.metrics import memorization
from doggan.metrics.memorization import KERNEL_TINY, SCORER_TINY, mean_distance, memorization_distance, mifid, nearest


def whole_matrix(generated: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The released scorer's arithmetic: every cosine at once, in float64."""

    def unit(features: np.ndarray) -> np.ndarray:
        features = features.astype(np.float64)
        return np.nan_to_num(features / np.linalg.norm(features, ord=2, axis=1, keepdims=True))

    distance = 1.0 - np.abs(np.matmul(unit(generated), unit(real).T))
    return distance.min(axis=1), distance.argmin(axis=1)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32])
def test_blocks_make_no_difference(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    generated = (100 * rng.standard_normal((23, 9))).astype(dtype)
    real = (100 * rng.standard_normal((31, 9))).astype(dtype)
    monkeypatch.setattr(memorization, "_GENERATED_ROWS", 5)
    monkeypatch.setattr(memorization, "_REAL_ROWS", 7)
    monkeypatch.setattr(memorization, "_PAIRS", 3)
    distance, index = nearest(generated, real)
    expected, where = whole_matrix(generated, real)
    np.testing.assert_allclose(distance, expected, atol=1e-15)
    np.testing.assert_array_equal(index, where)
    assert distance.dtype == np.float64
    assert index.dtype == np.int64


@pytest.mark.parametrize("most_pairs", [0, 10**9])
def test_float64_decides(most_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real rows whose cosines differ by far less than float32 can tell, by either way of deciding."""
    rng = np.random.default_rng(0)
    base = rng.random(300)
    real = base * (1 + 1e-7 * rng.standard_normal((200, 300)))
    generated = base * (1 + 1e-3 * rng.standard_normal((50, 300)))
    monkeypatch.setattr(memorization, "_MANY_PAIRS", most_pairs)
    monkeypatch.setattr(memorization, "_REAL_ROWS", 64)
    expected, where = whole_matrix(generated, real)
    assert len(set(where)) > 5
    distance, index = nearest(generated, real)
    np.testing.assert_allclose(distance, expected, atol=1e-14)
    assert (index == where).mean() > 0.9  # the rest are ties in float64 itself
    a, b = generated / np.linalg.norm(generated, axis=1)[:, None], real / np.linalg.norm(real, axis=1)[:, None]
    np.testing.assert_allclose(1 - np.einsum("nd,nd->n", a, b[index]), expected, atol=1e-14)


def test_nearest_names_rows_as_given() -> None:
    real = [[0.0, 0.0], [1.0, 0.0], [3.0, 4.0], [6.0, 8.0]]
    generated = [[0.0, 2.0], [1.0, -1.0], [-5.0, 0.0], [0.0, 0.0]]
    distance, index = nearest(generated, real)
    # (1, −1) and (0, 0) have the sum zero; (3, 4) and (6, 8) are equally near, and the first counts.
    np.testing.assert_array_equal(index, [2, -1, 1, -1])
    np.testing.assert_allclose(distance, [0.2, np.nan, 0.0, np.nan], atol=1e-15)
    assert mean_distance(distance) == memorization_distance(generated, real) == pytest.approx(0.1)


def test_copies_and_constant_images_have_the_distance_zero() -> None:
    rng = np.random.default_rng(0)
    real = rng.random((60, 2048)).astype(np.float32)
    distance, index = nearest(real[::-1], real)
    np.testing.assert_array_equal(index, np.arange(60)[::-1])
    assert 0 <= distance.min() <= distance.max() < 1e-14
    constant = np.tile(real[:1], (40, 1))
    assert memorization_distance(constant, constant) == pytest.approx(0, abs=1e-14)
    assert memorization_distance(real[:1], real[:1]) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_with_inceptions_dimensions(dtype: type) -> None:
    """As `nearest` states it. The rows repeat, so every cosine of a block is a candidate: the worst case."""
    real = np.repeat(np.random.default_rng(0).random((3, 2048)).astype(dtype), 1700, axis=0)
    generated = real[:1100]
    tracemalloc.start()
    distance = memorization_distance(generated, real)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert distance == pytest.approx(0, abs=1e-14)
    assert peak < 130e6


def test_memory_is_bounded() -> None:
    """6,000 × 20,000 cosines would be 960 MB; the inputs here are 2 MB."""
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
        ([[1.0, 1.0]], [[1.0, 1.0], [np.nan, 1.0]], "real features hold values that are not finite"),
        ([[np.inf, -np.inf]], [[1.0, 1.0]], "not finite"),
        ([[1e-200, 1e-200]], [[1.0, 1.0]], "squares vanish"),
        ([[1e200, 1e200]], [[1.0, 1.0]], "whose squares are not"),
        (np.empty((0, 2)), [[1.0, 1.0]], "no generated features"),
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
    assert (SCORER_TINY, KERNEL_TINY) == (1e-15, 1e-14)
    assert mifid(30.0, 0.0, tiny=KERNEL_TINY) == pytest.approx(3e15)
    # As documented: only copies tell the two constants apart.
    assert mifid(30.0, 1e-10, tiny=KERNEL_TINY) == pytest.approx(mifid(30.0, 1e-10), rel=1e-4)
    assert mifid(30.0, 1e-11, tiny=KERNEL_TINY) != pytest.approx(mifid(30.0, 1e-11), rel=1e-4)


def test_published_submissions(shared_data: Path) -> None:
    with (shared_data / "competition_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stages = {"public": 0.1, "private": 0.25}
    checked = {"public": 0, "private": 0}
    for row in rows:
        for stage, epsilon in stages.items():
            score, fid, distance = (
                float(row[name]) for name in (f"{stage}_score", f"FID_{stage}", f"distance_{stage}")
            )
            if score != 999999:
                assert mifid(fid, distance, epsilon) == pytest.approx(score, rel=1e-12)
                checked[stage] += 1
    assert checked == {"public": 1666, "private": 1171}  # 495 were disqualified by hand


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
