"""Paths through z: their geometry, steps and path length where both are known, and the command on a tiny run."""

import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from doggan.errors import DogganError
from doggan.explore.chosen import classes_for, sample_numbers, unrounded_pictures
from doggan.explore.interpolate import Interpolation, interpolate, lerp, path_length, slerp, walk
from doggan.metrics.extractors import RandomExtractor
from doggan.plots.interpolation import interpolation_figure, write_animation
from doggan.runs import Run
from doggan.sampling import draw_z

D, SIDE = 8, 4
SCALE = 0.02  # keeps the pictures of a linear generator within [-1, 1]


class Pixels:
    """The pixels themselves, from 0 to 255, as features; the pictures that were asked for are kept."""

    name, identity, prefix, epsilon, dimensions = "pixels", "pixels", "", 0.1, SIDE * SIDE * 3

    def __init__(self):
        self.dtypes = set()

    def features(self, images, *, batch_size=None, progress=False, pace=None):
        self.dtypes.add(images.dtype.name)
        return images.reshape(len(images), -1).astype(np.float32)


def kernel():
    """[D, SIDE² · 3], orthonormal rows: distances of pictures are those of z times SCALE · 127.5."""
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((SIDE * SIDE * 3, D)))
    return q.T.astype(np.float32)


def made(function, dimensions=D):
    z = keras.Input((dimensions,))
    return keras.Model(z, keras.layers.Reshape((SIDE, SIDE, 3))(function(z)))


@pytest.fixture(scope="module")
def linear():
    layer = keras.layers.Dense(SIDE * SIDE * 3, use_bias=False)
    model = made(layer)
    layer.set_weights([SCALE * kernel()])
    return model


def test_a_spherical_path_is_an_arc_with_lengths_between():
    z0, z1 = np.array([3.0, 0, 0]), np.array([0, 1.0, 0])
    np.testing.assert_allclose(slerp(z0, z1, 0), z0, atol=1e-12)
    np.testing.assert_allclose(slerp(z0, z1, 1), z1, atol=1e-12)
    np.testing.assert_allclose(slerp(z0, z1, 0.5), [2**0.5, 2**0.5, 0])  # length 2 at 45°
    np.testing.assert_allclose(slerp(z0, z1, 1 / 3), [7 / 3 * 3**0.5 / 2, 7 / 6, 0])
    np.testing.assert_allclose(lerp(z0, z1, 0.25), [2.25, 0.25, 0])
    a, b = draw_z(2, 64, seed=1).astype(float)
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    by_white = (np.sin(0.3 * angle) * b / np.linalg.norm(b) + np.sin(0.7 * angle) * a / np.linalg.norm(a)) / np.sin(
        angle
    )
    np.testing.assert_allclose(slerp(a, b, 0.3), by_white * (0.7 * np.linalg.norm(a) + 0.3 * np.linalg.norm(b)))
    many = slerp(np.stack([a, b])[:, None], np.stack([b, a])[:, None], np.linspace(0, 1, 5)[None])
    assert (many.shape, many.dtype) == ((2, 5, 64), np.float64)
    np.testing.assert_allclose(many[0], many[1, ::-1], atol=1e-12)


def test_vectors_without_a_great_circle_of_their_own_have_a_path_too():
    z = np.array([1.0, 2, 2])
    np.testing.assert_allclose(slerp(z, 3 * z, 0.5), 2 * z)
    np.testing.assert_allclose(slerp(z, z, 0.3), z)
    np.testing.assert_allclose(slerp(0 * z, z, 0.5), 0.5 * z)
    np.testing.assert_allclose(slerp(z, 0 * z, 0.25), 0.75 * z)
    np.testing.assert_array_equal(slerp(0 * z, 0 * z, 0.5), 0 * z)
    halfway = slerp(z, -z, 0.5)
    np.testing.assert_allclose([np.linalg.norm(halfway), halfway @ z], [3, 0], atol=1e-9)
    np.testing.assert_allclose(slerp(z, -z, 1), -z)


