"""What is refused before a run starts, and what the settings become."""

import keras
import pytest

from doggan.errors import DogganError
from doggan.recipes import load_recipe
from doggan.runs.build import build_gan, plan_data


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.d_steps=2"], r"train.d_steps = 2 needs train.update=alternating"),
        (["train.replay=4", "train.loss=rsgan"], r"does not go with the loss rsgan"),
        (["augment.policy=['colour']"], r"augment.policy = 'colour' is not one of color, translation, cutout"),
        (["augment.target=0.6"], r"set augment.policy too"),
        (["augment.probability=0.5"], r"set augment.policy too"),
        (["augment.policy=['color', 'color']"], r"names an operation twice"),
        (["augment.policy=['color']", "augment.probability=0"], r"never applies augment.policy"),
        (
            ["augment.policy=['color']", "augment.probability=0.5", "augment.target=0.6"],
            r"leave augment.probability out",
        ),
        (["augment.policy=['color']", "augment.target=1"], r"D never exceeds"),
        (["penalty.interval=4"], r"set penalty.r1, r2 or gp"),
        (["penalty.final=0.1"], r"set penalty.r1, r2 or gp"),
        (["sampling.classes=uniform"], r"sampling.classes = uniform is for conditional networks"),
        (["instance_noise.std=0.1", "instance_noise.until=0"], r"before the first step"),
        (["train.loss=wasserstein", "discriminator.spectral_norm=false"], r"needs a D of bounded slope"),
        (["g_optimizer.beta_1=1.0"], r"g_optimizer.beta_1 = 1.0 must be at least 0 and less than 1"),
        (["d_optimizer.epsilon=0.0"], r"d_optimizer.epsilon = 0.0 must be more than 0"),
        (["lr.warm_up=1000"], r"lr.warm_up = 1000 steps is longer than the run, which has 16"),
        (["augment.target=0.6", "augment.policy=['color']", "augment.kimg=0"], r"augment.kimg must be positive"),
        (
            ["augment.target=0.6", "augment.policy=['color']", "train.loss=lsgan"],
            r"under the loss lsgan; set train.loss",
        ),
        (["train.loss=gan"], r"train.loss = 'gan' is not one of bce, bce_saturating, lsgan"),
        (["train.batch_size=20", "train.update=alternating", "train.d_steps=2"], r"20 for each of 2 D steps"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, message, tiny_recipe, tiny_images):
    with pytest.raises(DogganError, match=message):
        plan_data(load_recipe(str(tiny_recipe), tuple(overrides)), tiny_images.training())


@pytest.mark.parametrize("override", ["lr.warm_up=17", "g_optimizer.beta_1=1.0", "d_optimizer.epsilon=0.0"])
def test_an_optimizer_that_is_refused_leaves_no_run_behind(override, start, tmp_path):
    with pytest.raises(DogganError, match=override.split("=")[0]):
        start("run", override)
    assert not (tmp_path / "run").exists()


def test_a_step_reads_a_batch_for_each_update_of_the_discriminator(tiny_recipe, tiny_images):
    config = load_recipe(str(tiny_recipe), ("train.update=alternating", "train.d_steps=3"))
    plan = plan_data(config, tiny_images.training())
    assert (plan.batch_size, plan.steps_per_epoch) == (24, 1)


def test_each_network_has_its_own_optimizer_and_both_rates_end_with_the_run(tiny_recipe):
    overrides = (
        *("g_optimizer.lr=1e-4", "g_optimizer.beta_1=0.0", "d_optimizer.optimizer=rmsprop", "d_optimizer.lr=4e-4"),
        *("lr.schedule=linear", "train.update=alternating", "train.d_steps=2", "train.replay=2"),
    )
    gan = build_gan(load_recipe(str(tiny_recipe), overrides), (32, 32, 3), steps_per_epoch=5)
    g, d = gan.g_optimizer, gan.d_optimizer
    assert isinstance(g, keras.optimizers.Adam)
    assert g.beta_1 == 0
    assert isinstance(d, keras.optimizers.RMSprop)
    steps, updates = 20, 20 * 2 + 20 // 2  # of 4 epochs; D is updated twice a step, and on every second step once more
    for optimizer, base, total in ((g, 1e-4, steps), (d, 4e-4, updates)):
        assert float(optimizer.learning_rate) == pytest.approx(base)
        optimizer.iterations.assign(total // 2)
        assert float(optimizer.learning_rate) == pytest.approx(base / 2)
        optimizer.iterations.assign(total)
        assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-12)
