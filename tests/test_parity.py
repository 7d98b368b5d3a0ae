"""TensorFlow and JAX take the same steps: from equal weights, draws and pictures, an eighth of `dogs-dcgan`.

Both train it in processes of their own (`parity/parity_step.py`), with dropout, batch norm, spectral norm, label noise
and the average on. `pytest -s` prints the differences.

A start is judged by its worst number, and a case by the median of its three starts: where a ReLU's input is within
rounding of zero, one backend can take the slope on the left and the other that on the right, and the gradients of that
start are then apart by more than rounding.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
STARTS = 3
CASES = ("plain", "r1", "wgan-gp", "alternating", "adam, r2")
ADAM = ("adam, r2",)

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("jax") is None, reason="JAX is not installed: pip install 'doggan[jax]'"
    ),
    pytest.mark.skipif(
        os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason="one process compares both backends"
    ),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each backend made: {"tensorflow": {case/what: array}, "jax": ...}."""
    folder = tmp_path_factory.mktemp("parity")
    runs = {}
    for backend in ("tensorflow", "jax"):
        runs[backend] = subprocess.Popen(
            [sys.executable, "-m", "tests.parity.parity_step", folder / f"{backend}.npz"],
            env=os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    for backend, run in runs.items():
        output, _ = run.communicate()
        assert run.returncode == 0, f"{backend}: {output[-6000:]}"
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in runs}


def pairs(results: Any, case: str, start: int, what: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{name: (TensorFlow's, JAX's)}."""
    prefix = f"{case}/{start}/{what}/"
    ours, theirs = (
        {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}
        for result in results.values()
    )
    assert ours
    assert ours.keys() == theirs.keys()
    return {key: (ours[key], theirs[key]) for key in ours}


def median_of_the_worst(
    results: Any, case: str, what: str, distance: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """Of the starts' largest distances between the backends the median; prints all."""
    worst = []
    for start in range(STARTS):
        distances = {key: distance(*pair) for key, pair in pairs(results, case, start, what).items()}
        worst.append(max((value, key) for key, value in distances.items()))
    print(f"{case}, {what}, {distance.__name__}:", *(f"{value:.1e} ({key})" for value, key in sorted(worst)))
    return sorted(worst)[STARTS // 2][0]


def first(a: np.ndarray, b: np.ndarray) -> float:
    """|a₀ − b₀|."""
    return abs(a[0] - b[0])


def absolute(a: np.ndarray, b: np.ndarray) -> float:
    """max |a − b|."""
    return np.abs(a - b).max()


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖ / ‖a‖; 0 where both are 0."""
    difference = float(np.linalg.norm(a - b))
    return difference and difference / float(np.linalg.norm(a))


@pytest.mark.parametrize("case", CASES)
def test_the_step_asks_for_the_same_draws(results, case):
    ours, theirs = (json.loads(str(result[f"{case}/asked"])) for result in results.values())
    assert ours == theirs
    assert {kind for kind, _ in ours} == {"uniform", "normal"}


@pytest.mark.parametrize("case", CASES)
def test_first_losses(results, case):
    assert median_of_the_worst(results, case, "loss", first) < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_first_gradients(results, case):
    assert median_of_the_worst(results, case, "gradient", relative) < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_losses_of_five_steps(results, case):
    assert median_of_the_worst(results, case, "loss", absolute) < (1e-3 if case in ADAM else 1e-4)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ADAM])
@pytest.mark.parametrize("distance", [absolute, relative])
def test_weights_after_five_steps(results, case, distance):
    """Moving statistics, spectral norm's u and the average among them."""
    names = pairs(results, case, 0, "weight")
    for part in ("generator.", "discriminator.", "average.", ".u", ".moving_mean", ".moving_variance"):
        assert any(part in name for name in names)
    assert median_of_the_worst(results, case, "weight", distance) < 1e-4


@pytest.mark.parametrize("case", [case for case in CASES if case not in ADAM])
def test_the_ways_are_the_same(results, case):
    """Weights that hardly moved agree whatever was done to them; so the ways they went are compared too."""
    assert median_of_the_worst(results, case, "moved", relative) < 1e-2


@pytest.mark.parametrize("case", CASES)
def test_the_losses_moved(results, case):
    for name, (losses, _) in pairs(results, case, 0, "loss").items():
        assert np.ptp(losses) > 0.01, name
