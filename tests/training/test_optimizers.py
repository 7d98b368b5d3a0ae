"""Learning rates and updates against their formulas in NumPy, clipping and loss scaling by hand."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from doggan.config import Optimizer, Schedule
from doggan.errors import DogganError
from doggan.training.optimizers import OPTIMIZERS, SCHEDULES, Rate, make_optimizer

pytestmark = pytest.mark.both_backends

CONSTANT = Schedule("constant")
WEIGHTS = np.array([1.0, -2.0, 3.0], np.float32)
# Norms 5, 10 and 1.
GRADIENTS = [np.array(g, np.float32) for g in ([3.0, 0.0, -4.0], [6.0, 8.0, 0.0], [0.0, -0.6, 0.8])]


def make(name="g_optimizer", schedule=CONSTANT, total_steps=100, loss_scaling=False, updates_per_step=1.0, **config):
    return make_optimizer(
        Optimizer(**config),
        schedule,
        total_steps,
        name,
        loss_scaling=loss_scaling,
        updates_per_step=updates_per_step,
    )


def compiled_apply(optimizer, variables):
    """A function of gradients that updates as the engines do, built before it is called."""
    optimizer.build(variables)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda gradients: optimizer.apply(gradients, variables))
    import jax

    stateless = jax.jit(optimizer.stateless_apply)

    def apply(gradients):
        slots = optimizer.variables
        new = stateless([v.value for v in slots], gradients, [v.value for v in variables])
        for variable, value in zip([*variables, *slots], [*new[0], *new[1]], strict=True):
            variable.assign(value)

    return apply


def weights_after(optimizer, gradients=GRADIENTS):
    """The weights after each update; the first two make up one variable and the last another."""
    variables = [keras.Variable(WEIGHTS[:2]), keras.Variable(WEIGHTS[2:])]
    apply = compiled_apply(optimizer, variables)
    found = []
    for g in gradients:
        apply([ops.convert_to_tensor(g[:2]), ops.convert_to_tensor(g[2:])])
        found.append(np.concatenate([ops.convert_to_numpy(ops.convert_to_tensor(v)) for v in variables]))
    return np.stack(found)


def rates(rate, *steps):
    return [float(rate(step)) for step in steps]


def test_cosine():
    rate = Rate(0.2, "cosine", 100)
    # ½ (1 + cos 0) = 1, ½ (1 + cos π/4), ½ (1 + cos π/2) = ½, ½ (1 + cos π) = 0, and no second hill.
    expected = [0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.0, 0.0]
    assert rates(rate, 0, 25, 50, 100, 150) == pytest.approx(expected, abs=1e-8)
    ours, keras_own = rates(rate, 1, 7, 99), keras.optimizers.schedules.CosineDecay(0.2, 100)
    assert ours == pytest.approx([float(keras_own(step)) for step in (1, 7, 99)], rel=1e-4, abs=1e-8)


def test_linear_ends_at_zero():
    assert rates(Rate(0.2, "linear", 100), 0, 25, 99, 100, 150) == pytest.approx([0.2, 0.15, 0.002, 0, 0], abs=1e-8)


def test_a_falling_rate_may_end_above_zero():
    # A quarter is left at the end; half way the cosine and the line are at a half of the rest.
    for schedule in ("cosine", "linear"):
        found = rates(Rate(0.2, schedule, 100, final=0.25), 0, 50, 100, 150)
        assert found == pytest.approx([0.2, 0.2 * (0.25 + 0.75 / 2), 0.05, 0.05])
    with pytest.raises(DogganError, match=r"lr\.final = 0\.1 is where a falling rate ends"):
        make(schedule=Schedule("constant", final=0.1))


def test_constant():
    assert rates(Rate(0.2, "constant", 100), 0, 99, 1000) == pytest.approx([0.2] * 3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_multiplies_the_schedule(schedule):
    plain, warmed = Rate(0.2, schedule, 100), Rate(0.2, schedule, 100, warm_up=10)
    shares = [0.1, 0.5, 1.0, 1.0, 1.0]  # (step + 1) / 10, at most 1
    expected = [share * rate for share, rate in zip(shares, rates(plain, 0, 4, 9, 10, 60), strict=True)]
    assert rates(warmed, 0, 4, 9, 10, 60) == pytest.approx(expected, rel=1e-6)


def test_a_rate_is_float32_of_an_integer_tensor_and_can_be_serialised():
    rate = Rate(0.2, "linear", 100, warm_up=10)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    found = again(ops.convert_to_tensor(4, "int32"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert float(found) == pytest.approx(0.2 * 0.96 * 0.5)


def test_adam_is_algorithm_1_of_its_paper():
    """m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), w ← w − lr m̂ / (√v̂ + ε̂), where ε̂ = ε / √(1 − β₂ᵗ)."""
    lr, b1, b2, epsilon = 0.1, 0.5, 0.9, 0.3
    w, m, v, expected = WEIGHTS.astype(float), 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        corrected = math.sqrt(1 - b2**t)
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v) / corrected + epsilon / corrected)
        expected.append(w)
    found = weights_after(make(optimizer="adam", lr=lr, beta_1=b1, beta_2=b2, epsilon=epsilon))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_rmsprop_divides_by_the_root_of_the_average_square(momentum):
    lr, rho, epsilon = 0.1, 0.8, 0.3
    w, v, m, expected = WEIGHTS.astype(float), 0.0, 0.0, []
    for g in GRADIENTS:
        v = rho * v + (1 - rho) * g**2
        m = momentum * m + lr * g / np.sqrt(v + epsilon)
        w = w - m
        expected.append(w)
    found = weights_after(make(optimizer="rmsprop", lr=lr, rho=rho, momentum=momentum, epsilon=epsilon))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_sgd_accumulates_momentum_and_follows_the_schedule_by_its_own_count(momentum):
    w, m, expected = WEIGHTS.astype(float), 0.0, []
    for lr, g in zip([0.1, 0.075, 0.05], GRADIENTS, strict=True):  # linear to zero in 4 updates
        m = momentum * m - lr * g
        w = w + m
        expected.append(w)
    optimizer = make(optimizer="sgd", lr=0.1, momentum=momentum, schedule=Schedule("linear"), total_steps=4)
    np.testing.assert_allclose(weights_after(optimizer), expected, rtol=1e-5)
    assert float(optimizer.learning_rate) == pytest.approx(0.025)


def test_a_restored_optimizer_does_not_restart_its_rate():
    first, restored = (make(schedule=Schedule("cosine", warm_up=2), total_steps=10, lr=0.1) for _ in range(2))
    weights_after(first)
    restored.build([keras.Variable(WEIGHTS[:2]), keras.Variable(WEIGHTS[2:])])
    for mine, saved in zip(restored.variables, first.variables, strict=True):
        mine.assign(saved.value)
    assert (
        float(restored.learning_rate)
        == float(first.learning_rate)
        == pytest.approx(0.05 * (1 + math.cos(0.3 * math.pi)))
    )


def test_an_optimizer_applied_more_often_than_once_a_step_runs_its_course_in_the_same_steps():
    schedule = Schedule("linear", warm_up=2)
    optimizer = make(lr=0.1, schedule=schedule, total_steps=6, updates_per_step=1.5)
    weights_after(optimizer)
    # 3 updates of 9 are done, so 2/3 of the rate, and the warm-up, which took the first 3.
    assert float(optimizer.learning_rate) == pytest.approx(0.1 * 2 / 3)
    assert float(make(lr=0.1, schedule=schedule, total_steps=6, updates_per_step=1.5).learning_rate) == pytest.approx(
        0.1 / 3
    )


def test_clipping_scales_the_whole_gradient_down_to_its_norm():
    found = weights_after(make(optimizer="sgd", lr=1.0, clip_norm=2.0))
    # Norms 5 and 10 become 2, by factors over both variables; norm 1 stays.
    steps = np.array([[1.2, 0.0, -1.6], [1.2, 1.6, 0.0], [0.0, -0.6, 0.8]])
    np.testing.assert_allclose(found, WEIGHTS - np.cumsum(steps, axis=0), rtol=1e-5, atol=1e-6)


def test_two_time_scales():
    g = make("g_optimizer", lr=1e-4, beta_1=0.0, beta_2=0.9)
    d = make("d_optimizer", lr=4e-4, beta_1=0.5, beta_2=0.999)
    assert [float(x.learning_rate) for x in (g, d)] == pytest.approx([1e-4, 4e-4])
    assert [(x.beta_1, x.beta_2) for x in (g, d)] == [(0.0, 0.9), (0.5, 0.999)]
    assert [x.name for x in (g, d)] == ["g_optimizer", "d_optimizer"]


def scaled(optimizer, gradients):
    """The gradients of a loss multiplied by the optimizer's scale, as float16 arithmetic hands them over."""
    scale = float(optimizer.dynamic_scale.value)
    return [ops.convert_to_tensor(g * np.float32(scale)) for g in gradients]


