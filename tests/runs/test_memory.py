"""Memory stays flat: what a process holds does not grow with the steps it trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STEPS, WARM_UP = 2000, 500
LIMIT = 2048  # bytes a step; one MiB more for the allocator, in the middle, is 800 of them
# Trains a run in an own process and prints its resident memory by step; a leak is so many bytes kept a step.
PROGRAM = """
import json, os, sys
from pathlib import Path

import numpy as np

from doggan.data.imageset import ImageSet
from doggan.recipes import load_recipe
from doggan.runs import start_run, train
from doggan.runs.recorder import Recorder

folder, recipe, leak = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
n, epochs = 1000, 5
rng = np.random.default_rng(0)
images = ImageSet(
    images=rng.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8),
    labels=np.zeros(n, np.int32),
    class_names=("noise",),
    source_ids=np.array([str(i) for i in range(n)]),
    boxes=np.zeros((n, 4), np.int32),
    split=np.zeros(n, np.uint8),
)
settings = (
    *(f"train.epochs={epochs}", "train.sample_every=1", "train.score_every=1", "train.checkpoint_minutes=0.02"),
    *("train.batch_size=2", "generator.base_depth=2", "generator.widths=[2, 2]", "discriminator.widths=[2, 2]"),
)
run = start_run(folder, load_recipe(recipe, settings), images, folder / "tiny.npz")
measured, kept = [], []
after_call = Recorder.on_train_batch_end

def measure(self, batch, logs=None):
    after_call(self, batch, logs)
    kept.append(os.urandom(leak))
    if self.step % 10 == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        measured.append((self.step, pages * os.sysconf("SC_PAGESIZE")))

Recorder.on_train_batch_end = measure
train(run, images, progress=False)
print(json.dumps(measured))
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")


def slope(folder, recipe, leak=0):
    """Bytes a step, by least squares over the steps after warm-up."""
    import numpy as np

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(recipe), str(leak)],
        check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    step, memory = np.array(json.loads(done.stdout.splitlines()[-1])).T
    late = step > WARM_UP
    assert step[late].max() >= WARM_UP + STEPS
    print(f"{memory[late][0] / 2**20:.1f} MiB at step {step[late][0]}, {memory[-1] / 2**20:.1f} at {step[-1]}")
    return float(np.polyfit(step[late], memory[late], 1)[0])


def test_memory_does_not_grow_with_the_steps(tmp_path, tiny_recipe):
    """A leak shows in each of three processes; what the allocator takes once, and late in one of them, does not."""
    found = []
    while len(found) < 3 and (not found or found[-1] >= LIMIT):
        found.append(slope(tmp_path / f"run-{len(found)}", tiny_recipe))
    print(f"{', '.join(f'{each:.0f}' for each in found)} bytes a step")
    assert min(found) < LIMIT


@pytest.mark.slow
def test_a_leak_would_be_seen(tmp_path, tiny_recipe):
    found = slope(tmp_path / "run", tiny_recipe, leak=3 * LIMIT)
    print(f"{found:.0f} bytes a step")
    assert found > 2 * LIMIT
