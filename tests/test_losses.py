"""Losses against values computed by hand and against finite differences of their formulas in double precision."""

import math

import keras
import numpy as np
import pytest
from gradients import losses_and_gradients
from keras import ops

from doggan.losses import LOSSES, PAIRED, RELATIVISTIC, Targets, squashed

pytestmark = pytest.mark.both_backends

REAL, FAKE = [1.0, -2.0], [0.5, -1.0]
SOFT_REAL, SOFT_FAKE = [0.9, 0.2], [0.1, 0.8]


def L(x: float) -> float:
    """−log σ(−x) = log(1 + eˣ): what calling a logit x a fake costs; calling it real costs L(−x)."""
    return math.log(1 + math.exp(x))


def column(values, dtype="float32"):
    return ops.convert_to_tensor(np.reshape(np.asarray(values, dtype), (-1, 1)))


def values(name, real, fake, t_real=None, t_fake=None, dtype="float32"):
    t_real = np.ones(len(real)) if t_real is None else t_real
    t_fake = np.zeros(len(fake)) if t_fake is None else t_fake
    targets = Targets(column(t_real), column(t_fake))
    return LOSSES[name](column(real, dtype), column(fake, dtype), targets)


# real = 1, −2 with mean −0.5; fake = 0.5, −1 with mean −0.25; real − fake row by row is 0.5, −1.
# Against the other's mean: r = 1 + 0.25, −2 + 0.25 = 1.25, −1.75; f = 0.5 + 0.5, −1 + 0.5 = 1, −0.5.
HARD = {
    # (g_loss, d_loss)
    "bce": ((L(-0.5) + L(1)) / 2, (L(-1) + L(2)) / 2 + (L(0.5) + L(-1)) / 2),
    "bce_saturating": (-(L(0.5) + L(-1)) / 2, (L(-1) + L(2)) / 2 + (L(0.5) + L(-1)) / 2),
    # g: ½ · mean(0.25, 4); d: ½ · mean(0, 9) + ½ · mean(0.25, 1)
    "lsgan": (1.0625, 2.25 + 0.3125),
    # d: mean(max(0, 0), max(0, 3)) + mean(max(0, 1.5), max(0, 0))
    "hinge": (0.25, 1.5 + 0.75),
    "wasserstein": (0.25, -0.25 + 0.5),
    "rsgan": ((L(0.5) + L(-1)) / 2, (L(-0.5) + L(1)) / 2),
    "rasgan": ((L(-1) + L(0.5)) / 2 + (L(1.25) + L(-1.75)) / 2, (L(-1.25) + L(1.75)) / 2 + (L(1) + L(-0.5)) / 2),
    # g: mean(0², 1.5²) + mean(2.25², 0.75²); d: mean(0.25², 2.75²) + mean(2², 0.5²)
    "ralsgan": (1.125 + 2.8125, 3.8125 + 2.125),
    # g: mean(0, 1.5) + mean(2.25, 0); d: mean(0, 2.75) + mean(2, 0.5)
    "rahinge": (0.75 + 1.125, 1.375 + 1.25),
}

