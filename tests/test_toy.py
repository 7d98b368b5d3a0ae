"""The one-dimensional GAN: the theory in closed form, and that training comes to it."""

import itertools
import math

import numpy as np
import pytest
from PIL import Image
from scipy.integrate import quad
from scipy.special import xlogy
from scipy.stats import norm

from doggan.errors import DogganError
from doggan.toy import (
    EDGES,
    MIDDLES,
    best_discriminator,
    data_masses,
    draw_data,
    generated_masses,
    jensen_shannon,
    toy,
    train,
    value,
)

LOG_4 = math.log(4)


def masses(mean, std=1.0):
    """Those of a normal on the grid, its outermost bins to infinity."""
    return np.diff(norm.cdf([-np.inf, *EDGES[1:-1], np.inf], mean, std))


def test_best_discriminator_of_two_normals_is_logistic():
    """log N(x; 1, 1) − log N(x; −1, 1) = 2x, so D* = σ(2x)."""
    d = best_discriminator(masses(1), masses(-1))
    np.testing.assert_allclose(d, 1 / (1 + np.exp(-2 * MIDDLES)), atol=1e-3)


def test_best_discriminator_by_hand():
    d = best_discriminator(np.array([0.5, 0.5, 0, 0]), np.array([0.5, 0, 0.5, 0]))
    assert list(d) == [0.5, 1, 0, 0.5]


def test_value_by_hand():
    real, fake, d = np.array([0.75, 0.25]), np.array([0.5, 0.5]), np.array([0.8, 0.4])
    by_hand = 0.75 * math.log(0.8) + 0.25 * math.log(0.4) + 0.5 * math.log(0.2) + 0.5 * math.log(0.6)
    assert value(real, fake, d) == pytest.approx(by_hand, rel=1e-12)


def test_value_of_two_normals():
    """For N(±1, 1) and D = σ(2x) both terms are E log σ(2x), x ~ N(1, 1), here by Gauss-Hermite quadrature."""
    x, weights = np.polynomial.hermite_e.hermegauss(80)
    expected = 2 * np.sum(weights * -np.logaddexp(0, -2 * (x + 1))) / math.sqrt(2 * math.pi)
    real, fake = masses(1), masses(-1)
    assert value(real, fake, best_discriminator(real, fake)) == pytest.approx(expected, abs=1e-4)


def test_value_of_equals_is_minus_log_4():
    real = masses(0.3)
    assert value(real, real, best_discriminator(real, real)) == pytest.approx(-LOG_4, abs=1e-12)


def test_value_of_a_certain_mistake():
    one, other = np.array([1.0, 0]), np.array([0, 1.0])
    assert value(one, other, one) == 0
    assert value(one, other, other) == -math.inf


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (1, 0.8), (-1, 1.5)])
def test_no_discriminator_is_better_than_the_best(mean, std):
    real, fake = masses(0), masses(mean, std)
    best = best_discriminator(real, fake)
    highest = value(real, fake, best)
    assert highest == pytest.approx(-LOG_4 + 2 * jensen_shannon(real, fake), abs=1e-9)
    for by in (-0.1, 0.1):
        assert value(real, fake, np.clip(best + by, 0.01, 0.99)) < highest


def test_jensen_shannon():
    one, other = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == pytest.approx(math.log(2), rel=1e-12)
    # m = (¼, ½, ¼), so that either KL is ½ log 2.
    p, q = np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])
    assert jensen_shannon(p, q) == pytest.approx(math.log(2) / 2, rel=1e-12)


@pytest.mark.parametrize(("slope", "shift"), [(0.7, 0.3), (-1.2, -0.5)])
def test_an_affine_generator_makes_a_normal(slope, shift):
    fake = generated_masses(lambda z: slope * z + shift)
    np.testing.assert_allclose(fake, masses(shift, abs(slope)), atol=2e-4)
    assert fake.sum() == pytest.approx(1, abs=1e-12)


def test_a_generator_that_folds():
    """x = z² has the distribution of χ² with one degree of freedom; what is beyond the grid is in its last bin."""
    fake = generated_masses(np.square)
    assert fake[MIDDLES < 0].sum() == 0
    at_one = fake[MIDDLES < 0.99].sum()
    assert at_one == pytest.approx(2 * norm.cdf(math.sqrt(0.99)) - 1, abs=2e-4)
    assert fake[-1] == pytest.approx(2 * norm.sf(math.sqrt(5.97)), abs=2e-4)


