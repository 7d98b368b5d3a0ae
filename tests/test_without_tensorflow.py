"""JAX alone: preparing, training, scoring and submitting where TensorFlow is not installed.

TensorFlow is hidden rather than removed: a process in which no finder knows its name, so that importing it fails and
looking for it finds nothing, as on a machine that does not have it.
"""

import csv
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from quick_jax import quick_jax

ROOT = Path(__file__).parents[1]
TENSORFLOW_ONLY = {"doggan.training.engine_tensorflow"}

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed: pip install 'doggan[jax]'"
)

HIDE = """
import json
import sys


class Without:
    "Finds what another finder finds, but for the hidden packages."

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):  # what else importlib asks a finder for
        return getattr(self.finder, name)


HIDDEN = set(json.loads(sys.argv.pop(1)))
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""

NONE_LOADED = """
loaded = [name for name in sys.modules if name.partition(".")[0] in HIDDEN]
assert not loaded, loaded
"""


def python(
    code: str, *arguments: str | Path, backend: str = "jax", hidden: tuple[str, ...] = ("tensorflow",)
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own in which the `hidden` packages are not installed."""
    on_jax = {"JAX_PLATFORMS": "cpu"} | quick_jax() if backend == "jax" else {}
    return subprocess.run(
        [sys.executable, "-c", HIDE + code, json.dumps(hidden), *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": backend} | on_jax,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_package_is_hidden():
    """The other tests prove nothing where this fails."""
    code = """
import importlib.util
import numpy  # others are found as ever

assert importlib.util.find_spec("tensorflow") is None
try:
    import tensorflow.data
except ModuleNotFoundError as error:
    assert error.name == "tensorflow"
else:
    raise AssertionError("it was imported")
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


@needs_jax
def test_the_path_from_photographs_to_a_checked_zip(dog_tree, tiny64_recipe, tmp_path):
    """One process for all commands, since each would compile anew; every command ends as the shell would see it."""
    data, run, sheet, submission = (tmp_path / name for name in ("dogs.npz", "run", "samples.png", "images.zip"))
    short = ("--set", "train.epochs=1", "--hours", "1e-9")  # stops after the first step, unscored
    commands = [
        ["prepare", dog_tree, "-o", data, "--holdout", "0.1", "--quiet"],
        ["train", data, "-r", tiny64_recipe, "-o", run, *short, "--quiet"],
        ["train", "--resume", run, "--quiet"],
        ["sample", run, "--n", "9", "-o", sheet],
        ["evaluate", run, "--real", data, "--extractor", "random", "--count", "50", "--quiet", "--json"],
        ["submit", run, "-o", submission, "--count", "50", "--quiet"],
        ["check", submission, "--count", "50"],
    ]
    code = """
from doggan import cli

for command in json.loads(sys.argv[1]):
    sys.argv = ["doggan", *command]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
import keras

assert keras.backend.backend() == "jax"
"""
    done = python(code + NONE_LOADED, json.dumps([[str(word) for word in command] for command in commands]))
    assert done.returncode == 0, done.stdout + done.stderr
    stopped, finished = "stopped at step 1 of 3", "trained all 3 steps"
    assert done.stdout.index(stopped) < done.stdout.index(finished)
    with (run / "metrics.csv").open() as table:
        *_, last = csv.DictReader(table)
    assert np.isfinite(float(last["random-kid"]))
    assert sheet.exists()
    (report,) = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert np.isfinite([report["scores"][f"random-{name}"] for name in ("fid", "mifid", "kid", "coverage")]).all()
    with zipfile.ZipFile(submission) as archive:
        assert sorted(archive.namelist()) == sorted(f"{i}.png" for i in range(50))


@needs_jax
def test_every_module_imports_but_those_whose_job_is_tensorflow():
    code = """
import importlib
import pkgutil

import doggan

failed = []
for module in pkgutil.walk_packages(doggan.__path__, "doggan."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name == "tensorflow", error
        failed.append(module.name)
import kaggle_submit

print(json.dumps(failed))
"""
    done = python(code + NONE_LOADED)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == TENSORFLOW_ONLY


@needs_jax
def test_inception_is_read_and_built(tmp_path):
    """From an `.npz` of random weights, which is chosen before the graph that only TensorFlow reads."""
    from doggan.metrics.inception_files import GRAPH_FILE, NPZ_FILE
    from doggan.metrics.inception_layers import LAYERS, npz_key

    arrays = {}
    for scope, (height, width, channels, filters) in LAYERS.items():
        arrays[f"{npz_key(scope)}.weight"] = np.zeros((filters, channels, height, width), np.float32)
        arrays |= {f"{npz_key(scope)}.{name}": np.zeros(filters, np.float32) for name in ("beta", "mean")}
        arrays[f"{npz_key(scope)}.var"] = np.ones(filters, np.float32)
    np.savez(tmp_path / NPZ_FILE, **arrays)
    (tmp_path / GRAPH_FILE).write_bytes(b"")
    code = """
from doggan.errors import DogganError
from doggan.metrics.inception import find_inception, load_inception

folder = sys.argv[1]
path = find_inception(folder)
assert path.suffix == ".npz", path
assert load_inception(path).network.output_shape == (None, 2048)
path.unlink()
try:
    load_inception(find_inception(folder))
except DogganError as error:
    assert "only TensorFlow can read" in str(error), error
else:
    raise AssertionError("a graph was read without TensorFlow")
"""
    done = python(code + NONE_LOADED, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_without_either_backend_the_sentence_says_what_to_install(backend):
    code = """
from doggan import cli

sys.argv = ["doggan", "sample", "run"]
cli.main()
"""
    done = python(code, backend=backend, hidden=("tensorflow", "jax"))
    assert done.returncode == 2
    assert f"No module named '{backend}'" in done.stderr
    assert "pip install tensorflow, or 'doggan[jax]' and set KERAS_BACKEND=jax" in done.stderr
    assert len(done.stderr.splitlines()) == 1