def test_loss_scaling_clips_what_was_unscaled_skips_an_overflow_and_halves_the_scale():
    settings = {"optimizer": "sgd", "lr": 1.0, "clip_norm": 2.0, "schedule": Schedule("linear"), "total_steps": 4}
    optimizer = make(loss_scaling=True, **settings)
    variable = keras.Variable(WEIGHTS)
    apply = compiled_apply(optimizer, [variable])

    def state():
        return (
            ops.convert_to_numpy(ops.convert_to_tensor(variable)),
            float(optimizer.dynamic_scale.value),
            float(optimizer.learning_rate),
        )

    assert float(optimizer.scale_loss(ops.convert_to_tensor(0.5))) == 2.0**14

    apply(
        scaled(optimizer, GRADIENTS[2:])
    )  # norm 1: were it clipped before it is unscaled, next to nothing would remain
    weights, scale, rate = state()
    np.testing.assert_allclose(weights, [1.0, -1.4, 2.2], rtol=1e-5)
    assert (scale, rate) == (2.0**15, 0.75)

    for bad in (np.inf, np.nan):
        apply([ops.convert_to_tensor(np.array([1.0, bad, 1.0], np.float32))])
        same, scale, rate = state()
        np.testing.assert_array_equal(same, weights)
    assert (scale, rate) == (2.0**13, 0.75)

    apply(scaled(optimizer, GRADIENTS[:1]))  # norm 5 becomes 2, at a rate of ¾
    weights, scale, rate = state()
    np.testing.assert_allclose(weights, [1.0 - 0.9, -1.4, 2.2 + 1.2], rtol=1e-5)
    assert (scale, rate) == (2.0**13, 0.5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"beta_1": 1.0}, "d_optimizer.beta_1 = 1.0 must be at least 0 and less than 1"),
        ({"beta_2": -0.1}, "d_optimizer.beta_2 = -0.1 must be"),
        ({"optimizer": "rmsprop", "rho": 1.0}, "d_optimizer.rho = 1.0 must be"),
        ({"optimizer": "sgd", "momentum": 1.0}, "d_optimizer.momentum = 1.0 must be"),
        ({"epsilon": 0.0}, "d_optimizer.epsilon = 0.0 must be more than 0"),
    ],
)
def test_constants_that_cannot_work_are_refused(config, message):
    with pytest.raises(DogganError, match=message):
        make("d_optimizer", **config)


def test_constants_of_other_optimizers_are_not_looked_at():
    make(optimizer="sgd", beta_1=1.0, rho=1.0, epsilon=0.0)
    make(optimizer="adam", rho=1.0, momentum=1.0)


def test_a_warm_up_longer_than_the_run_is_refused():
    make(schedule=Schedule("cosine", warm_up=100), total_steps=100)
    with pytest.raises(DogganError, match=r"lr\.warm_up = 101 steps is longer than the run, which has 100;"):
        make(schedule=Schedule("cosine", warm_up=101), total_steps=100)


def test_recipes_may_name_just_what_there_is():
    from doggan.recipes import _CHOICES

    assert set(_CHOICES["lr.schedule"]) == set(SCHEDULES)
    assert set(_CHOICES["g_optimizer.optimizer"]) == set(_CHOICES["d_optimizer.optimizer"]) == set(OPTIMIZERS)