def test_data_are_drawn_from_the_masses():
    real = data_masses()
    assert real.sum() == pytest.approx(1, abs=1e-12)
    x = draw_data(np.random.default_rng(0), (200_000,))
    assert x.dtype == np.float32
    drawn = np.histogram(x, EDGES)[0] / len(x)
    # The largest of 400 deviations of a cumulated histogram: 1.63 / √n is Kolmogorov's bound at 1%.
    assert np.abs(np.cumsum(drawn) - np.cumsum(real)).max() < 1.63 / math.sqrt(len(x))


def best_value_density(x):
    """What V(G, D*) is the integral of, for the untrained G, which makes the standard normal."""
    p, q = 0.35 * norm.pdf(x, -1, 0.5) + 0.65 * norm.pdf(x, 2, 0.8), norm.pdf(x)
    return xlogy(p, p / (p + q)) + xlogy(q, q / (p + q))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A third of the steps of the command."""
    return toy(tmp_path_factory.mktemp("toy") / "toy.png", alone=500, steps=1500, progress=False)


def test_d_alone_approaches_the_best_d(result):
    """Proposition 1, where G is as it began: D* is known, and is neither ½ nor a step."""
    start, fixed = result.moments[0], result.fixed
    np.testing.assert_allclose(start.fake, masses(0), atol=2e-4)
    np.testing.assert_array_equal(fixed.fake, start.fake)
    assert np.ptp(fixed.best[np.abs(MIDDLES) < 3]) > 0.8
    assert start.deviation > 0.15
    assert fixed.deviation < 0.015
    assert start.value < fixed.best_value - 0.2
    assert fixed.best_value - 0.003 < fixed.value <= fixed.best_value


def test_the_value_approaches_minus_log_4(result):
    """Theorem 1: it does once G is trained too, and D and D* come to ½ where the data are."""
    fixed, end = result.fixed, result.end
    highest = quad(best_value_density, -7, 7)[0]
    assert fixed.best_value == pytest.approx(highest, abs=1e-3)
    assert fixed.best_value == pytest.approx(value(fixed.real, fixed.fake, fixed.best), abs=1e-9)
    assert fixed.value > -LOG_4 + 0.3
    assert end.value == pytest.approx(-LOG_4, abs=0.01)
    assert end.jsd < 0.006
    assert end.deviation < 0.03
    assert np.sum(end.real * np.abs(end.d - 0.5)) < 0.06


def test_its_moments(result):
    assert [moment.step for moment in result.moments] == list(range(0, 2001, 100))
    assert result.fixed.step == 500
    for moment in result.moments:
        assert moment.value <= moment.best_value + 1e-12
        assert moment.fake.sum() == pytest.approx(1, abs=1e-9)


def test_its_picture(result):
    with Image.open(result.picture) as image:
        assert image.size == (1650, 1230)
        colours = {rgb for _, rgb in image.convert("RGB").getcolors(1 << 20)}
    for colour in ("0072B2", "D55E00", "009E73", "CC79A7"):  # both densities, D, −log 4
        assert tuple(bytes.fromhex(colour)) in colours


def test_the_seed_decides(result):
    for moment, before in zip(itertools.islice(train(0, 500, 1500), 2), result.moments, strict=False):
        np.testing.assert_allclose(moment.d, before.d, atol=1e-6)
    other = next(train(1, 500, 1500))
    assert np.abs(other.d - result.moments[0].d).max() > 0.01


@pytest.mark.parametrize(("alone", "steps"), [(0, 100), (100, 150), (50, 100), (-100, 100)])
def test_refuses_other_numbers_of_steps(tmp_path, alone, steps):
    with pytest.raises(ValueError, match="positive multiples of 100"):
        toy(tmp_path / "toy.png", alone=alone, steps=steps)


def test_refuses_a_folder(tmp_path):
    with pytest.raises(DogganError, match="is a folder; name the PNG file"):
        toy(tmp_path)


@pytest.mark.both_backends
def test_command(doggan, tmp_path, monkeypatch):
    def short(out, *, seed, progress):
        return toy(out, seed=seed, alone=100, steps=100, progress=progress)

    monkeypatch.setattr("doggan.toy.toy", short)
    status, out, err = doggan("toy", "--out", tmp_path / "new" / "a.png", "--seed", 3, "--quiet")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].startswith("100 steps of D alone, then 100 of both, in ")
    assert lines[1].startswith("mean |D − D*|: ")
    assert lines[2].startswith("value V(G, D): ")
    assert lines[2].endswith("−log 4 = -1.3863")
    assert lines[3].startswith("JSD(p_data, p_g): 0.1797 after D alone, ")
    assert lines[4:] == [f"picture: {tmp_path / 'new' / 'a.png'}"]
    assert (tmp_path / "new" / "a.png").stat().st_size > 10_000
