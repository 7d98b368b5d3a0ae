"""The README, followed to the letter: every block of commands, every setting, every recipe, every link.

The commands run in this process and in their order, in a folder that has what a reader would have. Networks are a few
channels wide and see few pictures, and a stand-in replaces the network that scores; all else is real. What fetches,
serves or has minutes of work has tests of its own, and only its command line is read here.
"""

import configparser
import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from fake_extractor import FakeExtractor

import doggan as package
from doggan.cli import cli
from doggan.config import Config, Init
from doggan.recipes import flatten, recipe_names
from doggan.submission import check_submission

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ELSEWHERE = {"demo": "test_demo.py", "download": "data/test_download.py", "play": "play", "toy": "test_toy.py"}


def lines_of(block):
    """Its commands, without what the prompt of a notebook and comments add."""
    lines = (line.split("  #")[0].strip() for line in block.splitlines())
    return [part.strip() for line in lines if line for part in line.lstrip("!").split("&&")]


def words_of(line):
    words = shlex.split(line, comments=True) or [""]
    return words[1:] if Path(words[0]).name == "doggan" else None


def parsed(words):
    """The command that such words name, its arguments read and checked as far as no file must exist."""
    command, context = cli, click.Context(cli, info_name="doggan")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, list(words))
        context = command.make_context(name, list(words), parent=context)
        words = [*context._protected_args, *context.args] if isinstance(command, click.Group) else []
    return command


def narrow(config, load):
    """The same recipe in seconds: 8 channels, two steps an epoch; residual ones with networks that compile sooner."""
    like = load("dogs-cgan") if config.generator.network == "resnet" else config  # told the breed, too
    g, d = like.generator, like.discriminator
    base = {"base_depth": 8} if g.network == "dcgan" else {}
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, n_images=16),
        generator=dataclasses.replace(
            g,
            latent_dim=6,
            widths=(8,) * len(g.widths),
            bn=dataclasses.replace(g.bn, momentum=0.5),  # after two steps its pictures differ already
            init=Init(std=0.2),
            **base,
        ),
        discriminator=dataclasses.replace(d, widths=(8,) * len(d.widths)),
        train=dataclasses.replace(
            config.train, epochs=1, batch_size=8, score_samples=16, samples=4, precision="float32"
        ),
        sampling=dataclasses.replace(config.sampling, bn_samples=min(config.sampling.bn_samples, 100)),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory, dog_tree):
    """A reader's folder: the photographs, MNIST, some pictures of theirs."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "data").mkdir()
    (folder / "data" / "stanford-dogs").symlink_to(dog_tree)
    rng = np.random.default_rng(0)
    mnist = folder / "data" / "mnist"
    mnist.mkdir()
    sizes = {"train": 60, "test": 20}
    np.savez(
        mnist / "mnist.npz",
        **{f"x_{name}": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for name, n in sizes.items()},
        **{f"y_{name}": (np.arange(n) % 10).astype(np.uint8) for name, n in sizes.items()},
    )
    (folder / "my-pictures").mkdir()
    for i in range(24):
        cv2.imwrite(str(folder / "my-pictures" / f"{i}.png"), rng.integers(0, 256, (70, 90, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def reader(home, monkeypatch):
    """The reader's folder as the current one, and networks that train in it in seconds."""
    from doggan import recipes
    from doggan.evaluation import scoring
    from doggan.explore import neighbors

    load = recipes.load_recipe
    monkeypatch.chdir(home)
    monkeypatch.setattr(recipes, "load_recipe", lambda *args: narrow(load(*args), load))
    for module in (scoring, neighbors):
        monkeypatch.setattr(module, "load_extractor", lambda *args, **options: FakeExtractor())
    monkeypatch.setattr("doggan.runs.scores.FEWEST_HELDOUT", 10_000)  # two held-out dogs are too few to score with
    return home


def run(doggan, words):
    assert parsed(words) is not None
    if words[0] in ELSEWHERE:
        assert (ROOT / "tests" / ELSEWHERE[words[0]]).exists()
        return
    status, out, err = doggan(*words)
    assert status == 0, f"doggan {' '.join(words)}: {out}\n{err}"


def block_with(text):
    (found,) = (block for _, block in BLOCKS if text in block)
    return found


def test_the_walk(reader, doggan):
    for line in lines_of(block_with("doggan download stanford-dogs                ")):
        run(doggan, words_of(line))
    assert check_submission("images.zip").count == 10_000
    assert (reader / "runs" / "00000-dogs-dcgan" / "report.html").exists()
    assert {"samples.png", "sheet.png", "breeds.png", "dogs64.npz"} <= {path.name for path in reader.iterdir()}


def test_the_walk_in_python(reader):
    names = {}
    exec(block_with("prepared = doggan.prepare"), names)
    assert names["pictures"].shape == (64, 64, 64, 3)
    assert names["run"].folder.name.endswith("-dogs-dcgan")


