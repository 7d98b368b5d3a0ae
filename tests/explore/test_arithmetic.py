"""Arithmetic on z: sums by hand, a linear generator for which pixels agree, and the command on an untrained run."""

import keras
import numpy as np
import pytest
from PIL import Image

from doggan.explore.arithmetic import Group, arithmetic, combine, order_groups
from doggan.plots.arithmetic import arithmetic_figure, numbered_sheet
from doggan.sampling import draw_z, quantise

D, SIDE = 6, 4
GROUPS = (Group(1, (0, 1)), Group(-1, (2,)), Group(1, (3, 4, 5)))


@pytest.fixture(scope="module")
def linear():
    z = keras.Input((D,))
    layer = keras.layers.Dense(SIDE * SIDE * 3, use_bias=False)
    model = keras.Model(z, keras.layers.Reshape((SIDE, SIDE, 3))(layer(z)))
    layer.set_weights([0.05 * np.random.default_rng(0).uniform(-1, 1, (D, SIDE * SIDE * 3)).astype(np.float32)])
    return model


def test_groups_come_in_the_order_of_the_formula():
    plus, minus = [(0, 1), (3, 4, 5), (6,)], [(2,), (7,)]
    assert order_groups(plus, minus) == (
        GROUPS[0], GROUPS[1], Group(-1, (7,)), GROUPS[2], Group(1, (6,))
    )  # fmt: skip
    assert order_groups([(1,)], []) == (Group(1, (1,)),)


def test_the_result_is_a_sum_of_means():
    z = np.array([[1, 2], [3, 6], [1, 1], [0, 3], [3, 0], [6, 3]], np.float32)
    np.testing.assert_allclose(combine(GROUPS, z), [2 - 1 + 3, 4 - 1 + 2])
    np.testing.assert_allclose(combine((Group(-1, (0, 0, 1)),), z), [-5 / 3, -10 / 3])


def test_means_of_three_have_together_the_length_of_one_z():
    z = draw_z(9 * 2000, 16, seed=1).reshape(2000, 9, 16)
    groups = (Group(1, (0, 1, 2)), Group(-1, (3, 4, 5)), Group(1, (6, 7, 8)))
    results = np.stack([combine(groups, each) for each in z])
    assert np.square(results).sum(-1).mean() == pytest.approx(16, rel=0.02)


@pytest.mark.both_backends
def test_of_a_linear_generator_pixels_give_the_same_as_z(linear):
    z = draw_z(8, D, seed=2)
    found = arithmetic(linear, GROUPS, z, seed=5)
    np.testing.assert_allclose(found.z, combine(GROUPS, z), rtol=1e-5, atol=1e-6)
    near = {"atol": 1.01, "rtol": 0}
    np.testing.assert_allclose(found.result.astype(int), found.pixels.astype(int), **near)
    np.testing.assert_allclose(found.means.astype(int), found.pixel_means.astype(int), **near)
    expected = quantise(linear.predict_on_batch(found.z[None]))[0]
    np.testing.assert_allclose(found.result.astype(int), expected.astype(int), **near)
    sampled = quantise(linear.predict_on_batch(z))
    for group, samples in zip(GROUPS, found.samples, strict=True):
        np.testing.assert_allclose(samples.astype(int), sampled[list(group.numbers)].astype(int), **near)
    noise = np.random.default_rng((5, 3)).uniform(-0.25, 0.25, (8, D))
    around = quantise(linear.predict_on_batch((found.z + noise).astype(np.float32)))
    np.testing.assert_allclose(found.neighbours.astype(int), around.astype(int), **near)
    still = arithmetic(linear, GROUPS, z, noise=0)
    np.testing.assert_array_equal(still.neighbours, np.repeat(still.result[None], 8, axis=0))


def test_pixels_are_counted_from_minus_one_and_cut(linear):
    z = draw_z(2, D, seed=2)
    twice = arithmetic(linear, (Group(1, (0,)), Group(1, (0,))), z)
    np.testing.assert_allclose(twice.pixels, 127.5 + 2 * (twice.samples[0][0] - 127.5), atol=2)
    many = arithmetic(linear, (Group(1, (0,)),) * 40, z)
    assert (many.pixels.min(), many.pixels.max()) == (0, 255)


@pytest.mark.parametrize(("groups", "scale"), [(GROUPS, 16), (GROUPS[:1], 7), (GROUPS * 2, 1)])
def test_nothing_on_the_figure_is_clipped(linear, tmp_path, groups, scale):
    found = arithmetic(linear, groups, draw_z(6, D, seed=0))
    arithmetic_figure(tmp_path / "a.png", found, "A title", 0.25)
    numbered_sheet(tmp_path / "n.png", np.full((scale, 28, 28, 1), 90, np.uint8), "A title")
    for name in ("a.png", "n.png"):
        with Image.open(tmp_path / name) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert all((margin == 255).all() for margin in (pixels[:12], pixels[-8:], pixels[:, :12], pixels[:, -12:]))


def test_without_groups_there_are_numbers_to_choose(doggan, told_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = doggan("explore", "arithmetic", told_run, "--n", 9)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "9 numbered samples of class Toy poodle of step 0, averaged weights: numbered.png",
        "choose some that share something, and give groups of them by --plus and --minus, as in --plus 3,7,9 "
        "--minus 1,4,8 --plus 2,5,6",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["numbered.png"]


def test_the_command_draws_the_result_of_one_class(doggan, told_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = []
    for class_name in ("golden retriever", "Golden_retriever", "toy poodle"):
        status, out, err = doggan("explore", "arithmetic", told_run, "--minus", "2", "--plus", "0,1", "--plus", "3,4,5",
                                  "--class", class_name)  # fmt: skip
        assert (status, err) == (0, "")
        drawn.append((tmp_path / "arithmetic.png").read_bytes())
    length = np.linalg.norm(combine(GROUPS, draw_z(64, D, seed=0)))
    assert out.splitlines() == [
        f"z = mean(0,1) − mean(2) + mean(3,4,5), of length {length:.2f} (a sample's is about 2.45)",
        "3 groups of samples of class Toy poodle of step 0, averaged weights: arithmetic.png",
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plus", "1,64"), "no sample 64 for --plus; choose from 0 to 63"),
        (("--plus", "1", "--minus", "x"), "--minus takes numbers of samples"),
        (("--plus", ""), "--plus takes numbers of samples"),
        (("--minus", "1,2"), "name a group by --plus too"),
        (("--plus", ",".join(map(str, range(13)))), "has room for 12"),
        (("--class", "cat"), "There is no class 'cat'"),
        (("--checkpoint", "7"), "has no checkpoint '7'"),
    ],
)
def test_a_mistake_in_arithmetic_is_one_sentence(doggan, told_run, tmp_path, options, message):
    status, out, err = doggan("explore", "arithmetic", told_run, "-o", tmp_path / "x.png", *options)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.iterdir())
