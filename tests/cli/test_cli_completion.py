"""Completion: commands, runs, data, recipes, settings and their values; and in a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete, get_completion_class

import doggan.cli.completion  # noqa: F401  which has bash's own class
from doggan.cli import cli
from doggan.recipes import recipe_names


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """Words typed so far, the last one begun → what may stand in its place; beside two runs and one data set."""
    for name in ("runs/00000-dogs-dcgan", "runs/00001-mnist-gan", "elsewhere/mine", "runs/none"):
        (tmp_path / name).mkdir(parents=True)
        if not name.endswith("none"):
            (tmp_path / name / "config.json").touch()
    (tmp_path / "dogs64.npz").touch()
    (tmp_path / "my.toml").touch()
    monkeypatch.chdir(tmp_path)

    def made(*words):
        *typed, begun = words
        found = ShellComplete(cli, {}, "doggan", "_DOGGAN_COMPLETE").get_completions(list(typed), begun)
        return [item.value for item in found]

    return made


def test_commands(complete):
    assert complete("s") == ["sample", "submit"]
    assert complete("explore", "a") == ["arithmetic", "attention"]


@pytest.mark.parametrize("command", [["sample"], ["report"], ["train", "--resume"], ["explore", "overfit"]])
def test_runs(complete, command):
    assert complete(*command, "") == ["runs/00000-dogs-dcgan", "runs/00001-mnist-gan"]
    assert complete(*command, "runs/00001") == ["runs/00001-mnist-gan"]
    assert complete(*command, "elsewhere/") == ["elsewhere/mine"]


def test_data(complete):
    assert complete("train", "") == ["dogs64.npz"]
    assert complete("look", "do") == ["dogs64.npz"]


def test_recipes(complete):
    assert complete("train", "--recipe", "dogs-b") == ["dogs-best", "dogs-best-whole"]
    assert complete("train", "-r", "") == [*recipe_names(), "my.toml"]


def test_settings_and_their_values(complete):
    assert complete("train", "--set", "train.ep") == ["train.epochs="]
    assert complete("train", "--set", "lr.schedule=") == [
        f"lr.schedule={how}" for how in ("cosine", "linear", "constant")
    ]
    assert complete("train", "--set", "data.flip=f") == ["data.flip=false"]
    assert complete("train", "--set", "train.epochs=") == []


def test_it_is_quick_to_import():
    code = "import sys; import doggan.cli.completion, doggan.cli.training; print({'keras', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program(doggan, shell):
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is none on the PATH")
    status, out, _ = doggan("completion", shell)
    assert status == 0
    assert "_DOGGAN_COMPLETE" in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on the PATH")
def test_in_bash(complete, tmp_path):
    """The function that the script defines, called as bash calls it."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = """
        eval "$(doggan completion bash)"
        COMP_WORDS=(doggan train --recipe mnist-) COMP_CWORD=3
        _doggan_completion doggan
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == ["mnist-cgan", "mnist-dcgan", "mnist-gan", "mnist-lsgan"], done.stderr


@pytest.mark.parametrize(
    ("words", "place", "wanted"),
    [
        ("doggan train --set lr.schedule = li", 5, ["linear"]),
        ("doggan train --set lr.schedule =", 4, ["cosine", "linear", "constant"]),
        ("doggan train --set lr.schedule=li", 3, ["lr.schedule=linear"]),  # of a bash told to leave = alone
        ("doggan train --recipe = mnist-g", 4, ["mnist-gan"]),
        ("doggan train --set = data.flip = t", 6, ["true"]),
        ("doggan train --set lr.schedule = linear ", 6, ["dogs64.npz"]),
        ("doggan train --set train.epochs = 3 --set train.ep", 7, ["train.epochs="]),
        ("doggan explore ov", 2, ["overfit"]),
    ],
)
def test_bash_cuts_words_at_the_equals_sign(complete, monkeypatch, words, place, wanted):
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(place))
    answer = get_completion_class("bash")(cli, {}, "doggan", "_DOGGAN_COMPLETE").complete()
    assert answer.splitlines() == [f"plain,{value}" for value in wanted]
