"""A full disk: one clear sentence, the last checkpoint whole, nothing left that grows, and the run can go on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from run_checks import stop_at

from doggan.recipes import load_recipe
from doggan.runs import start_run, train
from doggan.runs.figures import Figures
from doggan.runs.history import History
from doggan.runs.stop import Stop
from doggan.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A folder on a file system of its own, of 4 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("making a small file system needs to be root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(disk):
    """Fill the file system."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(bytes(free))


def assert_refused(doggan, run, file):
    """Resuming `run` ends with one sentence about the disk and `file`, a pattern, and leaves nothing unfinished."""
    before = files(run / "checkpoints")
    status, _, err = doggan("train", "--resume", run, "--quiet")
    assert status == 2
    assert "No space left on device" in err
    assert "free some space" in err
    assert re.search(f"{re.escape(str(run))}/({file})", err), err
    assert len(err.splitlines()) == 1
    assert not [path for path in files(run) if path.name.startswith(".")]
    assert files(run / "checkpoints") == before


@pytest.mark.usefixtures("fast")
def test_a_full_disk_is_said_and_the_run_goes_on_as_far_as_there_is_room(
    doggan, small_disk, tiny_images, tiny_recipe, tmp_path, monkeypatch
):
    tiny_images.save(tmp_path / "tiny.npz")
    config = load_recipe(str(tiny_recipe), ("train.score_every=0", "train.epochs=2"))
    run = start_run(small_disk / "run", config, tiny_images, tmp_path / "tiny.npz")
    with monkeypatch.context() as patch:
        patch.setattr(Stop, "on_train_batch_end", stop_at(2))
        train(run, tiny_images, progress=False)

    # The disk fills just before one kind of file is written: training does not stand still in between.
    for owner, name, file in (
        (History, "write", r"metrics\.csv|histograms\.csv"),
        (Figures, "draw_sheet", r"samples/epoch-0001\.png"),
        (Checkpoints, "save", r"checkpoints/step-00000004\.npz"),
    ):
        write = getattr(owner, name)

        def full(self, *args, write=write, **options):
            if not (small_disk / "ballast").exists():
                fill(small_disk)
            return write(self, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            assert_refused(doggan, run.folder, file)
        (small_disk / "ballast").unlink()


LIMITED = """
import resource, sys
from doggan import cli

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
cli.main()
"""


def test_a_file_that_may_not_grow_so_large_is_said_too(tiny_images, tiny_recipe, tmp_path):
    """As a quota would have it, where no file system of one's own can be had."""
    data, run = tmp_path / "tiny.npz", tmp_path / "run"
    tiny_images.save(data)
    arguments = ("train", data, "-r", tiny_recipe, "-o", run, "--set", "train.score_every=0", "--quiet")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, arguments)],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert "File too large" in said
    assert f"{run}/checkpoints/step-00000000.npz" in said
    assert not list((run / "checkpoints").iterdir())
