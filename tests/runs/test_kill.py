"""Killed at any moment, also while a checkpoint is written, a run resumes to the same weights, table and sheets."""

import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from run_checks import assert_equal_runs, rows

from doggan.data.imageset import ImageSet
from doggan.recipes import override
from doggan.runs import Run, start_run, train

WAIT = 120.0  # seconds
UNFINISHED = ".unfinished-"
STEPS_AN_EPOCH = 15


@dataclass(frozen=True)
class Kill:
    """How a process was killed.

    Attributes:
        after: seconds since its first checkpoint of a step it trained.
        steps: of the checkpoints it left, those of earlier processes included.
        writing: the files that it was writing.
    """

    after: float
    steps: tuple[int, ...]
    writing: tuple[str, ...]

    def __str__(self) -> str:
        writing = f"while writing {', '.join(self.writing)}" if self.writing else "between writes"
        return f"{self.after:6.3f} s after its first checkpoint, {writing}; resumes from step {max(self.steps)}"


@pytest.fixture
def settings(tiny_images, tiny_recipe, tmp_path):
    """The arguments of a run that saves after every step and scores every other epoch; and its pictures."""
    rng = np.random.default_rng(2)
    chosen = np.concatenate([rng.integers(0, 32, 120), np.arange(32, 40)])
    images = tiny_images.select(chosen)
    images = ImageSet(**{**vars(images), "source_ids": np.array([f"{i}" for i in range(len(images))])})
    images.save(tmp_path / "tiny.npz")

    def make(epochs):
        overrides = (f"train.epochs={epochs}", "train.score_every=2", f"train.sample_every={epochs // 2}",
                     "train.keep=3", "train.checkpoint_minutes=1e-5")  # fmt: skip
        words = [word for setting in overrides for word in ("--set", setting)]
        return images, (tmp_path / "tiny.npz", "--recipe", tiny_recipe, *words)

    return make


def start(*arguments):
    command = [sys.executable, "-m", "doggan", "train", *map(str, arguments), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for(condition, process):
    end = time.monotonic() + WAIT
    while not condition():
        assert process.poll() is None, "training ended before it could be stopped"
        assert time.monotonic() < end
        time.sleep(0.0005)


def steps(run):
    found = (
        re.fullmatch(r"step-(\d+)(?:-within)?\.npz", path.name) for path in (run / "checkpoints").glob("step-*.npz")
    )
    return tuple(sorted(int(match[1]) for match in found if match))


def writing(run):
    return tuple(path.name for path in run.rglob(f"{UNFINISHED}*"))


def kill(process, run, delay, within_write):
    """SIGKILL `delay` seconds after the process first saved, or when it next writes a checkpoint after that."""
    before = max(steps(run), default=0)
    wait_for(lambda: max(steps(run), default=0) > before, process)
    first = time.monotonic()
    time.sleep(delay)
    if within_write:
        wait_for(lambda: any("step-" in name or "best-" in name for name in writing(run)), process)
    process.kill()
    assert process.wait(WAIT) == -signal.SIGKILL
    return Kill(time.monotonic() - first, steps(run), writing(run))


def killed_again_and_again(run, arguments, kills, longest, seed):
    rng = random.Random(seed)
    for number in range(kills):
        process = start(*(("--resume", run) if number else (*arguments, "--out", run)))
        yield kill(process, run, rng.uniform(0, longest), within_write=number % 2 == 1)


def inside_an_epoch(kill):
    return max(kill.steps) % STEPS_AN_EPOCH > 0


def check(folder, images, data):
    """Train the killed run to its end, and one that was neither killed nor saved within epochs; and compare."""
    run = Run.open(folder)
    assert str(train(run, images, progress=False)) == f"trained all {STEPS_AN_EPOCH * run.config.train.epochs} steps"
    rarely = override(run.config, ("train.checkpoint_minutes=0",))
    whole = start_run(folder.with_name("whole"), rarely, images, data)
    train(whole, images, progress=False)
    assert_equal_runs(whole, run)
    steps = [STEPS_AN_EPOCH * epoch for epoch in range(run.config.train.epochs + 1)]
    assert [int(row["step"]) for row in rows(run)] == steps
    assert not writing(folder)


def test_a_process_killed_three_times_ends_as_one_that_never_was(settings, tmp_path):
    images, arguments = settings(epochs=4)
    run = tmp_path / "broken"
    kills = list(killed_again_and_again(run, arguments, kills=3, longest=0.3, seed=time.time_ns()))
    print(*kills, sep="\n")
    assert any("step-" in name or "best-" in name for name in kills[1].writing)
    assert any(inside_an_epoch(kill) for kill in kills)
    check(run, images, tmp_path / "tiny.npz")


@pytest.mark.slow
def test_a_process_killed_twenty_times_ends_as_one_that_never_was(settings, tmp_path, capsys):
    images, arguments = settings(epochs=40)
    run = tmp_path / "broken"
    during = inside = 0
    for number, killed in enumerate(killed_again_and_again(run, arguments, kills=20, longest=0.4, seed=5), start=1):
        during += bool(killed.writing)
        inside += inside_an_epoch(killed)
        with capsys.disabled():
            print(f"\nkill {number:2}: {killed}", end="", flush=True)
    assert during >= 10
    assert inside >= 10
    check(run, images, tmp_path / "tiny.npz")
    with capsys.disabled():
        print("\nresumed to the end: equal to the run that was not killed, bit for bit")
