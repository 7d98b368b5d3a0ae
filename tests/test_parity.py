"""TensorFlow and JAX take the same steps: from equal weights, draws and pictures, an eighth of `dogs-dcgan`.

Both train it in processes of their own (`parity/parity_step.py`), with dropout, batch norm, spectral norm, label noise
and the average on. `pytest -s` prints the differences.

A start is judged by its worst number. Where a ReLU's input is within rounding of zero, one backend can take the slope
on the left and the other that on the right, and the gradients of that start are then apart by more than rounding. So
the median of a case's three starts is bounded by rounding, and each of them loosely.
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
from quick_jax import quick_jax

ROOT = Path(__file__).parents[1]
STARTS = 3
CASES = ("plain", "wgan-gp", "alternating", "lazy r1, replay", "adam, r2")
ADAM = ("adam, r2",)
RELATIVISTIC = ("lazy r1, replay",)

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
    for backend, more in (("tensorflow", {}), ("jax", {"JAX_PLATFORMS": "cpu"} | quick_jax(level=1))):
        runs[backend] = subprocess.Popen(
            [sys.executable, "-m", "tests.parity.parity_step", folder / f"{backend}.npz"],
            env=os.environ | {"KERAS_BACKEND": backend} | more,
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
    """{name: (TensorFlow's, JAX's)}, without the gradient that is zero but for rounding."""
    prefix = f"{case}/{start}/{what}/"
    ours, theirs = (
        {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}
        for result in results.values()
    )
    assert ours
    assert ours.keys() == theirs.keys()
    found = {key: (ours[key], theirs[key]) for key in ours}
    if what == "gradient" and case in RELATIVISTIC:  # D's last bias cancels in the difference of two logits
        last = max(key for key in found if key.startswith("discriminator.") and key.endswith(".bias"))
        assert np.abs(found.pop(last)).max() < 1e-6
    return found


def assert_close(
    results: Any,
    case: str,
    what: str,
    distance: Callable[[np.ndarray, np.ndarray], float],
    median: float,
    each: float,
) -> None:
    """Of the starts' largest distances between the backends the median is below one bound, and all below another."""
    worst = []
    for start in range(STARTS):
        distances = {key: distance(*pair) for key, pair in pairs(results, case, start, what).items()}
        worst.append(max((value, key) for key, value in distances.items()))
    worst.sort()
    print(f"{case}, {what}, {distance.__name__}:", *(f"{value:.1e} ({key})" for value, key in worst))
    assert worst[STARTS // 2][0] < median
    assert worst[-1][0] < each


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


def test_a_step_asks_for_these_draws(results):
    """Of "alternating": d_steps 2, batches of 8, dropout in two layers of G, three operations with probability 0.8."""
    fakes = [("normal", (8, 16)), ("uniform", (8, 2, 2, 64)), ("uniform", (8, 4, 4, 32))]
    targets = [("uniform", (8,)), ("uniform", (8, 1))] * 2
    judged = [("uniform", (8, n)) for n in (3, 1, 2, 1, 2, 1)] + [("normal", (8, 32, 32, 3))]
    expected = (fakes + targets + judged + judged) * 2 + fakes + judged
    asked = json.loads(str(results["tensorflow"]["alternating/asked"]))
    assert [(kind, tuple(shape)) for kind, shape in asked] == expected


@pytest.mark.parametrize("case", CASES)
def test_first_losses(results, case):
    assert_close(results, case, "loss", first, median=1e-5, each=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_first_gradients(results, case):
    assert_close(results, case, "gradient", relative, median=1e-4, each=1e-2)


@pytest.mark.parametrize("case", CASES)
def test_losses_of_five_steps(results, case):
    median, each = (1e-3, 1e-2) if case in ADAM else (1e-4, 1e-3)
    assert_close(results, case, "loss", absolute, median, each)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ADAM])
@pytest.mark.parametrize("distance", [absolute, relative])
def test_weights_after_five_steps(results, case, distance):
    """Moving statistics, spectral norm's u and the average among them."""
    names = pairs(results, case, 0, "weight")
    for part in ("generator.", "discriminator.", "average.", ".u", ".moving_mean", ".moving_variance"):
        assert any(part in name for name in names)
    assert_close(results, case, "weight", distance, median=1e-4, each=0.1)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ADAM])
def test_the_ways_are_the_same(results, case):
    """Weights that hardly moved agree whatever was done to them; so the ways they went are compared too."""
    assert_close(results, case, "moved", relative, median=1e-2, each=0.1)


@pytest.mark.parametrize("case", CASES)
def test_the_losses_moved(results, case):
    for name, (losses, _) in pairs(results, case, 0, "loss").items():
        assert np.ptp(losses) > 0.01, name
