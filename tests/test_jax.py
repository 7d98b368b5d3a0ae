"""Runs the tests marked `both_backends` once more, on JAX, in a process of its own: Keras chooses its backend once."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from quick_jax import quick_jax


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed: pip install 'doggan[jax]'")
@pytest.mark.skipif(os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason="this is the other backend")
def test_marked_tests_pass_on_jax():
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"} | quick_jax()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "both_backends and not slow",
        "tests",
    ]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
