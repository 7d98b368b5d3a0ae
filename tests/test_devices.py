"""Several devices: the tests marked `two_devices`, in processes of their own, and two processes that train one run."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quick_jax import quick_jax

from doggan.devices import open_devices
from doggan.errors import DogganError
from doggan.recipes import load_recipe
from doggan.runs import Run, start_run, train

ROOT = Path(__file__).parents[1]
BACKENDS = ["tensorflow"]
if importlib.util.find_spec("jax") is not None:
    BACKENDS.append("jax")

pytestmark = pytest.mark.skipif(
    os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason="it starts the other backend itself"
)


def environment(backend, **more):
    own = {"JAX_PLATFORMS": "cpu"} | quick_jax() if backend == "jax" else {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return os.environ | {"KERAS_BACKEND": backend} | own | more


@pytest.mark.parametrize("backend", BACKENDS)
def test_marked_tests_pass_on_two_devices(backend):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "two_devices and not slow"]
    done = subprocess.run(
        [*command, "tests/devices"], env=environment(backend), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def free_ports(n):
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def cluster(backend, process, ports):
    """What tells process 0 or 1 of the other."""
    if backend == "jax":
        return {
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{ports[0]}",
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": str(process),
        }
    workers = [f"127.0.0.1:{port}" for port in ports]
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": process}})}


def together(backend, *arguments, program=None):
    """Run the command, or a program with its arguments, in two processes; their (exit status, stdout, stderr)."""
    start = ["-m", "doggan"] if program is None else ["-c", program]
    ports = free_ports(2)
    processes = [
        subprocess.Popen(
            [sys.executable, *start, *map(str, arguments)],
            env=environment(backend, **cluster(backend, process, ports)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in (0, 1)
    ]
    try:
        ends = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]


def weights_of(run):
    with np.load(run.checkpoints.find("newest")) as file:
        return {name: file[name] for name in file.files if "seconds" not in name and not name.startswith("meta")}


def assert_same_run(both, one):
    """The same weights up to rounding, and the same files."""
    expected, found = weights_of(Run.open(one)), weights_of(Run.open(both))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
    written = [{str(path.relative_to(folder)) for path in folder.rglob("*")} for folder in (both, one)]
    assert written[0] == written[1]


def test_two_processes_train_one_run(tmp_path, tiny_images, tiny_recipe):
    data, settings = tmp_path / "tiny.npz", ("train.epochs=2", "train.score_every=2")
    tiny_images.save(data)
    overrides = [word for setting in settings for word in ("--set", setting)]
    command = ("train", data, "--recipe", tiny_recipe, *overrides, "--quiet", "--out", tmp_path / "both")
    (chief, other) = together("tensorflow", *command)
    assert (chief[0], other[0]) == (0, 0), chief[2] + other[2]
    assert "trained all 8 steps" in chief[1]
    assert "trained" not in other[1]
    config = load_recipe(str(tiny_recipe), settings)
    train(start_run(tmp_path / "one", config, tiny_images, data), tiny_images, progress=False)
    assert_same_run(tmp_path / "both", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_processes_stop_and_resume_together(backend, tmp_path, tiny_images, tiny_recipe):
    """Inside an epoch; against one process on one device."""
    data = tmp_path / "tiny.npz"
    tiny_images.save(data)
    settings = ("--recipe", tiny_recipe, "--set", "train.epochs=2", "--quiet")
    for status, out, err in together(backend, "train", data, *settings, "--out", tmp_path / "both", "--hours", 1e-7):
        assert status == 0, out + err
    assert [step for step, _ in Run.open(tmp_path / "both").checkpoints.saved()] == [0, 1]
    for status, out, err in together(backend, "train", "--resume", tmp_path / "both", "--quiet"):
        assert status == 0, out + err
    alone = [sys.executable, "-m", "doggan", "train", str(data), *map(str, settings), "--out", str(tmp_path / "one")]
    subprocess.run(alone, env=environment(backend), check=True, capture_output=True)
    assert_same_run(tmp_path / "both", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_processes_go_back_together(backend, tmp_path, tiny_images, tiny_recipe):
    """A D that wins at once, by the threshold that is set here, is rolled back once, and then ends the run."""
    data = tmp_path / "tiny.npz"
    tiny_images.save(data)
    program = (
        "import sys; from doggan import cli; from doggan.runs import health; "
        "health.STREAK, health.WON = 6, 1e9; sys.argv[0] = 'doggan'; cli.main()"
    )
    arguments = ("train", data, "--recipe", tiny_recipe, "--set", "train.score_every=0", "--out", tmp_path / "run")
    (chief, other) = together(backend, *arguments, "--quiet", program=program)
    assert (chief[0], other[0]) == (0, 0), chief[2] + other[2]
    assert "back to step 0" in chief[2]
    assert "rolled back at step 6 already, so it ends here" in chief[2]
    assert (tmp_path / "run" / "rollback.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG is not understood"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "TF_CONFIG is not understood"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "one of the 1 as this task"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {"type": "worker", "index": 0}}',
            "workers only",
        ),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(DogganError, match=message):
        open_devices()