def test_other_pictures(reader, doggan):
    commands = [words_of(line) for line in lines_of(block_with("--dataset mnist data/mnist"))]
    for words in commands:
        if words[0] == "train":  # the README counts runs from zero
            words += ["--out", "runs/00001-mnist-cgan" if "mnist-cgan" in words else "runs/00002-folder-dcgan"]
        run(doggan, words)


def test_plain_keras(reader, doggan, capsys):
    run(doggan, ["prepare", "data/stanford-dogs", "--holdout", "0.1", "--quiet"])
    names = {}
    exec(block_with("gan.fit(").replace("128", "8"), names)
    assert names["gan"].generator.output_shape == (None, 64, 64, 3)


def test_the_cell_for_colab(reader, doggan, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(reader / "data")
    monkeypatch.chdir(tmp_path)
    for line in lines_of(block_with("%pip install")):
        if words_of(line) is not None:
            run(doggan, words_of(line))


def test_a_gpu_at_home(reader, doggan, tmp_path, monkeypatch):
    """Its recipe is Colab's, so training is not repeated."""
    (tmp_path / "data").symlink_to(reader / "data")
    monkeypatch.chdir(tmp_path)
    commands = [words_of(line) for line in lines_of(block_with("'.[gpu]'"))]
    for words in filter(None, commands):
        if words[0] == "train":
            parsed(words)
        else:
            run(doggan, words)


def test_what_is_installed_and_made():
    """make knows the targets; pip the extras; the wheel has the name that Colab's cell gives it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for line in (line for kind, block in BLOCKS for line in lines_of(block) if words_of(line) is None):
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
        elif Path(program).name == "pip" or program == "%pip":
            for extra in re.findall(r"\[([\w,]+)\]", line):
                assert set(extra.split(",")) <= set(setup["options.extras_require"])
            if ".whl" in line:
                assert f"doggan-{package.__version__}-py3-none-any.whl" in line
    assert "doggan" in setup["options.entry_points"]["console_scripts"]


def test_the_wheel_holds_the_package_and_the_script_runs_beside_it(tmp_path):
    """The block that builds for Kaggle, its wheel alone in a folder, and what the kernel's cell then starts."""
    build, copy = lines_of(block_with("pip wheel"))
    program, *words = shlex.split(build)
    words[words.index("-w") + 1] = str(tmp_path)
    words[words.index(".")] = str(ROOT)
    subprocess.run([sys.executable, "-m", program, *words, "--no-build-isolation", "-q"], check=True)
    (wheel,) = tmp_path.glob("doggan-*.whl")
    assert shlex.split(copy)[:2] == ["cp", "kaggle_submit.py"]
    script = ROOT / "kaggle_submit.py"
    code = f"import sys; sys.path.insert(0, {str(wheel)!r}); import doggan; print(doggan.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert str(wheel) in done.stdout
    options = shlex.split(lines_of(block_with("pip install --no-index"))[1])[2:]
    done = subprocess.run([sys.executable, script, *options, "--help"], capture_output=True, text=True, check=True)
    assert "--hours" in done.stdout


def test_every_block_is_run_by_one_of_these():
    texts = ("doggan download stanford-dogs                ", "prepared = doggan.prepare", "--dataset mnist data/mnist",
             "gan.fit(", "%pip install", "'.[gpu]'", "pip wheel", "pip install --no-index", "make demo",
             ".venv/bin/pip install -e .\n")  # fmt: skip
    assert all(any(text in block for text in texts) for _, block in BLOCKS)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_in_all_pages_can_be_typed(path):
    blocks = re.findall(r"^```sh\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in (line for block in blocks for line in lines_of(block.replace("\\\n", ""))):
        command = re.search(r"^(?:\w+=\S+ )*(doggan .*)", line)
        if command:
            parsed(words_of(re.split(r" [|&>]", command[1])[0]))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_recipe_is_in_the_table_and_no_other():
    table = README[README.index("| recipe | what it is |") :]
    rows = [line.strip("| ").split(" | ") for line in table[: table.index("\n\n")].splitlines()[2:]]
    assert sorted(row[0].strip("`") for row in rows) == recipe_names()
    assert all(len(row) == 7 and all(row) for row in rows)


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_settings_exist_and_have_the_defaults_that_the_tables_say(page):
    settings = flatten(Config())
    text = (ROOT / page).read_text(encoding="utf-8")
    tables = [
        part[: part.index("\n\n")].splitlines()[2:] for part in re.split(r"^(?=\| setting \|)", text, flags=re.M)[1:]
    ]
    rows = [row.split(" | ")[:2] for table in tables for row in table]
    assert len(rows) > 15
    for names, default in ((re.findall(r"`([\w.]+)`", names), default) for names, default in rows):
        assert names[0] in settings
        value = settings[names[0]]
        said = re.match(r"`?([^`(]*)", default)[1].strip()
        if isinstance(value, bool):
            assert said == str(value).lower(), names
        elif isinstance(value, int | float):
            assert float(re.match(r"[\d.e,-]*[\d.]", said)[0].replace(",", "")) == value, names
        elif isinstance(value, str):
            assert said == value, names