@pytest.mark.both_backends
def test_a_linear_generator_moves_by_known_steps(linear):
    z0, z1 = draw_z(6, D, seed=3).reshape(2, 3, D)
    pixels = Pixels()
    found = interpolate(linear, pixels, z0, z1, kinds=("linear", "spherical"), shown=3, points=9, unrelated=400)
    assert (found.pictures.dtype, found.pictures.shape) == (np.uint8, (2, 3, 3, SIDE, SIDE, 3))
    assert (found.steps.shape, pixels.dtypes) == ((2, 3, 8), {"float32"})
    factor = SCALE * 127.5
    even = np.linalg.norm(z1 - z0, axis=-1) / 8 * factor
    np.testing.assert_allclose(found.steps[0], np.repeat(even[:, None], 8, 1), rtol=1e-3)
    np.testing.assert_allclose(found.jumps[0], 1, rtol=1e-3)
    places = np.stack([slerp(z0, z1, t) for t in np.linspace(0, 1, 9)], 1)
    np.testing.assert_allclose(found.steps[1], np.linalg.norm(np.diff(places, axis=1), axis=-1) * factor, rtol=1e-3)
    expected = np.rint(127.5 + factor * 0.5 * (z0 + z1) @ kernel()).reshape(3, SIDE, SIDE, 3)
    assert np.abs(found.pictures[0, :, 1] - expected).max() <= 1
    first, second = np.moveaxis(draw_z(800, D, seed=0).reshape(400, 2, D), 1, 0)
    assert found.unrelated == pytest.approx(np.linalg.norm(first - second, axis=-1).mean() * factor, rel=1e-3)


@pytest.mark.both_backends
def test_a_generator_that_jumps_shows_it_and_a_smooth_one_does_not():
    z0, z1 = -np.ones((1, 2), np.float32), np.ones((1, 2), np.float32) * 1.1
    for function, jump in ((lambda x: ops.sign(x), 32), (lambda x: ops.tanh(0.1 * x), 1)):
        model = made(lambda z, f=function: ops.repeat(f(z[:, :1]), SIDE * SIDE * 3, axis=1), 2)
        found = interpolate(model, Pixels(), z0, z1, kinds=("linear",), unrelated=4)
        assert found.jumps[0, 0] == pytest.approx(jump, rel=0.02)
    still = replace(found, steps=np.zeros((1, 1, 8)), unrelated=0.0)
    assert still.jumps[0, 0] == 1
    assert str(still) == "all samples are alike to pixels, so there are no steps to measure"


@pytest.mark.both_backends
@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
def test_the_path_length_of_a_linear_generator_is_the_mean_square_speed_of_z(linear, epsilon):
    pairs = 300
    found = path_length(linear, Pixels(), pairs, seed=2, epsilon=epsilon, batch_size=128)
    z = draw_z(2 * pairs, D, seed=2).reshape(pairs, 2, D).astype(float)
    t = np.random.default_rng((2, 4)).random(pairs)
    lengths = np.linalg.norm(z, axis=-1)
    angle = np.arccos((z[:, 0] * z[:, 1]).sum(-1) / lengths.prod(-1))
    radius = (1 - t) * lengths[:, 0] + t * lengths[:, 1]
    speed = ((lengths[:, 1] - lengths[:, 0]) ** 2 + (radius * angle) ** 2) * (SCALE * 127.5) ** 2
    assert found.mean == pytest.approx(speed.mean(), rel=1e-2)
    assert found.error == pytest.approx(speed.std(ddof=1) / pairs**0.5, rel=1e-2)
    assert (found.pairs, found.epsilon, found.extractor) == (pairs, epsilon, "pixels")


def test_one_pair_has_no_error(linear):
    assert "±" not in str(path_length(linear, Pixels(), 1))


@pytest.mark.both_backends
def test_unrounded_pictures_have_the_features_of_rounded_ones_and_of_what_lies_between():
    extractor = RandomExtractor()
    whole = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    features = extractor.features(whole)
    np.testing.assert_allclose(extractor.features(whole.astype(np.float32)), features, rtol=1e-5, atol=1e-5)
    near = extractor.features(whole + np.float32(0.01))
    assert 0 < np.linalg.norm(near - features) < 0.02 * np.linalg.norm(extractor.features(whole + 1) - features)


def test_a_walk_comes_back_to_where_it_began(linear):
    stops = draw_z(6, D, seed=0).reshape(2, 3, D)
    frames = walk(linear, stops, frames=4)
    assert (frames.dtype, frames.shape) == (np.uint8, (12, 2, SIDE, SIDE, 3))
    np.testing.assert_array_equal(frames[::4], np.rint(np.moveaxis(unrounded_pictures(linear, stops), 0, 1)))
    last = np.rint(unrounded_pictures(linear, slerp(stops[:, 2], stops[:, 0], 0.75)))
    np.testing.assert_array_equal(frames[-1], last)


def test_a_generator_that_diverged_is_said_to_have():
    model = made(lambda z: ops.repeat(z[:, :1] / 0.0, SIDE * SIDE * 3, axis=1))
    with pytest.raises(DogganError, match="diverged"):
        unrounded_pictures(model, np.ones((1, D)))


@pytest.mark.parametrize("text", ["", "3,", "a,b", "1;2", "-1,2", "1.5,2"])
def test_what_is_no_number_is_said(text):
    with pytest.raises(DogganError, match="--plus takes numbers of samples"):
        sample_numbers(text, "--plus", 9)


