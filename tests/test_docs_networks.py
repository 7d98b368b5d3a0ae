"""docs/networks.md: its example trains, resumes and samples by its own commands; and what mistakes in a network say."""

import dataclasses
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
SHORT = [
    text
    for setting in (
        "train.epochs=2",
        "train.batch_size=16",
        "train.score_every=0",
        "train.sample_every=0",
        "generator.widths=[4]",
        "discriminator.widths=[4]",
    )
    for text in ("--set", setting)
]


def blocks(language):
    """The code blocks of the page in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands():
    """The command lines of the page, each as its arguments."""
    return [shlex.split(line)[1:] for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_images):
    """The working folder of somebody who copied the page's files; what Python has imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for block in (*blocks("python"), *blocks("toml")):
        name = block.partition("\n")[0].removeprefix("# ")
        Path(name).write_text(block, encoding="utf-8")
    dataclasses.replace(tiny_images, images=tiny_images.images[:, ::4, ::4]).save(Path("dogs64.npz"))  # 8×8: quicker
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def last_weights(run):
    with np.load(max(Path(run, "checkpoints").glob("step-*.npz"))) as file:
        return {name: file[name] for name in file.files if not name.startswith("extra.")}  # which are times


def test_the_page_has_the_commands_that_are_tested_here():
    assert [arguments[:2] for arguments in commands()] == [
        ["train", "dogs64.npz"],
        ["train", "--resume"],
        ["sample", "runs/00000-tiny"],
        ["train", "dogs64.npz"],
        ["train", "dogs64.npz"],
    ]


def test_the_example_trains_resumes_exactly_and_samples(doggan, folder):
    train, resume, sample = commands()[:3]
    status, out, err = doggan(*train, *SHORT, "--hours", "1e-9", "--quiet")
    assert (status, err) == (0, "")
    assert "stopped at step 1 of 4" in out
    assert "trained all 4 steps" in doggan(*resume, "--quiet")[1]
    assert doggan(*train, *SHORT, "--out", "uninterrupted", "--quiet")[0] == 0
    resumed, uninterrupted = last_weights("runs/00000-tiny"), last_weights("uninterrupted")
    assert resumed.keys() == uninterrupted.keys()
    assert all(np.array_equal(resumed[name], uninterrupted[name]) for name in resumed)

    assert doggan(*sample)[0] == 0
    with Image.open("samples.png") as picture:
        assert np.asarray(picture).std() > 0


@pytest.mark.parametrize("number", [3, 4])
def test_the_other_commands_train(doggan, folder, number):
    status, out, err = doggan(*commands()[number], *SHORT, "--quiet")
    assert (status, err) == (0, "")
    assert "trained all 4 steps" in out


@pytest.mark.parametrize(("side", "channels"), [(16, 1), (64, 3)])
def test_the_example_makes_pictures_of_any_power_of_two(folder, side, channels):
    from doggan.config import Discriminator, Generator
    from doggan.nets import family

    g, d = (family("tiny_net", section) for section in ("generator", "discriminator"))
    shape = (side, side, channels)
    pictures = g.generator(Generator(widths=(4,)), shape, seed=1)(np.zeros((2, 128), np.float32))
    assert pictures.shape == (2, *shape)
    assert d.discriminator(Discriminator(widths=(4,)), shape, seed=1)(pictures).shape == (2, 1)
    again = g.generator(Generator(widths=(4,)), shape, seed=1)(np.zeros((2, 128), np.float32))
    assert np.array_equal(np.asarray(pictures), np.asarray(again))


IS_WRONG = "from keras import Model, layers\n\n\ndef generator(config, image_shape, n_classes, seed):\n    {}\n"
FLAT = "z = layers.Input((config.latent_dim,)); return Model(z, layers.Dense(7)(z))"
DEAF = "z = layers.Input((3,)); return Model(z, layers.Reshape(image_shape)(layers.Dense(8 * 8 * 3)(z)))"


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (None, ["generator.network=tiny_nett"], "'tiny_nett' is not one of dcgan, allconv, mlp, resnet, r3gan, nor"),
        (None, ["discriminator.network=../tiny_net"], "'../tiny_net' is not one of"),
        ("raise RuntimeError('no luck')", ["generator.network=mine"], "imported (RuntimeError: no luck)"),
        ("def f(:", ["generator.network=mine"], "imported (SyntaxError: "),
        ("import not_a_package_at_all", ["generator.network=mine"], "No module named 'not_a_package_at_all'"),
        ("", ["generator.network=mine"], "mine.py has no function `generator`"),
        ("import sys; sys.exit(3)", ["generator.network=mine"], "imported (SystemExit: 3)"),
        (
            "import mine.other",
            ["generator.network=mine"],
            "imported (ModuleNotFoundError: No module named 'mine.other'",
        ),
        (None, ["generator.network=sys"], "the module sys has no function `generator`"),
        (None, ["generator.network=tiny_net.deeper"], "is not one of dcgan, allconv, mlp"),
        (IS_WRONG.format("pass"), ["discriminator.network=mine"], "mine.py has no function `discriminator`"),
        (IS_WRONG.format("pass"), ["generator.network=mine"], "returns a NoneType; it must return a keras.Model"),
        (IS_WRONG.format(FLAT), ["generator.network=mine"], "maps [(128,)] to (7,) where [(128,)] to (8, 8, 3)"),
        (IS_WRONG.format(DEAF), ["generator.network=mine"], "maps [(3,)] to (8, 8, 3) where [(128,)] to"),
        (None, ["generator.network=tiny_net", "generator.kernel=3"], "generator.kernel = 3 is not a setting that"),
        (
            None,
            ["generator.network=tiny_net", "generator.condition=one_hot", "discriminator.condition=one_hot"],
            "set generator.condition=batch_norm",
        ),
    ],
)
def test_a_mistake_in_a_network_is_one_sentence(doggan, folder, module, settings, message):
    if module is not None:
        Path("mine.py").write_text(module, encoding="utf-8")
    settings = ["train.batch_size=16", "train.score_every=0", *settings]
    options = [text for setting in settings for text in ("--set", setting)]
    status, _, err = doggan("train", "dogs64.npz", *options, "--quiet")
    assert status == 2
    assert message in err
    assert err.startswith("doggan: ")
    assert len(err.splitlines()) == 1
    assert not Path("runs").exists()  # a second try finds nothing in its way
