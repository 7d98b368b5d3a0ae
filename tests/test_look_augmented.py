"""`doggan look --augment`: what the discriminator sees, as a picture for people."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from doggan import plots
from doggan.config import Augment, InstanceNoise

POLICY = ('--set=augment.policy=["color","translation","cutout"]', "--set=augment.probability=0.8")
HEAD, MARGIN, GAP, APART = 100, 24, 6, 24  # of the sheet, in pixels


@pytest.fixture
def data(tiny_images, tmp_path):
    path = tmp_path / "tiny.npz"
    tiny_images.save(path)
    return path


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def parts(path, rows, size, views):
    """The column of real pictures and the block of views, as they stand on the sheet."""
    sheet, height = read(path), rows * (size + GAP) - GAP
    start = MARGIN + size + APART
    assert sheet.shape[0] == HEAD + height + MARGIN
    body = sheet[HEAD : HEAD + height]
    return body[:, MARGIN : MARGIN + size], body[:, start : start + views * (size + GAP) - GAP]


def test_sheet_has_a_row_per_picture(tmp_path):
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (3, 12, 12, 1), dtype=np.uint8)
    views = rng.integers(0, 256, (3, 5, 12, 12, 1), dtype=np.uint8)
    plots.augmented_sheet(tmp_path / "sheet.png", real, views, "title", "views")
    left, right = parts(tmp_path / "sheet.png", rows=3, size=96, views=5)
    np.testing.assert_array_equal(left, plots.grid(real, 1, GAP, scale=8))
    row = plots.grid(views[1], 5, GAP, scale=8)
    np.testing.assert_array_equal(right[102 : 102 + 96], row)
    head = read(tmp_path / "sheet.png")[:HEAD]
    assert (head[:60] < 128).any(), "no title"
    assert (head[60:, :120] < 128).any(), "no word above the real pictures"
    assert (head[60:, 120:] < 128).any(), "no word above the views"


def test_shows_what_the_discriminator_would_see(doggan, data, tiny_images, tiny_recipe, tmp_path):
    from doggan.sampling import quantise
    from doggan.training.augment import views

    noise = "--set=instance_noise.std=0.2"
    status, out, err = doggan("look", data, "-o", tmp_path, "--augment", tiny_recipe, *POLICY, noise, "--seed", 5)
    assert (status, err) == (0, "")
    assert f"augmented: {tmp_path / 'augmented.png'}" in out
    assert (tmp_path / "sheet.png").exists()
    left, right = parts(tmp_path / "augmented.png", rows=8, size=96, views=8)
    real = plots.representatives(tiny_images, 8, 5).images
    np.testing.assert_array_equal(left, plots.grid(real, 1, GAP, scale=3))
    augment = Augment(policy=("color", "translation", "cutout"), probability=0.8)
    seen = quantise(views(real, augment, InstanceNoise(std=0.2), 8, seed=5))
    np.testing.assert_array_equal(right, plots.grid(seen.reshape(-1, 32, 32, 3), 8, GAP, scale=3))


def test_the_seed_decides(doggan, data, tiny_recipe, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert doggan("look", data, "-o", tmp_path / name, "--augment", tiny_recipe, *POLICY, "--seed", seed)[0] == 0
    one, again, other = ((tmp_path / name / "augmented.png").read_bytes() for name in ("one", "again", "other"))
    assert one == again
    assert one != other


def test_fewer_pictures_fewer_rows(doggan, data, tiny_recipe, tmp_path):
    assert doggan("look", data, "-o", tmp_path, "--n", 2, "--augment", tiny_recipe, *POLICY)[0] == 0
    parts(tmp_path / "augmented.png", rows=2, size=96, views=8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--augment", "dogs-dcgan"), "Recipe dogs-dcgan augments nothing; give it a policy"),
        (("--augment", "dogs-dcgan", *POLICY, "--set=augment.probability=0"), "augment.probability = 0 never applies"),
        (("--augment", "dogs-dcgan", *POLICY, "--set=augment.target=0.6"), "leave augment.probability out"),
        (
            ("--augment", "dogs-dcgan", "--set=instance_noise.std=0.1", "--set=instance_noise.until=0"),
            "fades the noise before the first step",
        ),
        (("--augment", "dogs-dcgan", '--set=augment.policy=["blur"]'), "'blur' is not one of color, translation, cut"),
        (("--augment", "dogs-dogs"), "no recipe 'dogs-dogs'"),
        (("--set", "augment.probability=1"), "name it with --augment"),
    ],
)
def test_mistakes_write_nothing(doggan, data, tmp_path, arguments, message):
    status, out, err = doggan("look", data, "-o", tmp_path / "out", *arguments)
    assert status == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_empty_set_is_refused(doggan, tiny_images, tmp_path):
    tiny_images.select(slice(0, 0)).save(tmp_path / "empty.npz")
    status, _, err = doggan("look", tmp_path / "empty.npz", "-o", tmp_path, "--augment", "dogs-dcgan", *POLICY)
    assert status == 2
    assert "no pictures to draw" in err


def test_noise_alone_is_something_to_see(doggan, data, tmp_path):
    assert doggan("look", data, "-o", tmp_path, "--augment", "dogs-dcgan", "--set=instance_noise.std=0.1")[0] == 0
    left, right = parts(tmp_path / "augmented.png", rows=8, size=96, views=8)
    difference = right[:, :96].astype(float) - left
    assert 0 < np.abs(difference).mean() < 20


def test_a_probability_that_adapts_is_shown_at_its_most(doggan, data, tmp_path, monkeypatch):
    """It starts at 0, where there is nothing to see; the title says so."""
    titles, draw = [], plots.augmented_sheet
    monkeypatch.setattr(
        plots,
        "augmented_sheet",
        lambda path, real, seen, *texts: (titles.append(texts[0]), draw(path, real, seen, *texts)),
    )
    policy = '--set=augment.policy=["color","cutout"]'
    for name, target in (("fixed", "0"), ("adaptive", "0.6")):
        arguments = ("--augment", "dogs-dcgan", policy, f"--set=augment.target={target}")
        assert doggan("look", data, "-o", tmp_path / name, *arguments)[0] == 0
    assert titles == [
        "color, cutout, each with probability 1",
        "color, cutout, as at p = 1; training starts at 0 and adapts it",
    ]
    fixed, adaptive = (
        parts(tmp_path / n / "augmented.png", rows=8, size=96, views=8)[1] for n in ("fixed", "adaptive")
    )
    np.testing.assert_array_equal(fixed, adaptive)


def test_plain_look_loads_no_framework(data, tmp_path):
    code = (
        "import sys; from doggan import cli\n"
        f"sys.argv = ['doggan', 'look', {str(data)!r}, '-o', {str(tmp_path)!r}]\n"
        "try: cli.main()\n"
        "finally: print(*(name for name in ('tensorflow', 'keras', 'jax') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (tmp_path / "sheet.png").exists()
    assert done.stdout.splitlines()[-1] == ""