def test_numbers_are_of_samples():
    assert sample_numbers("3, 0,8", "--plus", 9) == [3, 0, 8]
    with pytest.raises(DogganError, match="no sample 9 for --minus; choose from 0 to 8"):
        sample_numbers("1,9", "--minus", 9)


@pytest.mark.parametrize(("kinds", "shape"), [(("spherical", "linear"), (64, 64, 3)), (("linear",), (28, 28, 1))])
def test_nothing_on_the_sheet_is_clipped(tmp_path, kinds, shape):
    steps = np.random.default_rng(0).random((len(kinds), 2, 32))
    found = Interpolation(kinds, np.full((len(kinds), 2, 5, *shape), 90, np.uint8), steps, 1.0, "random-conv")
    interpolation_figure(tmp_path / "i.png", found, "A title", ["sample 0 to 1", "sample 123 to 456, A long name"])
    with Image.open(tmp_path / "i.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert all((margin == 255).all() for margin in (pixels[:12], pixels[-8:], pixels[:, :12], pixels[:, -12:]))


def test_animations_are_read_back(tmp_path):
    frames = np.full((4, 31, 33, 3), 255, np.uint8)
    frames[:, 5:20, 5:20] = np.arange(0, 240, 60, dtype=np.uint8)[:, None, None, None]
    write_animation(tmp_path / "w.gif", frames)
    with Image.open(tmp_path / "w.gif") as picture:
        assert (picture.n_frames, picture.info["loop"], picture.info["duration"], picture.size) == (4, 0, 50, (33, 31))
    pytest.importorskip("imageio_ffmpeg")
    import imageio.v2 as imageio

    write_animation(tmp_path / "w.mp4", frames)
    with imageio.get_reader(tmp_path / "w.mp4") as video:
        assert video.get_meta_data()["size"] == (34, 32)
        assert video.get_meta_data()["pix_fmt"].startswith("yuv420p")
        read = np.stack([frame[10, 10, 0] for frame in video])
    np.testing.assert_allclose(read, [0, 60, 120, 180], atol=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.gif", "w.mp4"]


def test_without_ffmpeg_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(DogganError, match=r"pip install 'doggan\[video\]'"):
        write_animation(tmp_path / "w.mp4", frames)
    with pytest.raises(DogganError, match=r"ends in .gif or .mp4"):
        write_animation(tmp_path / "w.avi", frames)


def test_the_command_draws_measures_and_animates(doggan, told_run, tmp_path):
    sheet, film = tmp_path / "i.png", tmp_path / "w.gif"
    status, out, err = doggan("explore", "interpolate", told_run, "-q", "-o", sheet, "--n", 2, "--steps", 3, "--ppl", 4,
                              "--animation", film, "--tiles", 2)  # fmt: skip
    assert (status, err) == (0, "")
    lines = out.splitlines()
    for line, beginning in zip(
        lines, ("spherical: feature steps", "linear: feature steps", "path length ", "2 pairs of", "2 walks of 96"),
        strict=True,
    ):  # fmt: skip
        assert line.startswith(beginning)
    with Image.open(film) as picture:
        assert picture.n_frames == 96
    with Image.open(sheet) as picture:
        assert picture.width > 700


def test_one_kind_of_path_in_one_class_between_named_samples(doggan, told_run, tmp_path):
    arguments = ("--between", "5,2", "--path", "linear", "--class", "toy poodle", "--ppl", 0, "--steps", 2)
    drawn = []
    for name in ("a.png", "b.png"):
        status, out, err = doggan("explore", "interpolate", told_run, "-q", "-o", tmp_path / name, *arguments)
        assert (status, err, len(out.splitlines())) == (0, "", 2)
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]


def test_classes_are_one_or_spread(told_run):
    opened = Run.open(told_run)
    np.testing.assert_array_equal(classes_for(opened, 3, None), [0, 1, 0])
    np.testing.assert_array_equal(classes_for(opened, 3, "golden retriever"), [1, 1, 1])
    assert classes_for(replace(opened, classes=None), 3, None) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--between", "1,2,3"), "takes two numbers"),
        (("--between", "1,x"), "takes numbers of samples"),
        (("--between", "1,20000"), "no sample 20000"),
        (("--between", "1,2", "--n", 3), "leave out --n"),
        (("--class", "cat"), "There is no class 'cat'"),
        (("--animation", "walk.avi"), "ends in .gif or .mp4"),
        (("--weights", "w.npz"), "reads no weights"),
    ],
)
def test_a_mistake_in_interpolate_is_one_sentence(doggan, told_run, tmp_path, options, message):
    status, out, err = doggan("explore", "interpolate", told_run, "-q", "-o", tmp_path / "x.png", *options)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.iterdir())