# The same with targets 0.9, 0.2 for real and 0.1, 0.8 for fake; only d_loss reads them.
SOFT_BCE = (0.9 * L(-1) + 0.1 * L(1) + 0.2 * L(2) + 0.8 * L(-2)) / 2 + (
    0.1 * L(-0.5) + 0.9 * L(0.5) + 0.8 * L(1) + 0.2 * L(-1)
) / 2
SOFT = {
    "bce": SOFT_BCE,
    "bce_saturating": SOFT_BCE,
    # real: .9·0 + .1·1 = .1 and .2·9 + .8·4 = 5; fake: .1·.25 + .9·.25 = .25 and .8·4 + .2·1 = 3.4; each halved
    "lsgan": (0.1 + 5.0) / 4 + (0.25 + 3.4) / 4,
    # real: .9·0 + .1·2 and .2·3 + .8·0; fake: .1·.5 + .9·1.5 and .8·2 + .2·0
    "hinge": (0.2 + 0.6) / 2 + (1.4 + 1.6) / 2,
    # real: (1 − 2t) x = −.8 · 1 and .6 · −2; fake: .8 · .5 and −.6 · −1
    "wasserstein": (-0.8 - 1.2) / 2 + (0.4 + 0.6) / 2,
    "rsgan": (0.9 * L(-0.5) + 0.1 * L(0.5) + 0.2 * L(1) + 0.8 * L(-1)) / 2,
    "rasgan": (0.9 * L(-1.25) + 0.1 * L(1.25) + 0.2 * L(1.75) + 0.8 * L(-1.75)) / 2
    + (0.1 * L(-1) + 0.9 * L(1) + 0.8 * L(0.5) + 0.2 * L(-0.5)) / 2,
    # real: .9·.25² + .1·2.25² = .5625 and .2·2.75² + .8·.75² = 1.9625; fake: .1·0 + .9·4 and .8·1.5² + .2·.5²
    "ralsgan": (0.5625 + 1.9625) / 2 + (3.6 + 1.85) / 2,
    # real: .9·0 + .1·2.25 and .2·2.75 + .8·0; fake: .1·0 + .9·2 and .8·1.5 + .2·.5
    "rahinge": (0.225 + 0.55) / 2 + (1.8 + 1.3) / 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_with_hard_targets_a_loss_is_its_paper_s_formula(name):
    g_loss, d_loss = values(name, REAL, FAKE)
    assert (float(g_loss), float(d_loss)) == pytest.approx(HARD[name], rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_with_soft_targets_d_loss_is_the_expectation_over_what_a_picture_is_called(name):
    g_loss, d_loss = values(name, REAL, FAKE, SOFT_REAL, SOFT_FAKE)
    assert float(d_loss) == pytest.approx(SOFT[name], rel=1e-6)
    assert float(g_loss) == pytest.approx(HARD[name][0], rel=1e-6)


# The formulas once more, in double precision: cost(x) of a picture called real, of one called fake, and g_loss.
LOG = (lambda x: np.logaddexp(0, -x), lambda x: np.logaddexp(0, x))
SQUARE = (lambda x: (x - 1) ** 2, lambda x: (x + 1) ** 2)
HINGE = (lambda x: np.maximum(0, 1 - x), lambda x: np.maximum(0, 1 + x))
FORMULAS = {
    "bce": (*LOG, lambda real, fake: LOG[0](fake).mean()),
    "bce_saturating": (*LOG, lambda real, fake: -LOG[1](fake).mean()),
    "lsgan": (lambda x: (x - 1) ** 2 / 2, lambda x: x**2 / 2, lambda real, fake: ((fake - 1) ** 2).mean() / 2),
    "hinge": (*HINGE, lambda real, fake: -fake.mean()),
    "wasserstein": (lambda x: -x, lambda x: x, lambda real, fake: -fake.mean()),
    "rasgan": (*LOG, lambda r, f: LOG[0](f).mean() + LOG[1](r).mean()),
    "ralsgan": (*SQUARE, lambda r, f: SQUARE[0](f).mean() + SQUARE[1](r).mean()),
    "rahinge": (*HINGE, lambda r, f: HINGE[0](f).mean() + HINGE[1](r).mean()),
}


def in_numpy(name, real, fake, t_real, t_fake):
    """g_loss and d_loss of float64 [n] arrays."""
    if name == "rsgan":
        margin = real - fake
        d_loss = (t_real * np.logaddexp(0, -margin) + (1 - t_real) * np.logaddexp(0, margin)).mean()
        return np.array([np.logaddexp(0, margin).mean(), d_loss])
    called_real, called_fake, generator = FORMULAS[name]
    if name.startswith("ra"):
        real, fake = real - fake.mean(), fake - real.mean()
    d_real = (t_real * called_real(real) + (1 - t_real) * called_fake(real)).mean()
    d_fake = (t_fake * called_real(fake) + (1 - t_fake) * called_fake(fake)).mean()
    return np.array([generator(real, fake), d_real + d_fake])


def finite_differences(name, real, fake, t_real, t_fake, h=1e-6):
    """d(g_loss, d_loss) / d(real, fake), [2, n_real + n_fake]."""
    n, both = len(real), np.concatenate([real, fake])

    def at(x):
        return in_numpy(name, x[:n], x[n:], t_real, t_fake)

    return np.stack([(at(both + h * e) - at(both - h * e)) / (2 * h) for e in np.eye(len(both))], axis=1)


def compiled_gradients(data):
    """Of each loss on `data[name]`: d(g_loss, d_loss) / d(real, fake), [2, n_real + n_fake], as the backend takes it.

    One compiled step serves all: their variables are not shared, so the gradient of the sum holds that of each.
    """
    variables = {name: [keras.Variable(np.float32(x[:, None])) for x in data[name][:2]] for name in LOSSES}
    every = [v for pair in variables.values() for v in pair]

    def sums():
        # On TensorFlow the gradient by what was not read is None instead of zero.
        g_sum, d_sum = 0 * sum(ops.sum(v) for v in every), 0
        for name, pair in variables.items():
            real, fake = (ops.convert_to_tensor(v) for v in pair)
            g_loss, d_loss = LOSSES[name](real, fake, Targets(*(column(t) for t in data[name][2:])))
            g_sum, d_sum = g_sum + g_loss, d_sum + d_loss
        return [g_sum, d_sum]

    _, found = losses_and_gradients(sums, [every, every], state=[])
    return {
        name: np.stack([np.concatenate(gs[2 * i : 2 * i + 2])[:, 0] for gs in found]) for i, name in enumerate(LOSSES)
    }


@pytest.fixture(scope="module")
def data():
    """Per loss: 4 real logits, 3 fake ones (as many as the buffer they come from holds), and soft targets for both."""
    rng = np.random.default_rng(0)
    sizes = {name: (4, 4 if name in PAIRED else 3) for name in LOSSES}
    return {
        name: (*(rng.normal(0, 2, n) for n in both), *(rng.random(n) for n in both)) for name, both in sizes.items()
    }


@pytest.fixture(scope="module")
def gradients(data):
    return compiled_gradients(data)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_equal_finite_differences(name, data, gradients):
    np.testing.assert_allclose(gradients[name], finite_differences(name, *data[name]), rtol=1e-4, atol=1e-6)


def test_the_gradient_of_softly_labelled_least_squares_is_that_of_half_the_squared_distance(data, gradients):
    real, fake, t_real, t_fake = data["lsgan"]
    by_hand = np.concatenate([(real - t_real) / len(real), (fake - t_fake) / len(fake)])
    np.testing.assert_allclose(gradients["lsgan"][1], by_hand, rtol=1e-5, atol=1e-7)


def test_every_discriminator_learns_from_both_and_only_relativistic_generators_read_real_logits(gradients):
    assert all(np.any(g[1, :4] != 0) and np.any(g[1, 4:] != 0) for g in gradients.values())
    assert {name for name, g in gradients.items() if np.any(g[0, :4] != 0)} == RELATIVISTIC


def test_extreme_logits_overflow_nothing():
    real, targets = np.array([1e4, -1e4, 1e4, -1e4]), np.array([1.0, 1.0, 0.0, 0.25])
    data = (real, real[::-1], targets, targets)
    for name, gradient in compiled_gradients(dict.fromkeys(LOSSES, data)).items():
        np.testing.assert_allclose([float(x) for x in values(name, *data)], in_numpy(name, *data), rtol=1e-6)
        assert np.isfinite(gradient).all(), name


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_logits_give_single_precision_losses(name):
    # All are float16 numbers; 300² is more than the largest, and 300 + 2⁻¹⁰ lies between two of them.
    real, fake = [300.0, 1 + 2**-10], [-300.0, 0.5]
    found = values(name, real, fake, dtype="float16")
    assert {keras.backend.standardize_dtype(x.dtype) for x in found} == {"float32"}
    expected = in_numpy(name, np.array(real), np.array(fake), np.ones(2), np.zeros(2))
    assert [float(x) for x in found] == pytest.approx(expected, rel=1e-6)


def test_an_undecided_discriminator_costs_log_2_for_each_of_its_two_calls():
    g_loss, d_loss = values("bce", [0.0] * 4, [0.0] * 4)
    assert float(g_loss) == pytest.approx(math.log(2), rel=1e-6)
    assert float(d_loss) == pytest.approx(2 * math.log(2), rel=1e-6)


def test_only_paired_losses_change_when_the_fakes_change_places():
    def moved(name):
        one, other = (values(name, REAL, fake) for fake in (FAKE, FAKE[::-1]))
        return any(float(a) != pytest.approx(float(b), rel=1e-5) for a, b in zip(one, other, strict=True))

    assert {name for name in LOSSES if moved(name)} == PAIRED


def test_pairs_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="rsgan pairs real with fake, and there are 2 and 1"):
        values("rsgan", REAL, [0.5])


@pytest.mark.parametrize("name", LOSSES)
def test_targets_of_another_shape_are_refused_instead_of_broadcast(name):
    flat = Targets(ops.ones((2,)), ops.zeros((2,)))
    with pytest.raises(ValueError, match=r"targets of shape \(2,\) for logits of shape \(2, 1\)"):
        LOSSES[name](column(REAL), column(FAKE), flat)


def test_squashed_least_squares_are_those_of_probabilities():
    """σ(1) = .7310586, σ(−2) = .1192029, σ(.5) = .6224593, σ(−1) = .2689414; ½ · their mean squares to 1 and to 0."""
    to_one = [(1 - 0.7310586) ** 2, (1 - 0.1192029) ** 2]
    to_zero = [0.6224593**2, 0.2689414**2]
    expected_d = sum(to_one) / 4 + sum(to_zero) / 4
    expected_g = ((1 - 0.6224593) ** 2 + (1 - 0.2689414) ** 2) / 4
    targets = Targets(column([1, 1]), column([0, 0]))
    g_loss, d_loss = squashed(LOSSES["lsgan"])(column(REAL), column(FAKE), targets)
    assert float(g_loss) == pytest.approx(expected_g, rel=1e-6)
    assert float(d_loss) == pytest.approx(expected_d, rel=1e-6)
